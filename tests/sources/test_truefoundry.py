"""TrueFoundry spans: model spans alone, and nothing of what was asked or answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from llm_spend.errors import UserError

from .conftest import Warehouse

SECRET = "MARKER-of-a-prompt-that-nobody-may-store"


def span(
    span_id: str, span_type: str = "Model", subject: tuple[str, str] = ("user", "ann@acme.io"), **extra: Any
) -> Any:
    attributes = {
        "tfy.span_type": span_type,
        "tfy.model.name": "gpt-4o",
        "tfy.model.metric.input_tokens": 100,
        "tfy.model.metric.output_tokens": 20,
        "tfy.model.metric.cost_in_usd": 0.000123,
        "tfy.input": {"messages": [{"role": "user", "content": SECRET}]},
        "tfy.output": SECRET,
        **extra,
    }
    return {
        "spanId": span_id,
        "traceId": "t1",
        "parentSpanId": "",
        "timestamp": "2026-03-01T10:00:00.5Z",
        "durationNs": 1_500_000,
        "statusCode": "OK",
        "spanAttributes": attributes,
        "createdBySubject": {"subjectType": subject[0], "subjectSlug": subject[1]},
        "events": [{"body": SECRET}],
    }


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("truefoundry")
    spans = [
        span("root", "ChatCompletion"),
        span("guard", "Guardrail"),
        span("odd", "SomethingNew"),
        span("map", **{"tfy.request.metadata": {"team": "ml", "n": 3}}),
        span("text", **{"tfy.request.metadata": '{"team": "ml"}'}),
        span("bad", **{"tfy.request.metadata": "team=ml"}),
        span("machine", subject=("virtualaccount", "va-ci"), **{"tfy.request.created_by_subject_teams": ["a", "b"]}),
        span("broken", **{"tfy.model.metric.output_tokens": "many"}),
    ]
    report = warehouse.load("truefoundry", warehouse.write("spans.jsonl", spans), instance="acme")
    assert (report.rows, report.quarantined) == (5, 1)
    return warehouse


def one(loaded: Warehouse, column: str, span_id: str) -> Any:
    return loaded.rows(f"select {column} from raw.truefoundry__spans where span_id = ?", span_id)[0][0]


def test_only_model_spans_are_kept(loaded: Warehouse) -> None:
    kept = loaded.rows("select span_id from raw.truefoundry__spans where _problem is null order by 1")
    assert [row[0] for row in kept] == ["bad", "machine", "map", "text"]


def test_metadata_may_be_text_or_an_object(loaded: Warehouse) -> None:
    assert json.loads(one(loaded, "metadata", "map")) == {"team": "ml", "n": 3}
    assert json.loads(one(loaded, "metadata", "text")) == {"team": "ml"}
    assert one(loaded, "(metadata, _metadata_error)", "bad") == (None, True)


def test_a_virtual_account_and_its_teams(loaded: Warehouse) -> None:
    columns = "(subject_type, subject_slug, subject_teams)"
    assert one(loaded, columns, "machine") == ("virtualaccount", "va-ci", '["a","b"]')


def test_measures(loaded: Warehouse) -> None:
    columns = '("timestamp", duration_ns, input_tokens, output_tokens, cost_in_usd)'
    expected = (datetime(2026, 3, 1, 10, 0, 0, 500000), 1_500_000, 100, 20, Decimal("0.000123000000"))
    assert one(loaded, columns, "map") == expected


def test_a_wrong_type_is_quarantined_with_its_line(loaded: Warehouse) -> None:
    assert loaded.quarantine("acme") == [("spans.jsonl", 8, "output_tokens: not a whole number of 0 or more: many")]


def test_no_prompt_and_no_answer_is_stored(loaded: Warehouse) -> None:
    loaded.assert_nowhere(SECRET)


def otlp(span_id: str, kind: str = "Model", code: int = 1, **attributes: Any) -> dict[str, Any]:
    """A span as OTLP/JSON has it: whole numbers are text, and attributes are a list."""
    values = {"tfy.span_type": kind, "tfy.model.name": "gpt-4o", "tfy.output": SECRET, **attributes}
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": span_id,
        "startTimeUnixNano": "1772359200500000000",
        "endTimeUnixNano": "1772359200502000000",
        "status": {"code": code},
        "attributes": [{"key": key, "value": as_otlp(value)} for key, value in values.items()],
    }


def as_otlp(value: Any) -> dict[str, Any]:
    match value:
        case list():
            return {"arrayValue": {"values": [as_otlp(each) for each in value]}}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}


WHO = "tfy.request.created_by_subject"
OF_OTLP = {
    "tfy.model.metric.input_tokens": 100,
    "tfy.model.metric.cost_in_usd": 0.000123,
    "tfy.request.metadata": '{"team": "ml"}',
    "tfy.request.created_by_subject_teams": ["a", "b"],
    WHO: '{"subjectType": "user", "subjectSlug": "ann@acme.io", "subjectId": "u"}',
}


@pytest.fixture(scope="module")
def exported(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("truefoundry-exported")
    attributes = span("", **{WHO: "virtual-account:ci"})["spanAttributes"]
    flat = {"span_id": "flat00000000000a", "trace_id": "t1", "start_time": "2026-03-01 10:00:00.5"}
    spans = [otlp("0000000000000b0a", **OF_OTLP), otlp("0000000000000b0b", "Guardrail")]
    failed = otlp("0000000000000b0c", code=2)
    lines = [
        {"data": [span("paged"), span("root", "ChatCompletion")], "pagination": {"nextPageToken": None}},
        {**flat, "attributes": attributes},
        otlp("0000000000000b0d", **OF_OTLP),
        {"resourceSpans": [{"scopeSpans": [{"spans": spans}, {"spans": [failed]}]}, {"scopeSpans": []}]},
        {"resourceMetrics": []},
        {"unknown": 1},
        {"data": [{"spanAttributes": {"tfy.span_type": "Model"}}]},
    ]
    report = warehouse.load("truefoundry", warehouse.write("exported.jsonl", lines), instance="acme")
    assert report.quarantined == 2
    return warehouse


def test_every_form_of_a_line_is_read(exported: Warehouse) -> None:
    columns = "span_id, timestamp, model_name, input_tokens, cost_in_usd, metadata, status_code, subject_type"
    rows = exported.rows(
        f"select {columns}, subject_slug, subject_teams from raw.truefoundry__spans where _problem is null order by 1"
    )
    moment, cost = datetime(2026, 3, 1, 10, 0, 0, 500000), Decimal("0.000123")
    exporter = (moment, "gpt-4o", 100, cost, '{"team":"ml"}')
    by_ann = ("user", "ann@acme.io")
    assert [(*row[:5], row[5] and row[5].replace(" ", ""), *row[6:]) for row in rows] == [
        ("0000000000000b0a", *exporter, "OK", *by_ann, '["a","b"]'),
        ("0000000000000b0c", moment, "gpt-4o", None, None, None, "ERROR", None, None, None),
        ("0000000000000b0d", *exporter, "OK", *by_ann, '["a","b"]'),
        ("flat00000000000a", moment, "gpt-4o", 100, cost, None, None, "virtual-account", "ci", None),
        ("paged", moment, "gpt-4o", 100, cost, None, "OK", *by_ann, None),
    ]


def test_lines_without_a_span_are_named(exported: Warehouse) -> None:
    assert [(line, reason) for _, line, reason in exported.quarantine("acme")] == [
        (6, "not a JSON object with a field of a TrueFoundry span"),
        (7, "span_id: missing"),
    ]


def test_nothing_that_was_said_is_stored_of_an_export(exported: Warehouse) -> None:
    exported.assert_nowhere(SECRET)


TRACES = f"""
    select * from (values
        ('s1', 'Model', 'Ok', map {{'tfy.model.name': 'gpt-4o', 'tfy.input': '{SECRET}'}}, 100.0),
        ('s2', 'Model', 'Error', map {{'tfy.error_type': 'budget', 'tfy.output': '{SECRET}'}}, 1e6),
        ('root', 'ChatCompletion', 'Ok', map {{'tfy.output': '{SECRET}'}}, 100.0)
    ) as spans ("SpanId", "TfyGatewaySpanType", "StatusCode", "SpanAttributesString", tokens)
