"""OTLP/JSON files in every dialect of spans, and spans recorded from real instrumentation packages."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import Warehouse

SECRET = "MARKER-of-a-prompt"
RECORDED = Path(__file__).parents[1] / "fixtures" / "otel" / "spans.jsonl"
STARTED = 1772359200123456789
TRACE = "5b8efff798038103d269b633813fc60c"
GPT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}


def attribute(key: str, value: Any) -> dict[str, Any]:
    match value:
        case bool():
            typed: dict[str, Any] = {"boolValue": value}
        case int():
            typed = {"intValue": str(value)}
        case float():
            typed = {"doubleValue": value}
        case list():
            typed = {"arrayValue": {"values": [{"stringValue": each} for each in value]}}
        case _:
            typed = {"stringValue": value}
    return {"key": key, "value": typed}


def span_id(name: str) -> str:
    return name.ljust(8).encode().hex()


def span(name: str, attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A span whose id is made of its name, so that a test can find it."""
    return {
        "traceId": TRACE,
        "spanId": span_id(name),
        "name": name,
        "kind": 3,
        "startTimeUnixNano": str(STARTED),
        "endTimeUnixNano": str(STARTED + 1_500_000_000),
        "attributes": [attribute(key, value) for key, value in attributes.items()],
        "status": {},
        **fields,
    }


def request(*spans: dict[str, Any], scope: str = "test", **resource: Any) -> dict[str, Any]:
    attributes = [attribute(key, value) for key, value in ({"service.name": "chat"} | resource).items()]
    scoped = {"scope": {"name": scope}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scoped]}]}


def snake(found: Any) -> Any:
    """The same request as protobuf writes it when it keeps its names."""
    if isinstance(found, list):
        return [snake(each) for each in found]
    if not isinstance(found, dict):
        return found
    return {
        re.sub("([A-Z])", r"_\1", key).lower(): base64.b64encode(bytes.fromhex(each)).decode()
        if key.endswith("Id")
        else snake(each)
        for key, each in found.items()
    }


