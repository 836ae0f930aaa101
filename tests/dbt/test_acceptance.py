"""What people report as wrong about cost tools, from log file to mart, as exact Decimals.

Every case goes the whole way: a file as the gateway writes it, `load_logs`, one `build`, a query. The ids of its
records begin with the name of the case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.build import build
from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.sources.generic import Mapping

pytestmark = pytest.mark.slow

RECORDED = Path(__file__).parents[1] / "fixtures" / "litellm" / "payloads.jsonl"
MAY = datetime(2026, 5, 4, 10, tzinfo=UTC)
JUNE = datetime(2026, 6, 10, tzinfo=UTC)


def payload(
    record_id: str,
    model: str,
    prompt: int,
    completion: int,
    *,
    at: datetime = MAY,
    seconds: float = 2,
    cached: int | None = None,
    written: int | None = None,
    written_1h: int | None = None,
    reasoning: int | None = None,
    tags: Any = None,
    **fields: Any,
) -> dict[str, Any]:
    """A LiteLLM logging payload; the provider is told by the model's name."""
    provider = next(name for start, name in PROVIDERS.items() if model.startswith(start))
    usage = {
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_creation_tokens": written,
            "cache_creation_token_details": {"ephemeral_1h_input_tokens": written_1h},
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    return {
        "id": record_id,
        "trace_id": record_id,
        "call_type": "acompletion",
        "status": "success",
        "custom_llm_provider": provider,
        "model": model,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "startTime": at.timestamp(),
        "endTime": (at + timedelta(seconds=seconds)).timestamp(),
        "metadata": {"usage_object": usage, "spend_logs_metadata": tags},
        **fields,
    }


PROVIDERS = {"gpt": "openai", "claude": "anthropic", "gemini": "gemini"}
TOKENS_OF_A_DOLLAR = 100_000  # of gpt-4o's output, at $10 for a million


def failed(code: int, name: str) -> dict[str, Any]:
    return {"status": "failure", "error_information": {"error_code": str(code), "error_class": name}}


def dollars(record_id: str, amount: int, at: datetime, **tags: str) -> dict[str, Any]:
    return payload(record_id, "gpt-4o", 0, amount * TOKENS_OF_A_DOLLAR, at=at, tags=tags or None)


PAYLOADS = [
    # A. Token composition
    payload("a1", "gpt-4o", 2006, 300, cached=1920),
    payload("a3", "claude-sonnet-4-5", 100_000, 0, written=90_000, written_1h=60_000),
    payload("a4", "claude-sonnet-4-5", 1000, 10, written=50, written_1h=80),
    payload("a5", "claude-haiku-4-5", 0, 0, cached=1_000_000),
    payload("a6", "gpt-5-mini", 2746, 197, cached=2208, reasoning=64),
    payload("a7", "gemini-2.5-flash", 15, 1020, reasoning=661),
    payload("a12", "gpt-4o", 100, 10, total_tokens=150),
    # E. Ingestion
    payload("e46", "gpt-4o", 100, 2, seconds=1),
    payload("e46", "gpt-4o", 100, 480, seconds=5),
    payload("e46", "gpt-4o", 100, 7, seconds=3),
    payload("e47", "gpt-4o", 0, 0),
    payload("e47", "gpt-4o", 271, 5774),
    payload("e49-1", "gpt-4o", 1000, 100, trace_id="e49", **failed(500, "InternalServerError")),
    payload("e49-2", "gpt-4o", 1000, 200, trace_id="e49", at=MAY + timedelta(seconds=5), **failed(500, "APIError")),
    payload("e49-3", "gpt-4o", 1000, 300, trace_id="e49", at=MAY + timedelta(seconds=9)),
    payload("e50", "gpt-4o", 0, 0, **failed(408, "Timeout")),
    payload("e51-1", "gpt-4o", 0, 0, trace_id="e51", model_group="gpt-4o", **failed(429, "RateLimitError")),
    payload("e51-2", "claude-sonnet-4-5", 100, 10, trace_id="e51", model_group="gpt-4o", at=MAY + timedelta(seconds=3)),
    payload("e52", "gpt-4o", 100, 1, seconds=1, stream=True),
    payload("e52", "gpt-4o", 100, 511, seconds=4, stream=True, **failed(500, "MidStreamFallbackError")),
    # LiteLLM calls it a success when the client leaves.
    payload("e52-left", "gpt-4o", 100, 40, stream=True, **failed(499, "ClientDisconnected") | {"status": "success"}),
    payload("e53", "gpt-4o", 2722, 2500, cache_hit=True, response_cost=0, saved_cache_cost=0.031807),
    payload("e54-batch", "gpt-4o", 1000, 100, call_type="acreate_batch"),
    *(
        payload(f"e54-poll-{n}", "gpt-4o", 0, 0, call_type="aretrieve_batch", at=MAY + timedelta(minutes=n))
        for n in range(5)
    ),
    # What LiteLLM's logs add to the id of a call; the last of each is another log's.
    payload("dup-batch", "gpt-4o", 0, 0, call_type="acreate_batch", at=JUNE),
    payload("dup-batch", "gpt-4o", 1000, 100, call_type="aretrieve_batch", response_cost=1, at=JUNE, seconds=60),
    payload("dup-batch", "gpt-4o", 0, 0, call_type="aretrieve_batch", response_cost=0, at=JUNE, seconds=90),
    payload("dup-batch_batch_cost", "gpt-4o", 1000, 100, call_type="aretrieve_batch", at=JUNE, seconds=60),
    payload("dup-answer", "gpt-4o", 0, 0, call_type="aresponses", at=JUNE),
    payload("dup-answer", "gpt-4o", 1000, 100, call_type="aget_responses", at=JUNE, seconds=90),
    payload("dup-answer_background_cost", "gpt-4o", 1000, 100, call_type="aget_responses", at=JUNE, seconds=60),
    payload("dup-hit_cache_hit1.5", "gpt-4o", 1000, 100, cache_hit=True, litellm_call_id="c", at=JUNE),
    payload("dup-hit_cache_hit1.7", "gpt-4o", 1000, 100, cache_hit=True, litellm_call_id="c", at=JUNE),
    payload("e61-text", "gpt-4o", 10, 10, tags="team=ml"),
    payload("e61-list", "gpt-4o", 10, 10, tags=["ml"]),
    payload("e61-nested", "gpt-4o", 10, 10, tags={"team": {"name": "ml"}, "feature": "chat"}),
    payload("e61-number", "gpt-4o", 10, 10, tags={"team": 7}),
    payload("e61-long", "gpt-4o", 10, 10, tags={"team": "t" * 200}),
    # F. Attribution and rounding: each in a month of its own
    dollars("f62", 10, datetime(2026, 1, 10, tzinfo=UTC), env="prod", team="ml"),
    dollars("f63", 10, datetime(2026, 2, 10, tzinfo=UTC), team="a", team_id="b"),
    dollars("f64-tagged", 920, datetime(2026, 3, 10, tzinfo=UTC), team="ml"),
    dollars("f64-untagged", 80, datetime(2026, 3, 10, tzinfo=UTC)),
    payload("f72-1", "gpt-4o", 10, 10, tags={"user": "Bob@Email.com "}),
    payload("f72-2", "gpt-4o", 10, 10, end_user="bob@email.com"),
]


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def repeated_messages() -> list[dict[str, Any]]:
    """926 lines for 231 messages of 175,202 tokens together; one of them is logged 14 times."""
    copies = [14, *[4] * 222, *[3] * 8]
    tokens = [175_202 - 230 * 700, *[700] * 230]
    assert (len(copies), sum(copies), sum(tokens)) == (231, 926, 175_202)
    return [
        {"id": f"e45-{n}", "ts": "2026-05-05T10:00:00Z", "in": total}
        for n, (count, total) in enumerate(zip(copies, tokens, strict=True))
        for _ in range(count)
    ]


SMALL_REQUESTS = 20_000


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("acceptance")
    database = root / "acceptance.duckdb"
    (root / "payloads.jsonl").write_text(lines(PAYLOADS))
    # The same window again, in another file: a second export overlaps the first.
    (root / "payloads-again.jsonl").write_text(lines(PAYLOADS[::-1]))
    load_logs("litellm", str(root / "payloads*.jsonl"), DuckDb(database), instance="proxy")
    load_logs("litellm", str(RECORDED), DuckDb(database), instance="recorded")

    generic = {"source": "app", "defaults": {"provider": "openai", "raw_model": "gpt-4o-mini"}}
    columns = {"source_record_id": "id", "started_at": "ts", "input_tokens": "in"}
    (root / "e45.jsonl").write_text(lines(repeated_messages()))
    load_logs(
        "generic",
        str(root / "e45.jsonl"),
        DuckDb(database),
        mapping=Mapping(columns=columns, instance="e45", **generic),
    )
    day = datetime(2026, 4, 1)
    (root / "f67.csv").write_text(
        "ts,in\n" + "".join(f"{day + timedelta(seconds=n)},30\n" for n in range(SMALL_REQUESTS))
    )
    without_ids = {name: column for name, column in columns.items() if name != "source_record_id"}
    load_logs(
        "generic",
        str(root / "f67.csv"),
        DuckDb(database),
        mapping=Mapping(columns=without_ids, instance="f67", **generic),
    )
    (root / "g74.jsonl").write_text(lines([{"id": "g74", "ts": "2026-10-31T23:30:00-07:00", "in": 10}]))
    load_logs(
        "generic",
        str(root / "g74.jsonl"),
        DuckDb(database),
        mapping=Mapping(columns=columns, instance="g74", **generic),
    )
    # A load that was killed: its rows are in the raw table, but the load is not in the list of loads.
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "insert into llm_spend_raw.litellm__payloads by name"
            " select * replace ('killed' as id, 'killed' as _dlt_load_id) from llm_spend_raw.litellm__payloads limit 1"
        )

    report = build(DuckDb(database))
    assert report.ok, [*report.failures, *report.failed_tests]
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


