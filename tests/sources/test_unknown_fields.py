"""What is kept of fields that no format reads, and that no text is among it unless somebody wants that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_spend.readers.files import find_files, format_of
from llm_spend.readers.records import LogFormat
from llm_spend.readers.unknown import NewFields, UnknownFields, keeping, new_fields, unknown_names
from llm_spend.sources import file_format
from llm_spend.sources.focus import EXPORTS
from llm_spend.sources.generic import Mapping, log_format
from llm_spend.sources.portkey import LOGS

from . import (
    test_bedrock,
    test_cloudflare,
    test_envoy,
    test_helicone,
    test_kong,
    test_litellm,
    test_otel,
    test_truefoundry,
)
from .conftest import Warehouse
from .fake_server import read_back, records_of
from .test_portkey_api import log

SECRET = "MARKER-of-a-prompt"
NEW: dict[str, Any] = {
    "new_tokens": 12,
    "ratio": 0.25,
    "is_new": True,
    "nothing": None,
    "said": SECRET,
    "details": {"n": {"deep": -1e3, "said": f'{SECRET}", 5, "'}, "list": [SECRET, 2, [SECRET]], "empty": {}},
    "list": [1, SECRET, {"said": SECRET, "n": 2}],
    "embedding": [0.123] * 500,
    "response": {"tokens": 5, "said": SECRET},
    "api_key": SECRET,
    'odd " name\\': 3,
}
OF_NUMBERS = {
    "new_tokens": 12,
    "ratio": 0.25,
    "is_new": True,
    "details": {"n": {"deep": -1e3}, "list": [None, 2, [None]], "empty": {}},
    "list": [1, None, {"said": None, "n": 2}],
    'odd " name\\': 3,
}
NEW_USAGE: dict[str, Any] = {
    "new_tokens": 4,
    "prompt_tokens_details": {"cached_tokens": 1, "new_tokens": 5, "none": None},
}
NEW_METRIC: dict[str, Any] = {"tfy.model.metric.new_tokens": 7}
OF_SPAN = test_otel.request(
    test_otel.span("a", {**test_otel.GPT, "gen_ai.usage.new_tokens": 3, "ratio": 0.25, "is_new": True, "said": SECRET})
)
OF_ALL = {name: value for name, value in NEW.items() if name not in ("nothing", "response", "api_key")}


@pytest.mark.parametrize(("kept", "expected"), [("numbers", OF_NUMBERS), ("all", OF_ALL), ("none", None)])
def test_what_is_kept(tmp_path: Path, kept: UnknownFields, expected: Any) -> None:
    fmt = keeping(LOGS, [*NEW, "id"], kept)
    told, silent, broken = records_of(fmt, tmp_path, [log("a", **NEW), log("b"), log("c", cost="dear", new_tokens=1)])
    if kept == "none":
        assert (fmt, told.keys()) == (LOGS, LOGS.kinds.keys())
        return
    assert json.loads(told["_extra"]) == expected
    assert (silent["_extra"], silent["_problem"], told["_problem"]) == (None, None, None)
    assert broken["_problem"] == "cost: not an amount: dear"


@pytest.mark.parametrize(
    "text", [SECRET, f'{SECRET}":1,"x', f'x\\"{SECRET}', f"{SECRET}\\", f'"]{SECRET}}}', f"é\n{SECRET}"]
)
def test_no_text_is_among_the_numbers_whatever_is_in_it(tmp_path: Path, text: str) -> None:
    fmt = keeping(LOGS, ["new"], "numbers")
    values = [text, {"a": text, "b": 1}, [text, 1], {"a": {"b": [text]}}, [[text], {"c": text}]]
    for row in records_of(fmt, tmp_path, [log("a", new=value) for value in values]):
        assert row["_problem"] is None
        assert SECRET not in str(row)


def test_a_name_in_a_document_is_no_text_either(tmp_path: Path) -> None:
    fmt = keeping(LOGS, ["new"], "numbers")
    values: list[Any] = [
        {"by_user": {f"{SECRET}@acme.example": 3}},
        [{f"Why is {SECRET}?": 0.9}],
        {"a": f"] {SECRET}", ",": 1, "b": 2},
        {"a": f"}}{SECRET}", "]": 1},
        {"plain-name.1": {"$n": 4}},
    ]
    *rest, plain = records_of(fmt, tmp_path, [log("a", new=value) for value in values])
    assert [row["_extra"] for row in rest] == [None] * len(rest)
    assert json.loads(plain["_extra"]) == {"new": {"plain-name.1": {"$n": 4}}}


@pytest.mark.parametrize(
    "name", ["api_key", "x-api-key", "accessToken", "Authorization", "messages", "content_filtered"]
)
def test_bodies_and_keys_are_left_out_within_documents_too(tmp_path: Path, name: str) -> None:
    fmt = keeping(LOGS, ["new", "other"], "all")
    values: list[Any] = [{"auth": {name: SECRET}}, [{"a": 1, name: [SECRET]}], {name: SECRET}]
    for row in records_of(fmt, tmp_path, [log("a", new=value, other={"said": "kept"}) for value in values]):
        assert json.loads(row["_extra"]) == {"other": {"said": "kept"}}


def test_a_name_in_other_letters_is_not_another_field() -> None:
    assert unknown_names(LOGS, ["ID", "Cost", "new", "NEW", "filename", ""]) == ["NEW"]
    many = keeping(LOGS, [f"new {number}" for number in range(80)], "numbers")
    assert len(many.json_fields) == len(LOGS.json_fields) + 50


def found(fmt: LogFormat, path: Path) -> NewFields:
    return new_fields(fmt, find_files(str(path)))


def test_files_are_looked_into_where_they_begin_and_where_they_end(tmp_path: Path) -> None:
    fmt = log_format(Mapping(columns={"started_at": "at"}))
    lines = [b'{"at": 1, "first": 2}', b"broken", b"[5]", *[b'{"at": 1}'] * 9000, b'{"at": 1, "last": "x"}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    assert found(fmt, tmp_path / "a.jsonl").top == {"first": True, "last": False}
    (tmp_path / "b.csv").write_text("at,new\n1,2\n", encoding="utf-8")
    assert found(fmt, tmp_path / "b.csv").names == set()
    (tmp_path / "c.json").write_text(json.dumps([{"at": 1, "AT": 2, "of_array": {"n": [True]}}], indent=1))
    assert found(fmt, tmp_path / "c.json").top == {"of_array": True}
    (tmp_path / "d.jsonl").write_text('{"at": 1, "messages": [{"n": 1}], "token": 2}', encoding="utf-8")
    assert found(fmt, tmp_path / "d.jsonl").top == {"messages": False, "token": True}
    assert found(EXPORTS, tmp_path / "a.jsonl").names == set()


IN_FILES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "portkey": (log("a", **NEW), OF_NUMBERS),
    "portkey: log store": (
        {
            "_id": "a",
            "metrics": log("a", new=1, runtime="x"),
            "response": {"body": {"usage": {"prompt_tokens": 5, "said": SECRET, **NEW_USAGE}}, "headers": {"n": 5}},
        },
        {"new": 1, "usage.new_tokens": 4, "usage.prompt_tokens_details.new_tokens": 5},
    ),
    "portkey: export with bodies": (
        log("a", response={"usageMetadata": {"promptTokenCount": 9, "toolUsePromptTokenCount": 3, "said": SECRET}}),
        {"usageMetadata.toolUsePromptTokenCount": 3},
    ),
    "litellm": (
        test_litellm.payload("a", new=1, saved_cache_cost=2, said=SECRET, metadata={"usage_object": NEW_USAGE}),
        {"new": 1, "usage_object.new_tokens": 4, "usage_object.prompt_tokens_details.new_tokens": 5},
    ),
    "langfuse": (
        {
            "id": "a",
            "start_time": "2026-03-01",
            "type": "GENERATION",
            "new": {"n": 1, "said": SECRET},
            "usage_details": {"input": 1, "input_new": 2, "cache_new": "6", "total": 15, "new_tokens": 6, "new.too": 0},
        },
        {"new": {"n": 1}, "usage_details.cache_new": 6, "usage_details.new_tokens": 6, "usage_details.new.too": 0},
    ),
    "helicone": (test_helicone.request("a", new=1, country_code="x"), {"new": 1}),
    "cloudflare": (test_cloudflare.log("a", new=True, request_size=3), {"new": True}),
    "kong": (
        test_kong.log("a", {"proxy": {"usage": {"prompt_token": 28, "new": 5}}}, new=1),
        {"new": 1, "usage.new": 5},
    ),
    "envoy": (test_envoy.access("a", new=1, said=SECRET), {"new": 1}),
    "bedrock": (test_bedrock.invocation("a", of_output={"newCount": 5}, new=1), {"new": 1, "output.newCount": 5}),
    "bedrock: events": (
        {"logEvents": [{"message": json.dumps(test_bedrock.invocation("a", of_input={"newCount": 5}))}]},
        {"input.newCount": 5},
    ),
    "truefoundry": (test_truefoundry.span("a", **NEW_METRIC, new=1), NEW_METRIC),
    "truefoundry: page": ({"data": [test_truefoundry.span("a", **NEW_METRIC)]}, NEW_METRIC),
    "truefoundry: list": (test_truefoundry.otlp("a", **NEW_METRIC), NEW_METRIC),
    "truefoundry: OTLP": (test_otel.request(test_truefoundry.otlp("a", **NEW_METRIC)), NEW_METRIC),
    "otel": (OF_SPAN | {"model": 3}, {"gen_ai.usage.new_tokens": 3, "ratio": 0.25, "is_new": True}),
    "otel: snake case": (test_otel.snake(OF_SPAN), {"gen_ai.usage.new_tokens": 3, "ratio": 0.25, "is_new": True}),
}


@pytest.mark.parametrize("case", IN_FILES)
def test_every_format_keeps_what_is_new_in_a_file(case: str, tmp_path: Path) -> None:
    document, expected = IN_FILES[case]
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")
    fmt = file_format(case.partition(":")[0])
    new = found(fmt, path)
    plain, keeps = (
        read_back(format_of(each, find_files(str(path))[0]), path) for each in (fmt, new.kept_by(fmt, "numbers"))
    )
    assert [json.loads(row.pop("_extra")) for row in keeps] == [expected]
    assert keeps == plain
    assert plain[0]["_problem"] is None
    assert SECRET not in str(keeps)
    assert expected.keys() <= new.names


def test_files_keep_numbers_unless_all_is_wanted(make_warehouse: Callable[[str], Warehouse]) -> None:
    warehouse = make_warehouse("unknown-fields")
    path = warehouse.write("a.jsonl.gz", [log("a", seconds=5, said="hello")])
    warehouse.write("b.jsonl", [log("b")])
    warehouse.write("c.jsonl", [log("c", response={"usage": {"new_tokens": 7, "said": SECRET}})])
    numbers = warehouse.load("portkey", path.parent / "?.jsonl*", instance="numbers")
    everything = warehouse.load("portkey", path.parent / "?.jsonl*", instance="all", unknown_fields="all")
    for report in (numbers, everything):
        assert (report.rows, report.quarantined) == (3, 0)
        assert report.warnings[0].startswith("Fields that are not known: said, seconds, usage.new_tokens. ")
    query = "select _source_instance, id, _extra from raw.portkey__logs where id is not null order by 1, 2"
    of_usage = ("c", '{"usage.new_tokens":7}')
    of_all = [("all", "a", '{"said":"hello","seconds":5}'), ("all", "b", None), ("all", *of_usage)]
    of_numbers = [("numbers", "a", '{"seconds":5}'), ("numbers", "b", None), ("numbers", *of_usage)]
    assert warehouse.rows(query) == [*of_all, *of_numbers]
