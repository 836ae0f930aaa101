"""The tables against the demo's ground truth: every measure of every member and day, to the last digit."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.demo.bills import KEYS
from llm_spend.demo.truth import MEASURES, Measures
from llm_spend.destinations import DuckDb
from tests.conftest import DEMO_REQUESTS, Demo, query

pytestmark = pytest.mark.slow

CENT = Decimal("0.01")

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
        from llm_spend.llm_chargeback_lines
        where exact_cost_usd <> 0 and line_type in ('direct', 'unallocated')
        """,
    )
    lines = {
        (line.billing_period, line.provider, line.cost_center_id, line.team_id, line.model_id): line
        for line in demo.truth.chargeback()
    }
    assert {tuple(row[:5]): row[5] for row in rows} == {key: line.exact_usd for key, line in lines.items()}
    for *key, exact, amount in rows:
        # The cents that rounding leaves are shared with what a bill adds.
        has_bill = (key[0], key[1]) in demo.truth.bills()
        assert abs(amount - exact) < CENT if has_bill else amount == lines[tuple(key)].amount_usd


def test_chargeback_adds_up_to_the_bills(demo: Demo) -> None:
    rows = query(
        demo.database,
        """
        select strftime(billing_period, '%Y-%m'), provider, sum(amount_usd)
        from llm_spend.llm_chargeback_lines group by all
        """,
    )
    bills = demo.truth.bills()
    assert {(month, provider): amount for month, provider, amount in rows if (month, provider) in bills} == {
        key: bill.charged_usd for key, bill in bills.items()
    }


def test_whoever_owns_a_key_pays_for_what_no_gateway_saw(demo: Demo) -> None:
    rows = query(
        demo.database,
        """
        select strftime(billing_period, '%Y-%m'), provider, team_id, sum(exact_cost_usd)
        from llm_spend.llm_chargeback_lines where allocation_method = 'owner_of_key' group by all
        """,
    )
    teams = {key.provider: key.owner_team for key in KEYS if key.owner_team}
    assert {(month, provider, team): amount for month, provider, team, amount in rows} == {
        (month, provider, teams[provider]): bill.causes["outside_gateway"]
        for (month, provider), bill in demo.truth.bills().items()
    }


TOKEN_CLASSES = {
    "uncached_input_tokens": "uncached_input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write",
    "output_tokens": "output",
}


def test_whoever_used_a_class_of_tokens_pays_what_is_billed_for_it(demo: Demo) -> None:
    costs = query(
        demo.database,
        f"""
        unpivot (
            select
                usage_date, source_system, source_instance, model_id, team_id,
                {", ".join(f"sum({name}_cost_usd) as {name}" for name in dict.fromkeys(TOKEN_CLASSES.values()))}
            from llm_spend.fct_llm_requests where channel = 'anthropic' and is_of_record group by all
        )
        on {", ".join(dict.fromkeys(TOKEN_CLASSES.values()))}
        """,
    )
    usage: dict[tuple[Any, ...], dict[str, Fraction]] = defaultdict(dict)
    for day, *gateway, model, team, name, usd in costs:
        if usd:
            usage[(day, *gateway, model, name)][team] = Fraction(usd)
    gateways = {key.api_key_id: key.gateway for key in KEYS if key.gateway}
    expected: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for day, key, model, token_type, usd in query(
        demo.database,
        """
        select cost_date, api_key_id, model_id, token_type, billed_usd from llm_spend.fct_llm_provider_costs
        where is_of_record and provider = 'anthropic' and token_type is not null
        """,
    ):
        teams = usage.get((day, *gateways.get(key, ()), model, TOKEN_CLASSES[token_type]), {})
        for team, cost in teams.items():
            expected[f"{day:%Y-%m}", team] += Fraction(usd) * cost / sum(teams.values())
    rows = query(
        demo.database,
        """
        select strftime(billing_period, '%Y-%m'), team_id, sum(billed_usd) from llm_spend_internal.int_true_up_lines
        where allocation_method = 'bill_by_day_model_and_class' group by all
        """,
    )
    assert {(month, team) for month, team, _ in rows} == set(expected)
    # By the model's cost alone some would have more than a cent too much. Weights are whole millionths of a USD.
    assert max(abs(Fraction(usd) - expected[month, team]) for month, team, usd in rows) < Fraction(1, 10_000)


# --- bills ----------------------------------------------------------------------------------------


Bill = tuple[Decimal, Decimal, dict[str, Decimal]]
"""What the gateways say, what the provider billed, and the causes that are not 0."""