def fact(warehouse: duckdb.DuckDBPyConnection, record_id: str, *columns: str) -> tuple[Any, ...]:
    """The one row of a record."""
    found = warehouse.execute(
        f"select {', '.join(columns)} from llm_spend.fct_llm_requests where source_record_id = ?", [record_id]
    ).fetchall()
    assert len(found) == 1
    return found[0]


def total(warehouse: duckdb.DuckDBPyConnection, measure: str, relation: str, condition: str) -> Any:
    row = warehouse.execute(f"select {measure} from llm_spend.{relation} where {condition}").fetchone()
    assert row
    return row[0] if len(row) == 1 else row


@pytest.mark.parametrize(
    ("record_id", "cost", "status"),
    [
        ("a1", "0.005615", "priced"),
        ("a3", "0.5025", "priced"),
        ("a5", "0.10", "priced"),
        ("a6", "0.0005837", "priced"),
        # The model has another price for audio, and the log does not say whether there was any.
        ("a7", "0.0025545", "parent_unit"),
    ],
)
def test_a_cost_of_composed_tokens(
    warehouse: duckdb.DuckDBPyConnection, record_id: str, cost: str, status: str
) -> None:
    assert fact(warehouse, record_id, "cost_usd", "price_status") == (Decimal(cost), status)


