"""The tables against the demo's ground truth: every measure of every member and day, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_spend.demo.truth import MEASURES, Measures
from tests.conftest import DEMO_REQUESTS, Demo, query

pytestmark = pytest.mark.slow

FACT_MEASURES = """
    count(*)::bigint, count(*) filter (is_final_attempt)::bigint,
    count(*) filter (is_final_attempt and status = 'error')::bigint,
    count(*) filter (is_final_attempt and status like 'blocked%')::bigint,
    count(*) filter (is_gateway_cache_hit)::bigint,
    coalesce(sum(input_tokens) filter (is_gateway_cache_hit is not true), 0)::bigint,
    coalesce(sum(output_tokens) filter (is_gateway_cache_hit is not true), 0)::bigint,
    coalesce(sum(cache_read_tokens) filter (is_gateway_cache_hit is not true), 0)::bigint,
    coalesce(sum(total_tokens) filter (is_gateway_cache_hit is not true), 0)::bigint,
    sum(cost_usd), sum(gateway_reported_usd),
    count(*) filter (cost_usd is null)::bigint,
    coalesce(sum(total_tokens) filter (cost_usd is null), 0)::bigint
"""


def measures(rows: list[tuple[Any, ...]], keys: int) -> dict[tuple[str, ...], Measures]:
    """Rows of `keys` key columns and the measures, by key."""
    return {tuple(str(k) for k in row[:keys]): Measures(*row[keys:]) for row in rows}


@pytest.mark.parametrize("dimension", ["user", "team", "feature", "customer"])
def test_marts_equal_the_truth(demo: Demo, dimension: str) -> None:
    columns = ", ".join(f"sum({name})" if "usd" in name else f"sum({name})::bigint" for name in MEASURES)
    found = query(
        demo.database,
        f"select usage_date, {dimension}_id, {columns} from llm_spend.llm_usage_by_{dimension}_daily group by all",
    )
    assert measures(found, 2) == demo.truth.by_member(dimension)


@pytest.mark.parametrize(
    ("dimension", "column"),
    [
        ("model", "coalesce(model_id, '(unresolved)')"),
        ("environment", "environment"),
        ("cost_center", "cost_center_id"),
    ],
)
def test_the_fact_equals_the_truth(demo: Demo, dimension: str, column: str) -> None:
    found = query(
        demo.database, f"select usage_date, {column}, {FACT_MEASURES} from llm_spend.fct_llm_requests group by all"
    )
    assert measures(found, 2) == demo.truth.by_member(dimension)


def test_sources_equal_the_truth(demo: Demo) -> None:
    found = query(
        demo.database,
        f"select source_system, source_instance, {FACT_MEASURES} from llm_spend.fct_llm_requests group by all",
    )
    assert measures(found, 2) == demo.truth.by_source()


def test_requests_are_what_was_asked_for(demo: Demo) -> None:
    assert demo.truth.total.requests == DEMO_REQUESTS
    (found,) = query(demo.database, f"select {FACT_MEASURES} from llm_spend.fct_llm_requests")
    assert Measures(*found) == demo.truth.total


@pytest.mark.parametrize("column", ["status", "price_status"])
def test_states_equal_the_truth(demo: Demo, column: str) -> None:
    found: dict[str, dict[str, int]] = {}
    for source, value, rows in query(
        demo.database, f"select source_system, {column}, count(*) from llm_spend.fct_llm_requests group by all"
    ):
        found.setdefault(source, {})[value] = rows
    assert found == demo.truth.counts(column)


def test_tags_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database, "select tag_key, usage_date, tag_value, attempts, cost_usd from llm_spend.llm_usage_by_tag_daily"
    )
    found: dict[str, dict[tuple[str, str], tuple[int, Decimal | None]]] = {}
    for key, day, value, attempts, cost in rows:
        found.setdefault(key, {})[(str(day), value)] = (attempts, cost)
    assert demo.truth.tag_keys()
    for key in demo.truth.tag_keys():
        expected = {member: (use.attempts, use.cost_usd) for member, use in demo.truth.by_tag(key).items()}
        assert found[key] == expected, key


def test_chargeback_equals_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        """
        select
            strftime(billing_period, '%Y-%m'), provider, cost_center_id, team_id, model_id, exact_cost_usd, amount_usd
        from llm_spend.llm_chargeback_lines where exact_cost_usd <> 0
        """,
    )
    expected = {
        (each.billing_period, each.provider, each.cost_center_id, each.team_id, each.model_id): (
            each.exact_usd,
            each.amount_usd,
        )
        for each in demo.truth.chargeback()
    }
    assert {tuple(row[:5]): (row[5], row[6]) for row in rows} == expected


def test_breaches_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        "select rule_id, subject, window_start, used, limit_to, breached_at from llm_spend.llm_quota_breaches",
    )
    expected = {
        (each["rule_id"], each["window_start"][:19].replace("T", " ")): (each["used"], each["limit_to"])
        for each in demo.truth.breaches()
    }
    assert expected
    assert {(row[0], str(row[2])): (int(row[3]), int(row[4])) for row in rows} == expected


def test_unreadable_lines_are_in_quarantine(demo: Demo) -> None:
    rows = query(
        demo.database,
        "select source, source_instance, count(*), count(line) from llm_spend_raw.llm_spend__quarantine group by all",
    )
    expected: dict[tuple[str, str], int] = {}
    for (source, instance, _), lines in demo.truth.quarantined().items():
        expected[(source, instance)] = expected.get((source, instance), 0) + lines
    found = {("self_hosted" if s == "generic" else s, i): lines for s, i, lines, _ in rows}
    assert found == {key: lines for key, lines in expected.items() if lines}


def test_bodies_are_not_loaded(demo: Demo) -> None:
    """The demo's TrueFoundry spans hold prompts and answers; no table may."""
    assert b"SECRET-PROMPT" not in demo.database.read_bytes()
    assert b"SECRET-ANSWER" not in demo.database.read_bytes()