CALLS: dict[str, dict[str, Any]] = {
    "new": {
        **GPT,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-7",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.conversation.id": "s-1",
        "openai.response.service_tier": "priority",
        "server.address": "eu.api.openai.com",
        "gen_ai.input.messages": SECRET,
        "team": "search",
        "mlflow_run_id": "run-1",
    },
    "old": {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.usage.prompt_tokens": 100,
        "gen_ai.usage.completion_tokens": 20,
        "gen_ai.usage.cache_read_input_tokens": 60,
        "gen_ai.usage.cache_creation_input_tokens": 10,
    },
    "traceloo": {
        "gen_ai.system": "openai",
        "llm.request.type": "completion",
        "gen_ai.request.model": "gpt-4o",
        "llm.usage.total_tokens": 120,
        "gen_ai.usage.prompt_tokens": 100,
        "gen_ai.usage.completion_tokens": 20,
        "gen_ai.prompt.0.content": SECRET,
        "traceloop.association.properties.user_id": "ann",
        "traceloop.association.properties.plan": "gold",
    },
    "inferenc": {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.model_name": "gpt-4o-2024-08-06",
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 20,
        "llm.token_count.total": 120,
        "llm.token_count.prompt_details.cache_read": 60,
        "llm.token_count.prompt_details.audio": 7,
        "llm.token_count.completion_details.reasoning": 5,
        "llm.cost.total": 0.0123,
        "llm.invocation_parameters": '{"model": "gpt-4o", "temperature": 0.5, "max_tokens": 64, "stream": true}',
        "input.value": SECRET,
        "metadata": '{"team": "search", "user": "ann"}',
        "user.id": "bob",
        "session.id": "s-1",
        "tag.tags": ["a", "b"],
    },
    "vllm": {
        "gen_ai.request.id": "chatcmpl-9",
        "gen_ai.response.model": "meta-llama/Llama-3.1-8B",
        "gen_ai.usage.prompt_tokens": 100,
        "gen_ai.usage.completion_tokens": 20,
        "gen_ai.latency.time_to_first_token": 0.125,
    },
    "twice": {
        **GPT,
        "user_id": "app-7",
        "team": "search",
        "traceloop.association.properties.user_id": "ann",
        "metadata": "no object",
    },
    "beside": {
        **GPT,
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 10,
        "gen_ai.usage.total_tokens": 60,
    },
    "azure": {**GPT, "server.address": "acme.openai.azure.com"},
    "image": {**GPT, "gen_ai.operation.name": "image_generation"},
    "gemini": {**GPT, "gen_ai.operation.name": "generate_content", "gen_ai.provider.name": "gcp.gemini"},
    "double": {**GPT, "gen_ai.usage.input_tokens": 12.0},
}
LEFT_OUT: dict[str, dict[str, Any]] = {
    "agent": {**CALLS["new"], "gen_ai.operation.name": "invoke_agent"},
    "tool": {**GPT, "gen_ai.operation.name": "execute_tool"},
    "workflow": {**GPT, "traceloop.span.kind": "workflow"},
    "chain": {**CALLS["inferenc"], "openinference.span.kind": "CHAIN"},
    "http": {"http.request.method": "POST", "server.address": "api.openai.com", "user.id": "ann"},
}


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("otel")
    write = warehouse.write
    spans = [span(name, attributes) for name, attributes in {**CALLS, **LEFT_OUT}.items()]
    tagged = {"deployment.environment.name": "prod", "team": "core"}
    write("logs/dialects.jsonl.gz", [request(*spans[:5], **tagged), request(*spans[5:])])
    write("logs/retried.jsonl", [request(spans[0], **tagged)])
    write("logs/snake.json", json.dumps(snake(request(spans[1], span("snake", CALLS["new"]))), indent=2))
    write("logs/array.json", json.dumps([request(span("array", GPT)), request(span("array2", GPT))]))
    litellm = {**GPT, "gen_ai.request.model": "gpt-4o-mini", "gen_ai.response.model": "fast", "llm.user": "ann"}
    cost = {"gen_ai.cost.total_cost": 1.5e-07, "gen_ai.usage.cost": "not read"}
    exception = {"name": "exception", "attributes": [attribute("exception.type", "openai.RateLimitError")]}
    first = {"name": "First Token Stream Event", "timeUnixNano": str(STARTED + 40_000_000)}
    failed = {"status": {"code": 2}}
    repeated = request(span("repeated", GPT), team="search")
    repeated["resourceSpans"][0]["resource"]["attributes"].append(attribute("team", "other"))
    write(
        "logs/more.jsonl",
        [
            request(span("litellm", litellm | {"gen_ai.cost.total_cost": 1.5e-07}), scope="litellm"),
            request(span("numeric", {**GPT, "error.type": "503"}, **failed)),
            request(span("limited", {**GPT, "llm.model_name": "x"}, events=[exception], **failed)),
            request(span("streamed", GPT, events=[first])),
            repeated,
            request(span("backward", GPT, endTimeUnixNano=str(STARTED - 1))),
            {**request(span("drifted", {**GPT, "gen_ai.new": "x"}, flags=1, links=[{}], events="none")), "schema": 2},
            request(span("eternal", GPT, startTimeUnixNano=str(2**63 - 1), endTimeUnixNano=str(-(2**63)))),
        ],
    )
    lines = [
        request(span("whole", GPT)),
        {"resourceMetrics": []},
        {"resourceSpans": []},
        request(span("costly", {**GPT, **cost})),
        request(span("timeless", GPT, startTimeUnixNano="0"), span("beneath", GPT)),
        request({**span("nobody", GPT), "spanId": ""}),
        {"unknown": 1},
        {"resourceSpans": "text"},
    ]
    partial = json.dumps(request(span("partial", GPT)))[:-30]
    write("logs/rotated.jsonl", "".join(json.dumps(line) + "\n" for line in lines) + "\n" + partial)
    write("logs/recorded.jsonl", RECORDED.read_bytes())
    report = warehouse.load("otel", warehouse.folder / "logs" / "*", instance="here")
    assert (report.files, report.quarantined) == (7, 6)
    return warehouse


def one(loaded: Warehouse, columns: str, name: str) -> Any:
    """Columns of a span in the order of their names in the table."""
    record_id = f"{TRACE}:{span_id(name)}"
    return loaded.rows(f"select {columns} from raw.generic__requests where source_record_id = ?", record_id)[0]


