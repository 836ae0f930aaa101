"""Logs of Kong's log plugins, in the older layout by plugin and in the newer one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from .conftest import Warehouse

SECRET = "MARKER-of-a-prompt"
PROXY = {
    "usage": {
        "prompt_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens": 30,
        "completion_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 150,
        "cost": 0.00038,
        "time_to_first_token": 210,
    },
    "meta": {
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "provider_name": "openai",
        "llm_latency": 900,
        "request_mode": "stream",
    },
    "payload": {"request": SECRET},
}
COHERE = {
    "usage": {"prompt_token": 28, "completion_token": 20, "total_tokens": 48, "cost": 0, "time_per_token": 133},
    "meta": {"request_model": "command", "response_model": "command", "provider_name": "cohere", "llm_latency": 2670},
    "payload": {"response": SECRET},
}
AZURE = {
    "usage": {"prompt_token": 89, "completion_token": 56, "total_tokens": 145, "cost": 0.0012},
    "meta": {"request_model": "gpt-35-turbo", "response_model": "gpt-35-turbo", "provider_name": "azure"},
    "cache": {"cache_status": "Hit", "fetch_latency": 21},
}


def log(request_id: str, ai: Any, **fields: Any) -> dict[str, Any]:
    return {
        "started_at": 1772359200123,
        "request": {"id": request_id, "uri": "/openai/v1/chat/completions", "headers": {"x-team": "search"}},
        "response": {"status": 200, "headers": {"content-type": "application/json"}},
        "latencies": {"request": 1000, "kong": 10, "proxy": 900},
        "tries": [{"ip": "10.0.0.1", "code": 200}],
        "consumer": {"id": "c-1", "username": "backend", "custom_id": "ann@acme.io"},
        "authenticated_entity": {"id": "key-1"},
        "service": {"id": "s-1", "name": "llm"},
        "route": {"id": "r-1", "name": "chat"},
        "workspace": "w-1",
        "client_ip": "10.1.1.1",
        "ai": ai,
        **fields,
    }


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("kong")
    old = {"payload": {"request": SECRET}, "ai-proxy": AZURE, "ai-request-transformer": COHERE}
    beside = {**PROXY, "usage": {**PROXY["usage"], "prompt_tokens": 56}}
    nameless = log("", {"proxy": PROXY})
    broken = log("broken", {"proxy": {**PROXY, "usage": {"prompt_tokens": -1}}})
    lines = [
        log("new", {"proxy": PROXY}),
        log("old", old, tries=[{"code": 502}, {"code": 200}], response={"status": 429, "headers": {}}),
        log("beside", {"proxy": beside}),
        log("unlogged", {"proxy": {"meta": PROXY["meta"]}}, consumer=None, request={"id": "unlogged"}),
        log("guard", {"ai-prompt-guard": {"denied": True}, "payload": {"request": SECRET}}),
        log("plain", None),
        {**log("noai", None), "ai": []},
        nameless,
        nameless,
        broken,
        {**log("timeless", {"proxy": PROXY}), "started_at": "yesterday"},
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    path = warehouse.write("kong.log", content + json.dumps(log("cut", {"proxy": PROXY}))[:-40])
    report = warehouse.load("kong", path, instance="gateway")
    assert (report.rows, report.quarantined) == (10, 3)
    return warehouse


def one(loaded: Warehouse, columns: str, record_id: str) -> Any:
    return loaded.rows(f"select {columns} from raw.generic__requests where source_record_id = ?", record_id)[0]


TOKENS = (
    "(input_tokens, output_tokens, cache_read_tokens, reasoning_tokens, total_tokens, input_includes_cache,"
    " gateway_reported_usd)"
)


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [
        ("new:proxy", (120, 30, 64, 12, 150, True, Decimal("0.00038"))),
        ("old:ai-proxy", (89, 56, None, None, 145, True, Decimal("0.0012"))),
        ("old:ai-request-transformer", (28, 20, None, None, 48, True, None)),
        ("beside:proxy", (56, 30, 64, 12, 150, False, Decimal("0.00038"))),
        ("unlogged:proxy", (None, None, None, None, None, True, None)),
    ],
)
def test_tokens_and_cost_of_every_layout(loaded: Warehouse, record_id: str, expected: tuple[Any, ...]) -> None:
    assert one(loaded, TOKENS, record_id) == (expected,)


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [
        ("new:proxy", ("openai", "gpt-4o-2024-08-06", "gpt-4o", "new", 200, None, True, 900, 210)),
        ("old:ai-proxy", ("azure", "gpt-35-turbo", "gpt-35-turbo", "old", 429, True, None, 1000, None)),
        ("old:ai-request-transformer", ("cohere", "command", "command", "old", 429, None, None, 2670, None)),
    ],
)
def test_each_plugin_is_a_call(loaded: Warehouse, record_id: str, expected: tuple[Any, ...]) -> None:
    columns = (
        "provider, raw_model, requested_model, logical_request_id, http_status, is_gateway_cache_hit, is_stream,"
        " latency_ms, ttft_ms"
    )
    assert one(loaded, columns, record_id) == expected


def test_times_are_milliseconds(loaded: Warehouse) -> None:
    assert one(loaded, "started_at", "new:proxy") == (datetime(2026, 3, 1, 10, 0, 0, 123000),)


def test_who_called(loaded: Warehouse) -> None:
    user, key, metadata = one(loaded, "gateway_user_id, api_key_id, metadata", "old:ai-proxy")
    assert (user, key) == ("backend", "key-1")
    assert json.loads(metadata) == {
        "user": "ann@acme.io",
        "team": "search",
        "service": "llm",
        "route": "chat",
        "workspace": "w-1",
        "plugin": "ai-proxy",
        "tries": "2",
    }
    assert one(loaded, "gateway_user_id", "unlogged:proxy") == (None,)


def test_a_request_without_an_id_gets_one_of_its_content(loaded: Warehouse) -> None:
    query = (
        "select count(*), count(distinct source_record_id) from raw.generic__requests"
        " where length(source_record_id) = 38"
    )
    assert loaded.rows(query) == [(2, 1)]


@pytest.mark.parametrize("request_id", ["guard", "plain", "noai"])
def test_requests_that_called_no_model_are_left_out(loaded: Warehouse, request_id: str) -> None:
    query = "select count(*) from raw.generic__requests where starts_with(source_record_id, ?)"
    assert loaded.rows(query, request_id) == [(0,)]


def test_what_can_not_be_read_is_noted_with_its_line(loaded: Warehouse) -> None:
    assert loaded.quarantine("gateway") == [
        ("kong.log", 10, "input_tokens: not a whole number of 0 or more: -1"),
        ("kong.log", 11, "started_at: not a timestamp: yesterday"),
        ("kong.log", 12, "not valid JSON"),
    ]


def test_no_payload_is_stored(loaded: Warehouse) -> None:
    loaded.assert_nowhere(SECRET)