"""
OF_EVERY_SPAN = f"""
    't1' as "TraceId", timestamptz '2026-03-01 10:00:00.5+00' as "Timestamp", 1500000 as "Duration",
    429 as "HttpStatusCode", map {{'team': 'ml', 'it''s': 'a "b"'}} as "TfyGatewayMetadata",
    '{SECRET}' as "TfyGatewayInput", map {{'tfy.model.metric.input_tokens': tokens}} as "SpanAttributesNumber",
    map {{'tfy.model.streaming': true}} as "SpanAttributesBool", 'ci' as "TfyCreatedBySubjectSlug",
    map {{'tfy.request.created_by_subject_teams': ['a', 'b']}} as "SpanAttributesStringList",
    'virtualaccount' as "TfyCreatedBySubjectType"
"""
METRICS = """
    select
        't2' as trace_id, span_id, timestamp '2026-03-01 11:00:00' as created_at, 'acme/gpt' as model_name,
        'gpt-4o' as provider_model_name, virtual as virtual_model_name, 7 as input_tokens, 5 as output_tokens,
        0.125 as cost_in_usd, is_failure, 'timeout' as error_type, true as cache_hit, ['a'] as teams,
        [{'key': 'team', 'value': 'ml'}] as metadata, 'ann@acme.io' as created_by_subject_slug,
        'user' as created_by_subject_type
    from (values ('s1', '', false), ('s2', null, true), ('s3', 'all', false)) as calls (span_id, virtual, is_failure)