def test_a2_the_leaves_of_anthropics_usage_sum_to_its_total(warehouse: duckdb.DuckDBPyConnection) -> None:
    buckets = ["uncached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"]
    found = warehouse.execute(
        f"select {', '.join(buckets)}, input_tokens, output_tokens, total_tokens, cost_usd, gateway_reported_usd"
        " from llm_spend.fct_llm_requests where source_instance = 'recorded' and provider = 'anthropic'"
    ).fetchall()
    # LiteLLM reports the same cost for it.
    cost = Decimal("0.01974885")
    assert found == [(3, 285, 2000, 22137, 24425, 2, 24427, cost, cost)]


def test_a4_a_split_that_cannot_be_is_not_priced(warehouse: duckdb.DuckDBPyConnection) -> None:
    columns = ("price_status", "token_quality", "cost_usd", "cache_write_5m_tokens")
    assert fact(warehouse, "a4", *columns) == ("usage_conflict", "usage_conflict", None, None)


def test_a6_reasoning_is_inside_the_output(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "a6", "output_tokens", "reasoning_tokens", "total_tokens") == (197, 64, 2943)


def test_a12_a_total_that_differs_from_its_parts_is_flagged(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "a12", "token_quality") == ("total_mismatch",)


def test_a12_no_token_is_invented(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "a12", "input_tokens", "output_tokens", "total_tokens") == (100, 10, 110)


def test_recorded_payloads_cost_what_litellm_says(warehouse: duckdb.DuckDBPyConnection) -> None:
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    for each in recorded:
        expected = Decimal(repr(each["response_cost"])).quantize(Decimal("1e-12"))
        assert fact(warehouse, each["id"], "cost_usd") == (expected,)
    statuses = warehouse.execute(
        "select status from llm_spend.fct_llm_requests where source_instance = 'recorded' order by started_at"
    ).fetchall()
    expected_statuses = ["success"] * 4 + ["error", "blocked_rate_limit", "error", "blocked_budget"]
    assert [row[0] for row in statuses] == expected_statuses