TOKENS = (
    "input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, reasoning_tokens, total_tokens,"
    " input_includes_cache"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new", (100, 20, 60, 10, 5, None, True)),
        ("snake", (100, 20, 60, 10, 5, None, True)),
        ("old", (100, 20, 60, 10, None, None, True)),
        ("traceloo", (100, 20, None, None, None, 120, True)),
        ("inferenc", (100, 20, 60, None, 5, 120, True)),
        ("vllm", (100, 20, None, None, None, None, True)),
        ("beside", (30, 20, 10, None, None, 60, False)),
        ("double", (12, None, None, None, None, None, True)),
    ],
)
def test_tokens_of_every_dialect(loaded: Warehouse, name: str, expected: tuple[Any, ...]) -> None:
    assert one(loaded, TOKENS, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new", ("openai", "gpt-4o-2024-08-06", "gpt-4o", "chat", "chatcmpl-7")),
        ("old", ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5", "chat", None)),
        ("traceloo", ("openai", "gpt-4o", "gpt-4o", "text_completion", None)),
        ("inferenc", ("openai", "gpt-4o-2024-08-06", "gpt-4o", "chat", None)),
        ("vllm", ("vllm", "meta-llama/Llama-3.1-8B", None, "chat", "chatcmpl-9")),
        ("azure", ("azure-openai", "gpt-4o", "gpt-4o", "chat", None)),
        ("gemini", ("gcp.gemini", "gpt-4o", "gpt-4o", "chat", None)),
        ("image", ("openai", "gpt-4o", "gpt-4o", "image_generation", None)),
        ("litellm", ("openai", "gpt-4o-mini", "fast", "chat", None)),
    ],
)
def test_whose_model_was_called(loaded: Warehouse, name: str, expected: tuple[Any, ...]) -> None:
    assert one(loaded, "provider, raw_model, requested_model, operation, provider_response_id", name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new", (True, 1500, 250, Decimal("0.5"), 64, "priority", "eu")),
        ("inferenc", (True, 1500, None, Decimal("0.5"), 64, None, None)),
        ("vllm", (None, 1500, 125, None, None, None, None)),
        ("streamed", (None, 1500, 40, None, None, None, None)),
        ("backward", (None, None, None, None, None, None, None)),
        ("eternal", (None, None, None, None, None, None, None)),
    ],
)
def test_how_it_was_called(loaded: Warehouse, name: str, expected: tuple[Any, ...]) -> None:
    columns = "is_stream, latency_ms, ttft_ms, temperature, max_tokens, service_tier, region"
    assert one(loaded, columns, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new", ("success", None, None)),
        ("numeric", ("error", 503, "503")),
        ("limited", ("blocked_rate_limit", None, "openai.RateLimitError")),
    ],
)
def test_how_it_ended(loaded: Warehouse, name: str, expected: tuple[Any, ...]) -> None:
    assert one(loaded, "status, http_status, error_type", name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "new",
            {"team": "search", "mlflow_run_id": "run-1", "environment": "prod", "session_id": "s-1"},
        ),
        ("traceloo", {"user_id": "ann", "plan": "gold", "team": "core", "environment": "prod"}),
        (
            "inferenc",
            {"user": "ann", "team": "search", "session_id": "s-1", "labels": "a,b", "environment": "prod"},
        ),
        ("twice", {"user_id": "ann", "team": "search"}),
        ("repeated", {"team": "search"}),
        ("litellm", {"user": "ann"}),
        ("array", {}),
        ("drifted", {}),
    ],
)
def test_what_attribution_reads(loaded: Warehouse, name: str, expected: dict[str, str]) -> None:
    (found,) = one(loaded, "metadata", name)
    assert json.loads(found) == {**expected, "service_name": "chat"}


def test_metadata_that_is_no_object_is_counted(loaded: Warehouse) -> None:
    query = "select source_record_id from raw.generic__requests where _metadata_error"
    assert loaded.rows(query) == [(f"{TRACE}:{span_id('twice')}",)]


