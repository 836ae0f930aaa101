"""Documents of Portkey's log store, in both of its layouts, beside lines of an export."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from llm_spend.load import LoadReport

from .conftest import Warehouse
from .fake_portkey import validate

V1 = "30/org-1/{0}.json"
V2 = "30/org-1/search-prod/2026/03/01/10/{0}.json"
EXPORTED = {"line", "wrapped", "null", "long", "answerless", "later", "cut"}


def metrics(record_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "organisation_id": "org-1",
        "created_at": "2026-03-01 10:00:00.123",
        "is_success": 1,
        "ai_org": "anthropic",
        "ai_model": "claude-sonnet-4",
        "req_units": 1100,
        "res_units": 50,
        "total_units": 1150,
        "cost": 1.383,
        "cost_currency": "USD",
        "request_url": "https://api.anthropic.com/v1/messages",
        "response_status_code": 200,
        "response_time": 210,
        "ttlt": 1820,
        "stream_mode": 1,
        "cache_status": "MISS",
        "cache_type": "",
        "mode": "fallback",
        "trace_id": "conversation-7",
        "internal_trace_id": "inbound-1",
        "api_key_id": "key-1",
        "user_id": "owner-1",
        "workspace_slug": "search-prod",
        "virtual_key": "anthropic-main",
        "metadata.key": ["_user", "team"],
        "metadata.value": ["o\\'neil@acme.io", "x" * 128],
        **fields,
    }


def document(record_id: str, body: Any = None, asked: Any = None, **fields: Any) -> dict[str, Any]:
    """A document with a body of an answer; `fields` are those of its metrics."""
    usage = {
        "input_tokens": 40,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 60,
        "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 50,
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
        "inference_geo": "US",
    }
    answer = {"id": "msg_01", "content": [{"text": "SECRET ANSWER"}], "usage": usage} if body is None else body
    request = {"model": "claude-fast", "messages": ["SECRET PROMPT"], "temperature": 0.2, "max_tokens": 512}
    return {
        "_id": record_id,
        "request": {
            "url": "https://api.anthropic.com/v1/messages?key=SECRET-in-address",
            "method": "POST",
            "headers": {"authorization": "Bearer sk-live-SECRET"},
            "portkeyHeaders": {"x-portkey-api-key": "pk-live-SECRET"},
            "body": request if asked is None else asked,
        },
        "response": {
            "status": fields.get("response_status_code", 200),
            "headers": {},
            "body": answer,
            "responseTime": 210,
            "lastUsedOptionJsonPath": "config.targets[0]",
        },
        "organisation_id": "org-1",
        "created_at": "2026-03-01T10:00:00.123Z",
        "metrics": metrics(record_id, **fields),
    }


def openai(usage: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "usage": usage, **fields}


def error(kind: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "SECRET ECHO", **fields}}


STORED = {
    "full": document("full"),
    "openai": document(
        "openai",
        openai(
            {
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            service_tier="auto",
        ),
        {"model": "gpt-5", "max_completion_tokens": 900, "temperature": "warm"},
    ),
    "responses": document("responses", openai({"input_tokens_details": {"cached_tokens": 5}}, service_tier="flex")),
    "hit": document("hit", cache_status="SEMANTIC HIT"),
    "budget": document(
        "budget", error("usage_limits_policy_exhaust_error"), is_success=0, response_status_code=412, cost=0
    ),
    "model": document("model", error("model_not_allowed_error"), is_success=0, response_status_code=412, cost=0),
    "rate": document("rate", error("rate_limits_policy_exhaust_error"), is_success=0, response_status_code=429),
    "code": document("code", error(None, code="insufficient_quota"), is_success=0, response_status_code=429),  # type: ignore[arg-type]
    "stream": document("stream", [{"delta": "SECRET ANSWER"}]),
    "text": document("text", "SECRET ANSWER"),
    "wrong-usage": document("wrong-usage", openai({"cache_read_input_tokens": "many"})),
    "metadata": document("metadata", **{"metadata.key": None, "metadata.value": None, "metadata": {"team": "ml"}}),
    "no-metadata": document("no-metadata", **{"metadata.key": [], "metadata.value": []}),
}


def without_metrics(record_id: str) -> dict[str, Any]:
    found = document(record_id)
    del found["metrics"]
    return found


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> tuple[Warehouse, LoadReport]:
    warehouse = make_warehouse("portkey-store")
    for number, (name, content) in enumerate(STORED.items()):
        warehouse.write((V1, V2)[number % 2].format(name), json.dumps(content))
    warehouse.write(V1.format("bare"), json.dumps(without_metrics("bare")))
    # As people show them, and as databases write them: over several lines, as an array, many in a file.
    warehouse.write(V2.format("pretty"), json.dumps(document("pretty"), indent=2))
    warehouse.write("30/org-1/dump.json", json.dumps([document("in-array")]))
    lines = [
        document("in-lines"),
        {"metrics": metrics("last"), **document("last")},
        {**document("late"), "created_at": None},
    ]
    packed = "".join(json.dumps(each) + "\n" for each in lines) + "{cut off"
    warehouse.write("30/org-1/lines.jsonl.gz", gzip.compress(packed.encode()))
    whole = document("whole")
    exported = [
        {**metrics("null"), "request": None, "response": None},
        {**metrics("line"), "request": whole["request"]["body"], "response": whole["response"]["body"]},
        {**metrics("wrapped"), "request": whole["request"], "response": whole["response"]},
    ]
    warehouse.write("30/export.jsonl", exported)
    # Of these the first 64 KB show no answer.
    asked = {"messages": "x" * 70_000}
    warehouse.write("30/long.jsonl", [{**metrics("long"), "request": asked, "response": whole["response"]}])
    answerless = {**metrics("answerless"), "request": whole["request"], "response": None}
    late = {**metrics("later", config="x" * 70_000), "response": whole["response"]}
    warehouse.write("30/answerless.jsonl", [answerless, late])
    warehouse.write("30/cut.jsonl", [{**metrics("cut", config="x" * 70_000), "response": whole["response"]}])
    big = {"request": {"body": {"messages": "x" * 70_000}}, **document("big")}
    warehouse.write(V2.format("big"), json.dumps(big))
    return warehouse, warehouse.load("portkey", warehouse.folder / "30", instance="store")


def one(loaded: tuple[Warehouse, LoadReport], columns: str, record_id: str) -> Any:
    ((found,),) = loaded[0].rows(f"select {columns} from raw.portkey__logs where id = ?", record_id)
    return found


@pytest.mark.parametrize("name", STORED)
def test_our_documents_are_what_portkey_describes(name: str) -> None:
    stored = json.loads(json.dumps(STORED[name]))
    for key in ("metadata.key", "metadata.value"):
        stored["metrics"][key] = stored["metrics"][key] or []
    # The gateway's own rows have 0 and 1 where the description has booleans.
    stored["metrics"]["is_success"] = bool(stored["metrics"]["is_success"])
    if isinstance(stored["response"]["body"], dict):
        validate(stored, "LogObject", "log")


def test_every_document_is_a_row_whatever_the_layout(loaded: tuple[Warehouse, LoadReport]) -> None:
    warehouse, report = loaded
    more = {"bare", "pretty", "in-array", "in-lines", "last", "late", "big"}
    ids = {row[0] for row in warehouse.rows("select id from raw.portkey__logs where _problem is null")}
    assert ids == STORED.keys() | EXPORTED | more
    assert report.quarantined == 1
    assert warehouse.quarantine("store") == [("lines.jsonl.gz", 4, "not valid JSON")]


def test_metrics_are_the_record(loaded: tuple[Warehouse, LoadReport]) -> None:
    columns = "(created_at, ai_model, req_units, cost, response_time, ttlt, is_success, stream_mode, cache_status)"
    expected = (datetime(2026, 3, 1, 10, 0, 0, 123000), "claude-sonnet-4", 1100, Decimal("1.383"), 210, 1820)
    for name in ("full", "pretty", "in-array", "in-lines", "last", "late", "big"):
        assert one(loaded, columns, name) == (*expected, True, True, "MISS"), name
    columns = "(workspace_slug, api_key_id, user_id, virtual_key, trace_id, internal_trace_id, is_from_log_store)"
    owners = ("search-prod", "key-1", "owner-1", "anthropic-main")
    assert one(loaded, columns, "full") == (*owners, "conversation-7", "inbound-1", True)


def test_metadata_has_every_shape_of_a_store(loaded: tuple[Warehouse, LoadReport]) -> None:
    assert json.loads(one(loaded, "metadata", "full")) == {"_user": "o'neil@acme.io", "team": "x" * 128}
    assert json.loads(one(loaded, "metadata", "metadata")) == {"team": "ml"}
    assert json.loads(one(loaded, "metadata", "no-metadata")) == {}
    assert loaded[0].rows("select count(*) from raw.portkey__logs where _metadata_error") == [(0,)]


def test_an_answer_tells_the_usage_in_full(loaded: tuple[Warehouse, LoadReport]) -> None:
    usage = "(cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens)"
    assert one(loaded, usage, "full") == (1000, 60, 20, None)
    assert one(loaded, usage, "openai") == (64, None, None, 30)
    assert one(loaded, usage, "responses") == (5, None, None, None)
    assert one(loaded, "(service_tier, region)", "full") == ("standard", "us")
    assert one(loaded, "(service_tier, region)", "openai") == (None, None)
    assert one(loaded, "service_tier", "responses") == "flex"
    assert json.loads(one(loaded, "other_usage", "full")) == {"web_searches": 2}
    assert json.loads(one(loaded, "other_usage", "openai")) == {"input_audio_tokens": 8}


def test_a_request_tells_what_was_asked_for(loaded: tuple[Warehouse, LoadReport]) -> None:
    columns = "(requested_model, temperature, max_tokens, provider_response_id)"
    assert one(loaded, columns, "full") == ("claude-fast", Decimal("0.2"), 512, "msg_01")
    # A parameter that is none is the caller's mistake: the request counts.
    assert one(loaded, columns, "openai") == ("gpt-5", None, 900, "chatcmpl-1")
    assert one(loaded, "(_problem, cache_read_tokens)", "wrong-usage") == (None, None)


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("budget", 412, "usage_limits_policy_exhaust_error"),
        ("model", 412, "model_not_allowed_error"),
        ("rate", 429, "rate_limits_policy_exhaust_error"),
        ("code", 429, "insufficient_quota"),
        ("stream", 200, None),
        ("text", 200, None),
    ],
)
def test_an_error_is_told_by_its_kind(loaded: tuple[Warehouse, LoadReport], name: str, status: int, kind: str) -> None:
    assert one(loaded, "(response_status_code, error_type)", name) == (status, kind)


def test_without_metrics_is_known_what_the_document_says(loaded: tuple[Warehouse, LoadReport]) -> None:
    columns = "(created_at, response_status_code, response_time, request_url, req_units, cost, cache_read_tokens)"
    address = "https://api.anthropic.com/v1/messages"
    moment = datetime(2026, 3, 1, 10, 0, 0, 123000)
    assert one(loaded, columns, "bare") == (moment, 200, 210, address, None, None, 1000)


def test_no_body_and_no_key_is_stored(loaded: tuple[Warehouse, LoadReport]) -> None:
    loaded[0].assert_nowhere("SECRET")


def test_an_export_with_bodies_tells_the_same(loaded: tuple[Warehouse, LoadReport]) -> None:
    columns = "(cache_read_tokens, requested_model, provider_response_id, is_from_log_store, response_status_code)"
    for name in ("line", "wrapped"):
        assert one(loaded, columns, name) == (1000, "claude-fast", "msg_01", False, 200), name
    assert one(loaded, columns, "null") == (None, None, None, False, 200)


@pytest.mark.parametrize("name", ["long", "later", "cut"])
def test_an_answer_is_read_however_late_it_comes_in_a_file(loaded: tuple[Warehouse, LoadReport], name: str) -> None:
    assert one(loaded, "(cache_read_tokens, provider_response_id)", name) == (1000, "msg_01")