def test_e45_one_message_logged_many_times_is_one_request(warehouse: duckdb.DuckDBPyConnection) -> None:
    measures = "sum(requests), sum(attempts), sum(total_tokens)"
    assert total(warehouse, measures, "llm_usage_by_model_daily", "usage_date = '2026-05-05'") == (231, 231, 175_202)


@pytest.mark.parametrize(("record_id", "tokens"), [("e46", (100, 480)), ("e47", (271, 5774))])
def test_e46_e47_the_last_word_on_usage_wins(
    warehouse: duckdb.DuckDBPyConnection, record_id: str, tokens: tuple[int, int]
) -> None:
    assert fact(warehouse, record_id, "input_tokens", "output_tokens") == tokens


def test_e48_the_same_window_twice_counts_once(warehouse: duckdb.DuckDBPyConnection) -> None:
    ids = {each["id"] for each in PAYLOADS if not each["id"].startswith("dup-")}
    of_proxy = "source_instance = 'proxy' and source_record_id not like 'dup-%'"
    assert total(warehouse, "count(*)", "fct_llm_requests", of_proxy) == len(ids)


def test_e48_a_killed_load_counts_for_nothing(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert total(warehouse, "count(*)", "fct_llm_requests", "source_record_id = 'killed'") == 0


def test_e49_failed_attempts_with_usage_cost_money_and_are_no_requests(warehouse: duckdb.DuckDBPyConnection) -> None:
    measures = "count(*), sum(is_final_attempt::int), sum(cost_usd), sum(cost_usd) filter (not is_final_attempt)"
    expected = (3, 1, Decimal("0.0135"), Decimal("0.0080"))
    assert total(warehouse, measures, "fct_llm_requests", "logical_request_id = 'e49'") == expected
    assert fact(warehouse, "e49-3", "is_final_attempt") == (True,)


def test_e50_a_timeout_without_usage_has_no_known_cost(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "e50", "price_status", "cost_usd", "total_tokens") == ("unmeasured", None, 0)


def test_e51_a_fallback_is_charged_to_the_model_that_answered(warehouse: duckdb.DuckDBPyConnection) -> None:
    columns = ("requested_model", "resolved_model", "provider", "cost_usd", "is_final_attempt")
    assert fact(warehouse, "e51-2", *columns) == (
        "gpt-4o",
        "claude-sonnet-4-5",
        "anthropic",
        Decimal("0.00045"),
        True,
    )
    columns = ("status", "cost_usd", "is_final_attempt")
    assert fact(warehouse, "e51-1", *columns) == ("blocked_rate_limit", Decimal(0), False)


def test_e52_an_aborted_stream_keeps_the_recovered_tokens(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "e52", "output_tokens", "is_stream") == (511, True)


def test_e52_recovered_tokens_are_marked_as_estimated(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "e52", "token_quality") == ("estimated",)
    columns = ("token_quality", "status", "output_tokens", "price_status")
    assert fact(warehouse, "e52-left", *columns) == ("estimated", "cancelled", 40, "priced")


def test_e53_a_gateway_cache_hit_costs_nothing(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "e53", "price_status", "cost_usd", "is_gateway_cache_hit") == ("cache_hit", Decimal(0), True)
    members = warehouse.execute(
        "select sum(total_tokens) from llm_spend.fct_llm_requests"
        " where usage_date = '2026-05-04' and source_instance = 'proxy' and not coalesce(is_gateway_cache_hit, false)"
    ).fetchone()
    consumed = total(warehouse, "sum(total_tokens)", "llm_usage_by_model_daily", "usage_date = '2026-05-04'")
    assert members == (consumed,)


def test_e53_what_the_cache_saved_is_told(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "e53", "cost_saved_usd") == (Decimal("0.031805"),)
    assert fact(warehouse, "e52", "cost_saved_usd") == (None,)


def test_e54_polls_of_a_batch_cost_nothing(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "e54-poll-3_poll", "price_status", "cost_usd") == ("not_billed", Decimal(0))
    assert fact(warehouse, "e54-batch", "cost_usd") == (Decimal("0.0035"),)


def test_e54_polls_of_a_batch_are_no_requests(warehouse: duckdb.DuckDBPyConnection) -> None:
    requests = "sum(is_final_attempt::int)"
    assert total(warehouse, requests, "fct_llm_requests", "source_record_id like 'e54-%'") == 1


def test_a_call_of_litellm_counts_once_whatever_is_added_to_its_id(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = warehouse.execute(
        "select source_record_id, operation, total_tokens, cost_usd from llm_spend.fct_llm_requests"
        " where source_record_id like 'dup-%' and is_final_attempt order by 1"
    )
    assert found.fetchall() == [
        ("dup-answer", "responses", 1100, Decimal("0.0035")),
        ("dup-batch", "other", 1100, Decimal("0.0035")),
        ("dup-hit_cache_hit_c", "chat", 1100, Decimal(0)),
    ]
    assert total(warehouse, "sum(cost_usd)", "fct_llm_requests", "source_record_id like 'dup-%'") == Decimal("0.007")


@pytest.mark.parametrize(
    ("record_id", "unreadable", "team", "attribution"),
    [
        ("e61-text", True, "(unallocated)", "missing"),
        ("e61-list", True, "(unallocated)", "missing"),
        ("e61-nested", False, "(unallocated)", "missing"),
        ("e61-number", False, "7", "tag"),
        ("e61-long", False, "t" * 200, "tag"),
    ],
)
def test_e61_odd_metadata_never_loses_a_request(
    warehouse: duckdb.DuckDBPyConnection, record_id: str, unreadable: bool, team: str, attribution: str
) -> None:
    columns = ("is_metadata_unreadable", "team_id", "team_attribution", "cost_usd")
    assert fact(warehouse, record_id, *columns) == (unreadable, team, attribution, Decimal("0.000125"))


def test_f62_a_request_with_two_tags_counts_once_in_each_and_once_in_all(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    january = "usage_date = '2026-01-10'"
    assert total(warehouse, "sum(cost_usd)", "llm_usage_by_team_daily", january) == 10
    assert total(warehouse, "sum(cost_usd)", "llm_usage_by_model_daily", january) == 10
    tags = warehouse.execute(
        f"select tag_key, tag_value, cost_usd from llm_spend.llm_usage_by_tag_daily where {january} order by 1"
    ).fetchall()
    assert tags == [("env", "prod", Decimal(10)), ("team", "ml", Decimal(10))]


def test_f63_of_two_team_tags_the_first_key_wins(warehouse: duckdb.DuckDBPyConnection) -> None:
    february = warehouse.execute(
        "select team_id, cost_usd from llm_spend.llm_usage_by_team_daily where usage_date = '2026-02-10'"
    ).fetchall()
    assert february == [("a", Decimal(10))]


def test_f64_what_nobody_owns_is_a_line_and_all_lines_make_the_total(warehouse: duckdb.DuckDBPyConnection) -> None:
    march = warehouse.execute(
        "select line_type, team_id, amount_usd from llm_spend.llm_chargeback_lines"
        " where billing_period = '2026-03-01' order by amount_usd"
    ).fetchall()
    assert march == [("unallocated", "(unallocated)", Decimal(80)), ("direct", "ml", Decimal(920))]


def test_f67_requests_of_less_than_a_cent_add_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    expected = SMALL_REQUESTS * Decimal("0.0000045")
    measures = "sum(requests), sum(cost_usd)"
    april = "usage_date between '2026-04-01' and '2026-04-30'"
    assert total(warehouse, measures, "llm_usage_by_model_daily", april) == (SMALL_REQUESTS, expected)
    assert total(warehouse, "sum(amount_usd)", "llm_chargeback_lines", "billing_period = '2026-04-01'") == expected


def test_f72_a_person_is_one_user_however_the_address_is_typed(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert fact(warehouse, "f72-1", "user_id") == fact(warehouse, "f72-2", "user_id") == ("bob@email.com",)


def test_g74_a_request_belongs_to_its_utc_date(warehouse: duckdb.DuckDBPyConnection) -> None:
    expected = (date(2026, 11, 1), datetime(2026, 11, 1, 6, 30))
    assert fact(warehouse, "g74", "usage_date", "started_at") == expected
    assert total(warehouse, "count(*)", "llm_chargeback_lines", "billing_period = '2026-11-01'") >= 1
    assert total(warehouse, "count(*)", "llm_chargeback_lines", "billing_period = '2026-10-01'") == 0
