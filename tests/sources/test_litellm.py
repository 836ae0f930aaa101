"""LiteLLM logging payloads in every way its loggers lay them out, and payloads recorded from the real package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
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
            payload("wording", status="failure", error_information={"error_code": "tokens_exceeded"}, cache_hit="None"),
            payload("", litellm_call_id="call-of-nobody"),
            payload("", trace_id="nobody"),
            payload("hashed", cache_key="proxy-1:" + "ab" * 32),
            payload("uncached", cache_key="Cache OFF"),
            payload("own-key", cache_key=f"gpt-4o {SECRET}"),
        ],
    )
    report = warehouse.load("litellm", warehouse.folder / "*" / "**" / "*.*json*", instance="proxy")
    assert (report.files, report.rows, report.quarantined) == (6, 18, 1)
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


def test_a_word_instead_of_a_number_or_an_id_is_no_problem(loaded: Warehouse) -> None:
    assert one(loaded, "(error_code, is_cache_hit, status)", "wording") == (None, None, "failure")
    assert one(loaded, "litellm_call_id", "call-of-nobody") == "call-of-nobody"


def test_small_amounts_and_cache_hits(loaded: Warehouse) -> None:
    assert one(loaded, "response_cost", "tiny") == Decimal("0.000000150000")
    assert one(loaded, "(is_cache_hit, response_cost)", "hit") == (True, Decimal(0))


def test_only_a_hash_of_the_prompt_is_kept(loaded: Warehouse) -> None:
    hashes = [one(loaded, "prompt_hash", record_id) for record_id in ("hashed", "uncached", "own-key", "object")]
    assert hashes == ["ab" * 32, None, None, None]


def test_a_payload_without_id_is_quarantined(loaded: Warehouse) -> None:
    assert loaded.quarantine("proxy") == [("lines.ndjson", 9, "id: missing")]


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


def usage(prompt: dict[str, Any] | None = None, answer: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """The metadata of a payload whose usage has these details, in the shape of litellm 1.109."""
    return {"usage_object": {"prompt_tokens_details": prompt, "completion_tokens_details": answer, **fields}}


# By id: the metadata of a payload and its `other_usage`.
OTHER_USAGE: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "no-usage": ({}, None),
    "no-details": (usage(), None),
    "details-of-nothing": (usage({"audio_tokens": None, "cached_tokens": 5}, {"reasoning_tokens": 3}), None),
    "text-only": (usage({"audio_tokens": None, "text_tokens": 100}), {}),
    "zeros": (usage({"audio_tokens": 0, "image_tokens": 0}, {"audio_tokens": 0}), {}),
    "audio": (
        usage({"audio_tokens": 60, "text_tokens": 40}, {"audio_tokens": 10, "text_tokens": 10}),
        {"input_audio_tokens": 60, "output_audio_tokens": 10},
    ),
    "cached-audio": (
        usage(
            {"audio_tokens": 60, "image_tokens": 9, "cached_tokens_details": {"audio_tokens": 25, "image_tokens": 9}}
        ),
        {"cache_read_audio_tokens": 25, "cache_read_image_tokens": 9, "input_audio_tokens": 35},
    ),
    # Without the cached part beside it, the other one is without it already.
    "uncached-audio": (
        usage({"audio_tokens": 20, "cached_tokens": 50, "cached_tokens_details": {"audio_tokens": 50}}),
        {"cache_read_audio_tokens": 50, "input_audio_tokens": 20},
    ),
    "video": (usage({"video_tokens": 7}, {"video_tokens": 8}), {"input_video_tokens": 7, "output_video_tokens": 8}),
    "drawn": (usage({"image_tokens": 5}, {"image_tokens": 12}), {"input_image_tokens": 5, "output_image_tokens": 12}),
    "claude-searches": (
        usage(server_tool_use={"web_search_requests": 2, "tool_search_requests": None}),
        {"web_searches": 2},
    ),
    "gemini-searches": (usage({"text_tokens": 100, "web_search_requests": 1}), {"web_searches": 1}),
    "no-searches": (usage(server_tool_use={"web_search_requests": 0}), {}),
    "transcribed": ({"usage_object": {"type": "duration", "seconds": 61.25}}, {"audio_seconds": 61.25}),
    "heard": (
        usage({"audio_length_seconds": 3.5, "character_count": 80}),
        {"audio_seconds": 3.5, "input_characters": 80},
    ),
    "read": (
        {"usage_object": {"pages_processed": 10, "pages_processed_annotation": 4, "doc_size_bytes": 99}},
        {"annotated_pages": 4, "pages": 10},
    ),
}


@pytest.fixture(scope="module")
def billed(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    """Payloads with usage besides tokens, and payloads of which the provider says how and where it served them."""
    warehouse = make_warehouse("litellm_billed")
    records = [payload(name, metadata=metadata) for name, (metadata, _) in OTHER_USAGE.items()]
    asked = {"model_parameters": {"service_tier": "priority", "inference_geo": "eu"}}
    records += [
        payload("tier-of-request", **asked),
        payload(
            "tier-downgraded", cost_breakdown={"service_tier": None}, metadata=usage(service_tier="default"), **asked
        ),
        payload("tier-priced", cost_breakdown={"service_tier": "flex", "data_residency": "us"}, **asked),
        payload("tier-fast", metadata=usage(speed="fast", service_tier="standard", inference_geo="us")),
        payload("geo-unknown", metadata=usage(inference_geo="not_available"), api_base="https://EU.example.com"),
        payload("host-eu", api_base="https://eu.api.openai.com/v1/"),
        payload("host-base", api_base="https://api.openai.com"),
        payload("host-false", api_base="https://eu.api.openai.com.example.com"),
        payload("vertex", cost_breakdown={"vertex_location": "us-east5"}),
        payload("wrong-sign", metadata=usage({"audio_tokens": 5, "image_tokens": -1})),
        payload("wrong-type", metadata=usage(server_tool_use={"web_search_requests": "many"})),
    ]
    report = warehouse.load("litellm", warehouse.write("billed.jsonl", records), instance="billed")
    assert (report.rows, report.quarantined) == (len(records), 2)
    return warehouse


@pytest.mark.parametrize("record_id", OTHER_USAGE)
def test_other_usage_is_what_the_details_say(billed: Warehouse, record_id: str) -> None:
    found = one(billed, "other_usage", record_id)
    assert (json.loads(found) if found else found) == OTHER_USAGE[record_id][1]
    if found:
        assert list(json.loads(found)) == sorted(json.loads(found))


@pytest.mark.parametrize(
    ("record_id", "tier", "region"),
    [
        ("tier-of-request", None, "eu"),
        ("tier-downgraded", "default", "eu"),
        ("tier-priced", "flex", "us"),
        ("tier-fast", "fast", "us"),
        ("geo-unknown", None, None),
        ("host-eu", None, "eu"),
        ("host-base", None, None),
        ("host-false", None, None),
        ("vertex", None, "us-east5"),
    ],
)
def test_tier_and_region_are_those_that_served(
    billed: Warehouse, record_id: str, tier: str | None, region: str | None
) -> None:
    assert one(billed, "(service_tier, region)", record_id) == (tier, region)


def test_a_quantity_that_is_none_is_quarantined(billed: Warehouse) -> None:
    last = len(OTHER_USAGE) + 11
    assert billed.quarantine("billed") == [
        (
            "billed.jsonl",
            last - 1,
            "other_usage: not quantities of 0 or more: input_audio_tokens 5, input_image_tokens",
        ),
        ("billed.jsonl", last, "other_usage: not quantities of 0 or more: web_searches many"),
    ]


def test_a_table_of_an_earlier_version_gets_the_columns(billed: Warehouse, tmp_path: Path) -> None:
    before = Warehouse(tmp_path)
    shutil.copyfile(billed.database, before.database)
    with duckdb.connect(str(before.database)) as connection:
        for column in ("other_usage", "region"):
            connection.execute(f"alter table llm_spend_raw.litellm__payloads drop column {column}")
        # What that version knew of its tables; the newest version counts.
        connection.execute("update llm_spend_raw._dlt_version set schema = replace(schema, 'other_usage', 'no_column')")
        connection.execute("update llm_spend_raw._dlt_version set version_hash = 'earlier' || version_hash")
    again = [payload("again", metadata=usage({"audio_tokens": 3}))]
    before.load("litellm", before.write("again.jsonl", again), instance="again")
    assert json.loads(one(before, "other_usage", "again")) == {"input_audio_tokens": 3}
    assert one(before, "other_usage", "audio") is None


def test_recorded_prompts_are_not_stored(recorded: Warehouse) -> None:
    assert "An invented prompt" in RECORDED.read_text()
    recorded.assert_nowhere("An invented")