def reconciled(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], Bill]:
    """(month, provider) -> the reconciliation of what has a bill."""
    rows = connection.execute(
        """
        select strftime(billing_period, '%Y-%m'), provider, gateway_usd, provider_usd, cause, amount_usd
        from llm_spend.llm_reconciliation where provider_usd is not null
        """
    ).fetchall()
    found: dict[tuple[str, str], Bill] = {}
    for month, provider, gateway, billed, cause, amount in rows:
        causes = found.setdefault((month, provider), (gateway, billed, {}))[2]
        if amount:
            causes[cause] = amount
    return found


def true_bills(demo: Demo) -> dict[tuple[str, str], Bill]:
    return {key: (bill.gateway_usd, bill.provider_usd, dict(bill.causes)) for key, bill in demo.truth.bills().items()}


def test_every_cause_has_its_exact_amount_and_nothing_is_left(demo: Demo) -> None:
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        found = reconciled(connection)
    assert found == true_bills(demo)


def test_what_providers_count_is_the_sum_of_its_groups(demo: Demo) -> None:
    checks = query(
        demo.database,
        "select measure, count(*), count(*) filter (is_matching) from llm_spend.llm_provider_cost_check group by all",
    )
    assert checks
    assert all(rows == matching for _, rows, matching in checks)


def test_a_cause_that_is_withheld_is_unexplained(demo: Demo, tmp_path: Path) -> None:
    """Without provider_accounts nobody knows which keys are the gateways': exactly their money is unexplained."""
    database = tmp_path / demo.database.name
    shutil.copy(demo.database, database)
    expected = true_bills(demo)
    for _, _, causes in expected.values():
        causes["unexplained"] = causes.pop("outside_gateway")
    with duckdb.connect(str(database)) as connection:
        connection.execute("delete from llm_spend_seeds.provider_accounts")
        # As dbt made them, in the order in which it did; the database has the same name, so they are of this copy.
        target = DuckDb(demo.database).work_dir / "dbt_project" / "target"
        for result in json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]:
            if result["unique_id"].startswith(("model.llm_spend.int_reconciliation_", "model.llm_spend.llm_reconcil")):
                connection.execute(f"create or replace table {result['relation_name']} as {result['compiled_code']}")
        assert reconciled(connection) == expected


def true_periods(demo: Demo) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(budget, subject, first day) -> what was used; periods without use are left out."""
    budgets: dict[str, Any] = demo.truth.document["budgets"]
    return {
        (budget_id, period["subject"], period["start"]): period | {"limit": Decimal(budget["limit"])}
        for budget_id, budget in budgets.items()
        for period in budget["periods"]
        if Decimal(period["used"]) or period["unpriced_requests"]
    }


def test_breaches_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        "select rule_id, subject, window_start, used, limit_to from llm_spend.llm_quota_breaches",
    )
    expected = {
        (each["rule_id"], each["subject"], each["window_start"][:19].replace("T", " ")): (
            each["used"],
            each["limit_to"],
        )
        for each in demo.truth.breaches()
    }
    expected |= {
        (budget_id, subject, f"{start} 00:00:00"): (Decimal(period["used"]), period["limit"])
        for (budget_id, subject, start), period in true_periods(demo).items()
        if period["is_breached"]
    }
    assert {rule_id for rule_id, _, _ in expected} >= {"everyone-daily", "team-monthly", "company-daily"}
    assert {(row[0], row[1], str(row[2])): (Decimal(row[3]), Decimal(row[4])) for row in rows} == expected


def test_budgets_equal_the_truth(demo: Demo) -> None:
    usage = query(
        demo.database,
        "select rule_id, subject, cast(window_start as date), cast(window_end as date), used, limit_to,"
        " status = 'breached', unpriced_requests, unpriced_tokens from llm_spend.llm_quota_usage"
        " where rule_set = 'northwind-budgets' and (used > 0 or unpriced_requests > 0)",
    )
    expected = {
        key: (period["end"], Decimal(period["used"]), period["limit"], period["is_breached"],
              period["unpriced_requests"], period["unpriced_tokens"])
        for key, period in true_periods(demo).items()
    }  # fmt: skip
    found = {
        (rule_id, subject, str(start)): (str(end), Decimal(used), Decimal(limit), *rest)
        for rule_id, subject, start, end, used, limit, *rest in usage
    }
    assert found == expected
    columns, is_used = "rule_id, subject, period_start, spent_usd", "spent_usd > 0 or unpriced_requests > 0"
    spent = query(demo.database, f"select {columns} from llm_spend.llm_budget_status where {is_used}")
    budgets = {key: period["used"] for key, period in true_periods(demo).items() if key[0] != "user-weekly-tokens"}
    assert {(rule, who, str(start)[:10]): Decimal(usd) for rule, who, start, usd in spent} == {
        key: Decimal(usd) for key, usd in budgets.items()
    }


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