def test_costs_are_those_of_known_vendors(loaded: Warehouse) -> None:
    assert one(loaded, "gateway_reported_usd", "inferenc") == (Decimal("0.0123"),)
    assert one(loaded, "gateway_reported_usd", "litellm") == (Decimal("0.00000015"),)
    assert one(loaded, "gateway_reported_usd", "new") == (None,)


def test_audio_is_other_usage(loaded: Warehouse) -> None:
    assert json.loads(one(loaded, "other_usage", "inferenc")[0]) == {"input_audio_tokens": 7}
    assert one(loaded, "other_usage", "new") == (None,)


def test_times_are_exact_to_the_microsecond(loaded: Warehouse) -> None:
    assert one(loaded, "started_at", "new") == (datetime(2026, 3, 1, 10, 0, 0, 123456),)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_repeats_usage_or_is_no_call_is_left_out(loaded: Warehouse, name: str) -> None:
    query = "select count(*) from raw.generic__requests where source_record_id = ?"
    assert loaded.rows(query, f"{TRACE}:{span_id(name)}") == [(0,)]


@pytest.mark.parametrize(("name", "rows"), [("new", 2), ("old", 2), ("array", 1), ("array2", 1), ("beneath", 1)])
def test_a_span_that_comes_again_has_the_same_id(loaded: Warehouse, name: str, rows: int) -> None:
    query = "select count(*) from raw.generic__requests where source_record_id = ? and trace_id = ?"
    assert loaded.rows(query, f"{TRACE}:{span_id(name)}", TRACE) == [(rows,)]


def test_what_can_not_be_read_is_noted_with_its_line(loaded: Warehouse) -> None:
    neither = "not a JSON object with a field of a line of OTLP/JSON"
    assert loaded.quarantine("here") == [
        ("rotated.jsonl", 4, "gateway_reported_usd: not an amount: not read"),
        ("rotated.jsonl", 5, "started_at: not a timestamp: 0"),
        ("rotated.jsonl", 6, "source_record_id: missing"),
        ("rotated.jsonl", 7, neither),
        ("rotated.jsonl", 8, neither),
        ("rotated.jsonl", 10, "not valid JSON"),
    ]


def test_no_prompt_is_stored(loaded: Warehouse) -> None:
    loaded.assert_nowhere(SECRET)


SCOPES = [
    resource["scopeSpans"][0]["scope"]["name"]
    for line in RECORDED.read_text(encoding="utf-8").splitlines()
    for resource in json.loads(line)["resourceSpans"]
]


@pytest.mark.parametrize("scope", SCOPES)
def test_recorded_spans_of_real_instrumentations(loaded: Warehouse, scope: str) -> None:
    line = next(line for line in RECORDED.read_text(encoding="utf-8").splitlines() if f'"{scope}"' in line)
    spans = [each for part in json.loads(line)["resourceSpans"][0]["scopeSpans"] for each in part["spans"]]
    ids = [f"{each['traceId']}:{each['spanId']}" for each in spans]
    found = loaded.rows(
        "select raw_model, operation, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, status"
        " from raw.generic__requests where source_record_id in (select unnest(?)) order by started_at",
        ids,
    )
    assert found == (ANTHROPIC if "anthropic" in scope else _openai(scope))


ANTHROPIC = [
    ("claude-sonnet-4-5-20250929", "chat", 123, 7, 100, 20, "success"),
    ("busy", "chat", None, None, None, None, "blocked_rate_limit"),
]


def _openai(scope: str) -> list[tuple[Any, ...]]:
    """What the fake server answered; the instrumentation of OpenTelemetry itself tells of no cached tokens."""
    cached = None if scope.endswith(("openai_v2", "util.genai.handler")) else 64
    cached_embedding = 0 if scope.endswith("openai.v1") else None
    operation = "embedding" if scope.startswith("openinference") else "embeddings"
    chat = ("gpt-4o-2024-08-06", "chat", 120, 30, cached, None, "success")
    return [
        chat,
        chat,
        ("text-embedding-3-small", operation, 9, None, cached_embedding, None, "success"),
        ("busy", "chat", None, None, None, None, "blocked_rate_limit"),
    ]


def test_recorded_spans_hold_no_prompt() -> None:
    assert "invented" not in RECORDED.read_text(encoding="utf-8")
