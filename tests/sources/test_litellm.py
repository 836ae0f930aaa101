"""LiteLLM logging payloads in every way its loggers lay them out, and payloads recorded from the real package."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import Warehouse

SECRET = "MARKER-of-a-prompt"
RECORDED = Path(__file__).parents[1] / "fixtures" / "litellm" / "payloads.jsonl"


def payload(record_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "trace_id": f"trace-{record_id}",
        "call_type": "acompletion",
        "stream": False,
        "response_cost": 0.0000015,
        "status": "success",
        "custom_llm_provider": "openai",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "startTime": 1772359200.123456,
        "endTime": 1772359201.5,
        "completionStartTime": 1772359200.75,
        "model": "gpt-4o",
        "model_group": "fast",
        "cache_hit": None,
        "end_user": "ann@acme.io",
        "messages": [{"role": "user", "content": SECRET}],
        "response": {"choices": [{"message": {"content": SECRET}}]},
        "metadata": {"user_api_key_hash": "k1", "user_api_key_team_alias": "ml"},
        **fields,
    }


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("litellm")
    write = warehouse.write
    write("s3/2026-03-01/10-00-00_a.json", json.dumps(payload("object")))
    write("s3/2026-03-01/10-00-00_b.json.gz", json.dumps(payload("object-gz")))
    write("s3/pretty.json", json.dumps(payload("pretty"), indent=2))
    write("s3/array.json", json.dumps([payload("array-1"), payload("array-2")]))
    write("s3/array-pretty.json", json.dumps([payload("array-3")], indent=4))
    usage = {
        "prompt_tokens_details": {"cached_tokens": 70, "cache_creation_tokens": 20},
        "cache_creation_input_tokens": 25,
        "cache_creation": {"ephemeral_1h_input_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    tags = {"spend_logs_metadata": {"feature": "chat"}, "requester_metadata": {"feature": "x", "team": "ml"}}
    budget = {"error_code": "422", "error_class": "BudgetExceededError", "error_rate_limit_type": "budget"}
    iso = {"startTime": "2026-03-01T10:00:00Z", "endTime": "2026-03-01 10:00:01.5"}
    write(
        "gcs/lines.ndjson",
        [
            payload("iso", **iso),
            payload("usage", metadata={"usage_object": usage}),
            payload("tags", metadata=tags),
            payload("hit", cache_hit=True, response_cost=0),
            payload("budget", status="failure", error_information=budget),
            payload("tiny", response_cost=1.5e-7),
            payload("", trace_id="nobody"),
        ],
    )
    report = warehouse.load("litellm", warehouse.folder / "*" / "**" / "*.*json*", instance="proxy")
    assert (report.files, report.rows, report.quarantined) == (6, 13, 1)
    return warehouse


def one(loaded: Warehouse, column: str, record_id: str) -> Any:
    return loaded.rows(f"select {column} from raw.litellm__payloads where id = ?", record_id)[0][0]


@pytest.mark.parametrize("record_id", ["object", "object-gz", "pretty", "array-1", "array-2", "array-3", "iso"])
def test_every_layout_gives_the_same_row(loaded: Warehouse, record_id: str) -> None:
    columns = "(prompt_tokens, completion_tokens, response_cost, model, end_user, api_key_hash, team_alias)"
    assert one(loaded, columns, record_id) == (100, 20, Decimal("0.000001500000"), "gpt-4o", "ann@acme.io", "k1", "ml")


def test_times_are_epoch_seconds_or_iso(loaded: Warehouse) -> None:
    expected = datetime(2026, 3, 1, 10, 0, 0, 123456), datetime(2026, 3, 1, 10, 0, 1, 500000)
    assert one(loaded, "(start_time, end_time)", "object") == expected
    assert one(loaded, "(start_time, end_time)", "iso") == (expected[0].replace(microsecond=0), expected[1])


def test_cache_and_reasoning_tokens_come_from_the_usage_object(loaded: Warehouse) -> None:
    columns = "(cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens)"
    assert one(loaded, columns, "usage") == (70, 25, 5, 8)
    assert one(loaded, columns, "object") == (None, None, None, None)


def test_tags_for_the_spend_log_win(loaded: Warehouse) -> None:
    assert json.loads(one(loaded, "metadata", "tags")) == {"feature": "chat", "team": "ml"}


def test_a_refusal_keeps_what_the_gateway_says(loaded: Warehouse) -> None:
    columns = "(status, error_code, error_class, error_rate_limit_type)"
    assert one(loaded, columns, "budget") == ("failure", 422, "BudgetExceededError", "budget")


def test_small_amounts_and_cache_hits(loaded: Warehouse) -> None:
    assert one(loaded, "response_cost", "tiny") == Decimal("0.000000150000")
    assert one(loaded, "(is_cache_hit, response_cost)", "hit") == (True, Decimal(0))


def test_a_payload_without_id_is_quarantined(loaded: Warehouse) -> None:
    assert loaded.quarantine("proxy") == [("lines.ndjson", 7, "id: missing")]


def test_no_prompt_and_no_answer_is_stored(loaded: Warehouse) -> None:
    loaded.assert_nowhere(SECRET)


@pytest.fixture(scope="module")
def recorded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("litellm_recorded")
    report = warehouse.load("litellm", RECORDED)
    assert (report.rows, report.quarantined) == (8, 0)
    return warehouse


@pytest.mark.parametrize("payload", [json.loads(line) for line in RECORDED.read_text().splitlines()])
def test_recorded_payloads_of_the_real_package(recorded: Warehouse, payload: dict[str, Any]) -> None:
    usage = payload["metadata"]["usage_object"]
    details = usage.get("prompt_tokens_details") or {}
    error = payload["error_information"]
    columns = {
        "status": payload["status"],
        "model": payload["model"],
        "custom_llm_provider": payload["custom_llm_provider"],
        "prompt_tokens": payload["prompt_tokens"],
        "completion_tokens": payload["completion_tokens"],
        "response_cost": Decimal(repr(payload["response_cost"])).quantize(Decimal("1e-12")),
        "cache_read_tokens": usage.get("cache_read_input_tokens"),
        "cache_write_tokens": usage.get("cache_creation_input_tokens"),
        "cache_write_1h_tokens": (details.get("cache_creation_token_details") or {}).get("ephemeral_1h_input_tokens"),
        "start_time": datetime.fromtimestamp(payload["startTime"], UTC).replace(tzinfo=None),
        "team_alias": payload["metadata"]["user_api_key_team_alias"],
        "error_code": int(error["error_code"]) if error["error_code"] else None,
        "error_rate_limit_type": error["error_rate_limit_type"],
        "is_stream": payload["stream"],
    }
    assert one(recorded, f"({', '.join(columns)})", payload["id"]) == tuple(columns.values())


def test_recorded_prompts_are_not_stored(recorded: Warehouse) -> None:
    assert "An invented prompt" in RECORDED.read_text()
    recorded.assert_nowhere("An invented")
