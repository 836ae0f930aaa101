"""What the marts say about what to do, against the truth: exact where arithmetic is exact, by label where it is not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_spend.demo.habits import CLASSIFIER, COLD_PROMPT, DISLIKED_FEATURE, HEAVY_PROMPT
from llm_spend.demo.registry import UNREGISTERED_FEATURE, UNUSED_TAG
from llm_spend.demo.truth import DesignMonth, PlantedIncident, SwitchedModel, TagUse, Truth
from tests.conftest import DEMO_REQUESTS, Demo, query

pytestmark = pytest.mark.slow

MONTH = "strftime(billing_period, '%Y-%m')"
HISTORY_DAYS = 28
"""Days of usage before the first that is judged."""

Found = set[tuple[str, str, str, str]]
"""(date, kind, member type, member)"""


# --- optimisation ---------------------------------------------------------------------------------


def test_what_was_paid_in_vain_equals_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        f"""
        select {MONTH}, kind, sum(requests - unpriced_requests), sum(spend_usd)
        from llm_spend.llm_optimization_candidates
        where kind in ('paid_failures', 'paid_retries', 'paid_fallbacks', 'duplicate_prompts')
        group by all
        """,
    )
    assert {(month, kind): TagUse(requests, usd) for month, kind, requests, usd in rows} == demo.truth.paid()


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        ("heavy_prompt", "prompt_id", HEAVY_PROMPT),
        ("low_cache_share", "prompt_id", COLD_PROMPT),
        ("oversized_max_tokens", "feature_id", CLASSIFIER),
        ("low_feedback_spend", "feature_id", DISLIKED_FEATURE),
    ],
)
def test_bad_habits_are_found_and_only_these(demo: Demo, kind: str, column: str, expected: str) -> None:
    rows = query(
        demo.database,
        f"""
        select distinct {column} from llm_spend.llm_optimization_candidates
        where kind = '{kind}' and {column} <> '(all)' and billing_period = date '2026-10-01'
        """,
    )
    assert rows == [(expected,)]


def test_ratings_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        """
        select strftime(usage_date, '%Y-%m'), feature_id, count(*), sum(feedback_score)
        from llm_spend.fct_llm_requests where feedback_score is not null group by all
        """,
    )
    assert {(month, feature): (count, int(total)) for month, feature, count, total in rows} == demo.truth.ratings()


def test_switches_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        f"""
        select
            {MONTH}, feature_id, model_id, to_channel, to_model_id, sum(requests), sum(total_tokens), sum(cost_usd),
            sum(switch_contract_usd), sum(not_comparable_requests), sum(not_comparable_tokens), sum(saving_usd)
        from llm_spend.llm_model_switch_savings group by all
        """,
    )
    found: dict[tuple[str, ...], SwitchedModel] = {}
    for *key, requests, tokens, cost, switched, unknown, unknown_tokens, saving in rows:
        assert saving == (None if cost is None else cost - switched)
        found[tuple(key)] = SwitchedModel(
            requests, tokens, cost or Decimal(0), switched or Decimal(0), unknown, unknown_tokens
        )
    assert found == demo.truth.switches()


# --- unit economics and plans ---------------------------------------------------------------------


def test_kpis_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        f"select {MONTH}, member_type, member_id, kpi_id, kpi_value from llm_spend.llm_unit_economics"
        " where kpi_value is not null",
    )
    assert {tuple(key): value for *key, value in rows} == demo.truth.kpis()


def test_plan_designs_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        f"""
        select {MONTH}, design_id, customer_id, plan_id, overage_tokens, revenue_usd
        from llm_spend.llm_plan_design_customers where customer_id <> '(unallocated)'
        """,
    )
    expected = demo.truth.plan_designs()
    assert {tuple(row[:3]): DesignMonth(*row[3:]) for row in rows} == expected
    totals = query(
        demo.database,
        f"select {MONTH}, design_id, plan_id, customers, revenue_usd from llm_spend.llm_plan_designs"
        " where plan_id is not null",
    )
    plans: dict[tuple[str, str, str | None], tuple[int, Decimal]] = {}
    for (month, design, _), each in expected.items():
        customers, revenue = plans.get((month, design, each.plan_id), (0, Decimal(0)))
        plans[month, design, each.plan_id] = customers + 1, revenue + (each.revenue_usd or 0)
    used = {(month, design, plan): (customers, usd) for month, design, plan, customers, usd in totals if customers}
    assert used == plans


def test_designs_are_compared_with_what_customers_pay_now(demo: Demo) -> None:
    rows = query(
        demo.database,
        f"""
        select
            {MONTH}, customer_id, used_tokens, cost_usd, current_plan_id, current_revenue_usd,
            revenue_usd - current_revenue_usd = revenue_change_usd
        from llm_spend.llm_plan_design_customers where design_id = 'two-tiers'
        """,
    )
    now = demo.truth.customer_months()
    assert {tuple(row[:2]): tuple(row[2:6]) for row in rows} == {
        key: (each.used_tokens, each.cost_usd, each.plan_id, each.revenue_usd) for key, each in now.items()
    }
    assert {row[6] for row in rows} == {True, None}


def test_features_are_those_of_the_seed_and_of_usage(demo: Demo) -> None:
    rows = query(demo.database, "select feature_id, is_registered from llm_spend.dim_llm_features")
    seen = {feature for _, feature in demo.truth.by_member("feature")}
    assert {feature for feature, _ in rows} >= seen - {"(unallocated)"}
    assert [feature for feature, is_registered in rows if not is_registered and feature != "(unallocated)"] == [
        UNREGISTERED_FEATURE
    ]


def test_models_are_known_from_their_first_call_on(demo: Demo) -> None:
    (incident,) = (each for each in demo.truth.incidents() if each.kind == "new_model")
    rows = query(
        demo.database, "select model_id, cast(first_seen_at as date) from llm_spend.dim_llm_models where is_used"
    )
    first: dict[str, str] = {}
    for day, model in sorted(demo.truth.by_member("model")):
        first.setdefault(model, day)
    found = {model: str(day) for model, day in rows}
    assert found[incident.member_id] == incident.days[0]
    assert {model: found[model] for model in first if model != "(unresolved)"} == {
        model: day for model, day in first.items() if model != "(unresolved)"
    }


# --- tags -----------------------------------------------------------------------------------------


def test_tag_findings_equal_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        """
        select
            finding, tag_key, case when finding = 'bad_value' then tag_value else '' end, sum(attempts), sum(cost_usd)
        from llm_spend.llm_tag_audit
        where finding in ('bad_value', 'misspelt', 'unregistered', 'retired', 'truncated')
        group by all
        """,
    )
    found = {(finding, key, value): TagUse(attempts, usd) for finding, key, value, attempts, usd in rows}
    assert found == demo.truth.tag_findings()


def test_a_tag_that_nobody_sends_is_stale(demo: Demo) -> None:
    assert query(demo.database, "select distinct tag_key from llm_spend.llm_tag_audit where finding = 'stale'") == [
        (UNUSED_TAG,)
    ]


def test_coverage_of_tags_equals_the_truth(demo: Demo) -> None:
    rows = query(
        demo.database,
        f"""
        select tag_key, {MONTH}, sum(requests), sum(cost_usd), sum(cost_with_tag_usd)
        from llm_spend.llm_tag_coverage where not is_owner group by all
        """,
    )
    total: dict[str, tuple[int, Decimal]] = {}
    for day, cell in demo.truth.by_date().items():
        requests, usd = total.get(day[:7], (0, Decimal(0)))
        total[day[:7]] = requests + cell.requests, usd + (cell.cost_usd or 0)
    assert {(month, requests, usd) for _, month, requests, usd, _ in rows} == {
        (month, *sums) for month, sums in total.items()
    }
    found = {(key, month): usd for key, month, _, _, usd in rows}
    for key in demo.truth.tag_keys():
        for month in total:
            uses = [use.cost_usd or 0 for (day, _), use in demo.truth.by_tag(key).items() if day.startswith(month)]
            assert found.get((key, month), 0) == sum(uses), (key, month)


def test_requests_without_a_feature_are_counted(demo: Demo) -> None:
    cells = [cell for (_, feature), cell in demo.truth.by_member("feature").items() if feature == "(unallocated)"]
    ((requests, usd),) = query(
        demo.database,
        "select sum(requests), sum(cost_usd) from llm_spend.llm_tag_audit"
        " where finding = 'missing_required' and tag_key = 'feature'",
    )
    assert (requests, usd) == (sum(cell.requests for cell in cells), sum(cell.cost_usd or 0 for cell in cells))


# --- anomalies and forecasts ----------------------------------------------------------------------


def labelled(truth: Truth) -> list[PlantedIncident]:
    """The incidents that stand out of the noise of this demo, on days that have a history."""
    return [
        each
        for each in truth.incidents()
        if each.visible_from_requests <= DEMO_REQUESTS and each.history_days >= HISTORY_DAYS
    ]


def anomalies(demo: Demo, where: str = "true") -> Found:
    rows = query(
        demo.database,
        f"select usage_date, kind, member_type, member_id from llm_spend.llm_usage_anomalies where {where}",
    )
    return {(str(day), kind, member_type, member) for day, kind, member_type, member in rows}


def test_every_incident_is_found_on_its_days(demo: Demo) -> None:
    expected = {
        (day, each.kind, each.member_type, each.member_id) for each in labelled(demo.truth) for day in each.days
    }
    assert {kind for _, kind, _, _ in expected} >= {
        "cost_spike", "new_model", "new_api_key", "error_rate", "cache_miss_rate", "blended_price"
    }  # fmt: skip
    assert expected - anomalies(demo) == set()


def test_what_is_loud_has_a_reason(demo: Demo) -> None:
    """Of the anomalies that alerts tell, hardly one is of a day on which nothing was planted and nobody sent a book."""
    days = {day for each in demo.truth.incidents() for day in each.days}
    cells = demo.truth.by_date()
    usual = sum(cell.cost_usd or 0 for cell in cells.values()) / len(cells)
    days |= {day for day, giants in demo.truth.giants().items() if (giants.cost_usd or 0) > usual / 5}
    loud = anomalies(demo, "severity in ('medium', 'high') and part_of_member_type is null")
    assert {day for day, *_ in loud} & days
    assert len({day for day, *_ in loud} - days) <= 1, loud


def test_forecasts_start_from_what_is_known(demo: Demo) -> None:
    """The known part of a month is the truth's, to the last digit, for every member."""
    rows: list[tuple[Any, ...]] = query(
        demo.database,
        f"""
        select {MONTH}, member_type, member_id, actual_usd, cast(known_to as date)
        from llm_spend.llm_spend_forecast where horizon_months = 0
        """,
    )
    assert {member_type for _, member_type, *_ in rows} == {"total", "team", "feature", "customer", "model"}
    ((month, known_to),) = {(row[0], str(row[4])) for row in rows}
    expected: dict[tuple[str, str], Decimal] = {}
    for member_type in ("total", "team", "feature", "customer", "model"):
        cells = (
            {(day, "(all)"): cell for day, cell in demo.truth.by_date().items()}
            if member_type == "total"
            else demo.truth.by_member(member_type)
        )
        for (day, member), cell in cells.items():
            if day.startswith(month) and day < known_to:
                key = (member_type, member)
                expected[key] = expected.get(key, Decimal(0)) + (cell.cost_usd or 0)
    found = {(member_type, member): actual or Decimal(0) for _, member_type, member, actual, _ in rows}
    assert {key: usd for key, usd in found.items() if usd} == {key: usd for key, usd in expected.items() if usd}