"""


def test_tables_of_a_bucket_are_read(make_warehouse: Callable[[str], Warehouse]) -> None:
    warehouse = make_warehouse("truefoundry-tables")
    folder = warehouse.write("bucket/spans.jsonl", [span("line")]).parent
    with duckdb.connect() as connection:
        traces = f"select * exclude (tokens), {OF_EVERY_SPAN} from ({TRACES})"
        connection.execute(f"copy ({traces}) to '{folder}/traces.parquet'")
        connection.execute(f"copy ({METRICS}) to '{folder}/metrics.parquet'")
        connection.execute(f"copy (select 1 as one) to '{warehouse.folder}/other.parquet'")
    report = warehouse.load("truefoundry", folder, instance="acme")
    assert (report.files, report.rows, report.quarantined) == (3, 5, 0)
    columns = "span_id, timestamp, duration_ns, status_code, model_name, is_streaming, input_tokens, cost_in_usd"
    who = "error_type, cached_trace_id, subject_type, subject_slug, subject_teams, metadata"
    moment = datetime(2026, 3, 1, 10, 0, 0, 500000)
    account = ("virtualaccount", "ci", '["a","b"]', '{"team":"ml","it\'s":"a \\"b\\""}')
    ann = ("user", "ann@acme.io", '["a"]', '{"team":"ml"}')
    called = (moment.replace(hour=11, microsecond=0), None)
    rows = warehouse.rows(
        f"select {columns}, {who} from raw.truefoundry__spans where span_id <> 'line' order by trace_id, 1"
    )
    assert rows == [
        ("s1", moment, 1_500_000, "OK", "gpt-4o", True, 100, None, None, None, *account),
        ("s2", moment, 1_500_000, "ERROR", None, True, 1_000_000, None, "budget", None, *account),
        ("s1", *called, "OK", "gpt-4o", None, 7, Decimal("0.125"), "timeout", "unknown", *ann),
        ("s2", *called, "ERROR", "gpt-4o", None, 7, Decimal("0.125"), "timeout", "unknown", *ann),
    ]
    warehouse.assert_nowhere(SECRET)
    with pytest.raises(UserError, match=r"other.parquet is neither the table traces nor gateway_model_metrics"):
        warehouse.load("truefoundry", warehouse.folder / "other.parquet")
