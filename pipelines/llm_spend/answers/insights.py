"""What to do about it: every question about forecasts, anomalies, savings, value and tags, as the screens ask them.

The fields of a row are the columns of its table, in DuckDB's types. Lists are cut where nobody would read on: the
dearest come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from llm_spend.answers.marts import MARTS, MODEL_NAME, UNALLOCATED, Query

FORECAST, ANOMALIES = "llm_spend_forecast", "llm_usage_anomalies"
MODELS = "llm_usage_by_model_daily"
CANDIDATES, SWITCHES = "llm_optimization_candidates", "llm_model_switch_savings"
ECONOMICS, DESIGNS, DESIGN_CUSTOMERS = "llm_unit_economics", "llm_plan_designs", "llm_plan_design_customers"
PLANS = "llm_customer_plan_usage"
TAG_AUDIT, TAG_COVERAGE = "llm_tag_audit", "llm_tag_coverage"
FEATURES = "dim_llm_features"

ALL = "(all)"
"""The member of a table of members that is all of them together."""

SEVERITIES = ("high", "medium", "low")


class Forecast(NamedTuple):
    """A month of a member as it will have been."""

    member_type: str
    member_id: str
    billing_period: date
    horizon_months: int
    actual_usd: Decimal | None
    forecast_usd: Decimal | None
    lower_usd: Decimal | None
    upper_usd: Decimal | None
    interval_level: Decimal | None
    monthly_growth_ratio: Decimal | None
    method: str | None
    history_days: int
    back_test_months: int
    back_test_mape: Decimal | None
    status: str
    reason: str | None
    unpriced_tokens: int
    known_to: datetime


class Anomaly(NamedTuple):
    """A day of a member that is not like those before; `part_of` is the wider member with which it is told.

    `members` are those told with this one, and itself.
    """

    usage_date: date
    kind: str
    member_type: str
    member_id: str
    observed: Decimal | None
    expected: Decimal | None
    lower: Decimal | None
    upper: Decimal | None
    severity_usd: Decimal | None
    severity: str
    explanation: str
    unit: str
    part_of_member_type: str | None
    part_of_member_id: str | None
    members: int


class ModelCost(NamedTuple):
    """What the requests of a model cost in a month, and what for; unpriced ones are in no amount."""

    model: str
    cost_usd: Decimal
    uncached_input_cost_usd: Decimal
    cache_read_cost_usd: Decimal
    cache_write_cost_usd: Decimal
    output_cost_usd: Decimal
    other_cost_usd: Decimal


class CandidateKind(NamedTuple):
    """The candidates of a kind together, each amount once; those of different kinds overlap."""

    kind: str
    candidates: int
    requests: int
    unpriced_requests: int
    spend_usd: Decimal | None
    saving_usd: Decimal | None
    saving_low_usd: Decimal | None
    saving_high_usd: Decimal | None


class Candidate(NamedTuple):
    """Usage of a month that could cost less."""

    kind: str
    team_id: str
    feature_id: str
    provider: str
    model_id: str
    prompt_id: str
    requests: int
    spend_usd: Decimal | None
    saving_usd: Decimal | None
    saving_low_usd: Decimal | None
    saving_high_usd: Decimal | None
    confidence: str
    confidence_reason: str
    explanation: str
    unpriced_requests: int


class Switch(NamedTuple):
    """What a feature's tokens of a model would have cost on another one."""

    feature_id: str
    provider: str
    model_id: str
    to_channel: str | None
    to_model_id: str
    requests: int
    total_tokens: int
    token_factor: Decimal
    contract_cost_usd: Decimal | None
    switch_contract_usd: Decimal | None
    list_cost_usd: Decimal | None
    switch_list_usd: Decimal | None
    saving_usd: Decimal | None
    saving_ratio: Decimal | None
    not_comparable_requests: int
    caveat: str


class Kpi(NamedTuple):
    """A KPI of a member in a month."""

    billing_period: date
    member_type: str
    member_id: str
    kpi_id: str
    kpi_name: str
    kpi_value: Decimal | None
    unit: str | None
    numerator_name: str
    numerator_value: Decimal | None
    denominator_name: str
    denominator_value: Decimal | None
    coverage_ratio: Decimal | None
    cost_usd: Decimal | None
    unpriced_tokens: int
    is_whole_month: bool


class Design(NamedTuple):
    """A plan of a design in a month, with the customers that would have it.

    `revenue_change_usd` is of those `customers_compared` of whom it is known what they pay today and would pay.
    """

    design_id: str
    design_name: str
    plan_id: str | None
    plan_name: str | None
    customers: int
    used_tokens: int
    revenue_usd: Decimal | None
    cost_usd: Decimal | None
    margin_usd: Decimal | None
    margin_ratio: Decimal | None
    customers_compared: int
    revenue_change_usd: Decimal | None
    unpriced_tokens: int


class DesignCustomer(NamedTuple):
    """A customer as it would have been under a design in a month."""

    customer_id: str
    customer_name: str | None
    used_tokens: int
    included_tokens: int | None
    overage_tokens: int | None
    revenue_usd: Decimal | None
    cost_usd: Decimal | None
    margin_usd: Decimal | None
    current_plan_id: str | None
    current_revenue_usd: Decimal | None
    revenue_change_usd: Decimal | None


class Plan(NamedTuple):
    """A customer with its plan in a month."""

    customer_id: str
    customer_name: str | None
    plan_name: str | None
    used_tokens: int
    included_tokens: int | None
    used_ratio: Decimal | None
    overage_tokens: int | None
    revenue_usd: Decimal | None
    cost_usd: Decimal | None
    margin_usd: Decimal | None
    recommended_plan: str | None
    recommended_saving_usd: Decimal | None
    unpriced_tokens: int


class Coverage(NamedTuple):
    """How much of a month's usage carries a tag, or `is_owner`: any of the keys that say whose it is."""

    tag_key: str
    is_owner: bool
    is_registered: bool
    requests: int
    requests_with_tag: int
    cost_usd: Decimal | None
    cost_with_tag_usd: Decimal | None


class Finding(NamedTuple):
    """Something wrong with a tag, wherever it is sent."""

    severity: str
    finding: str
    tag_key: str
    tag_value: str | None
    similar_to: str | None
    explanation: str
    what_to_do: str
    teams: int
    requests: int
    cost_usd: Decimal | None
    last_seen_on: date | None

    @property
    def value(self) -> str:
        """The value that it is about; nothing where it is about all of them."""
        return "" if self.tag_value in (None, ALL) else str(self.tag_value)


class Feature(NamedTuple):
    """What a feature is."""

    feature_id: str
    feature_name: str | None
    description: str | None
    owner: str | None
    is_registered: bool


def forecasts(most: int) -> Query:
    """The months of everybody together, then of so many members of each type, those that will cost most first."""
    weighted = f"""
        select *, sum(coalesce(forecast_usd, actual_usd)) over (partition by member_type, member_id) as weight
        from {MARTS}.{FORECAST}
    """
    return Query(
        f"""
        select {_columns(Forecast)}
        from (
            select
                weighted.*,
                dense_rank() over (partition by member_type order by weight desc nulls last, member_id) as place
            from ({weighted}) as weighted
        ) as ranked
        where place <= {most}
        order by
            case member_type {_in_order("total", "team", "feature", "customer")} else 4 end, place, horizon_months
        """,
        (),
        frozenset({FORECAST}),
    )


def anomalies(first: date, end: date, most: int, *, only_widest: bool = False) -> Query:
    """Those of these days, the gravest first; with `only_widest` without those that are part of a wider one."""
    told_with = "coalesce(part_of_member_type, member_type), coalesce(part_of_member_id, member_id)"
    return Query(
        f"""
        select {_columns(Anomaly)}
        from (
            select *, count(*) over (partition by usage_date, kind, {told_with}) as members
            from {MARTS}.{ANOMALIES}
            where usage_date >= ? and usage_date < ?
        ) as counted
        {"where part_of_member_id is null" if only_widest else ""}
        order by {_gravest()}, severity_usd desc nulls last, usage_date desc, kind, member_type, member_id
        limit {most}
        """,
        (first, end),
        frozenset({ANOMALIES}),
    )


def anomaly_counts(first: date, end: date) -> Query:
    """Severity and number of those of these days, each once: those that are part of a wider one are not counted."""
    return Query(
        f"""
        select severity, count(*) as found
        from {MARTS}.{ANOMALIES}
        where usage_date >= ? and usage_date < ? and part_of_member_id is null
        group by severity
        order by {_gravest()}
        """,
        (first, end),
        frozenset({ANOMALIES}),
    )


COST_TITLES = ("Cost", "Uncached input", "Cache reads", "Cache writes", "Output", "Other")
"""Of the amounts of a ModelCost."""


def model_costs(first: date, end: date) -> Query:
    """What each model cost in these days, and what for, the dearest first."""
    _, *amounts = ModelCost._fields
    sums = ", ".join(f"sum({amount}) as {amount}" for amount in amounts)
    name = f"provider || ' / ' || {MODEL_NAME}"
    return Query(
        f"""
        with costs as (
            select {name} as model, {sums}
            from {MARTS}.{MODELS}
            where usage_date >= ? and usage_date < ?
            group by {name}
        )

        select {_columns(ModelCost)}
        from costs
        where cost_usd > 0
        order by cost_usd desc, model
        """,
        (first, end),
        frozenset({MODELS}),
    )


def with_total(costs: Sequence[ModelCost], most: int) -> list[ModelCost]:
    """So many of the models, all others in one row, and the sum of all; nothing of none."""
    others = costs[most:]
    shown = [*costs[:most], *([_together(f"{len(others):,} more models", others)] if others else [])]
    return [*shown, _together("Total", costs)] if costs else []


def _together(name: str, costs: Sequence[ModelCost]) -> ModelCost:
    _, *amounts = zip(*costs, strict=True)
    return ModelCost(name, *(sum(of_each, Decimal(0)) for of_each in amounts))


def candidate_kinds(month: date) -> Query:
    """The kinds of a month's candidates, each with its sums, which overlap with those of other kinds.

    Prompts are left out of the sums where all of their feature is a candidate of the same kind, too.
    """
    amounts = ("spend_usd", "saving_usd", "saving_low_usd", "saving_high_usd")
    counts = ("requests", "unpriced_requests")
    sums = ", ".join(
        [f"cast(sum(case when is_part then 0 else {name} end) as bigint) as {name}" for name in counts]
        + [f"sum(case when is_part then null else {name} end) as {name}" for name in amounts]
    )
    return Query(
        f"""
        select kind, count(*) as candidates, {sums}
        from (
            select
                kind, {", ".join(counts + amounts)},
                prompt_id <> '{ALL}' and max(case when prompt_id = '{ALL}' then 1 else 0 end) over (
                    partition by kind, feature_id
                ) = 1 as is_part
            from {MARTS}.{CANDIDATES}
            where billing_period = ?
        ) as parts
        group by kind
        order by
            sum(case when is_part then null else coalesce(saving_usd, saving_high_usd) end) desc nulls last,
            sum(case when is_part then null else spend_usd end) desc nulls last, kind
        """,
        (month,),
        frozenset({CANDIDATES}),
    )


def candidates(month: date, most: int) -> Query:
    """Where a month's usage could cost less, the largest savings first."""
    return Query(
        f"""
        select {_columns(Candidate)}
        from {MARTS}.{CANDIDATES}
        where billing_period = ?
        order by
            coalesce(saving_usd, saving_high_usd) desc nulls last, spend_usd desc nulls last, kind, team_id, feature_id,
            provider, model_id, prompt_id
        limit {most}
        """,
        (month,),
        frozenset({CANDIDATES}),
    )


def switches(month: date, most: int) -> Query:
    """What a month would have cost on other models, the largest savings first."""
    return Query(
        f"""
        select {_columns(Switch)}
        from {MARTS}.{SWITCHES}
        where billing_period = ?
        order by saving_usd desc nulls last, feature_id, provider, model_id, to_channel, to_model_id
        limit {most}
        """,
        (month,),
        frozenset({SWITCHES}),
    )


def kpis(month: date, member_type: str, most: int) -> Query:
    """The KPIs of a month, of so many members of a type that have one, those that cost most first."""
    return Query(
        f"""
        select {_columns(Kpi)}
        from (
            select *, dense_rank() over (order by cost_usd desc nulls last, member_id) as place
            from (
                select *, count(kpi_value) over (partition by member_id) as known_kpis
                from {MARTS}.{ECONOMICS}
                where billing_period = ? and member_type = ?
            ) as counted
            where known_kpis > 0
        ) as ranked
        where place <= {most}
        order by place, kpi_name, kpi_id
        """,
        (month, member_type),
        frozenset({ECONOMICS}),
    )


def kpi_history(most_months: int) -> Query:
    """The KPIs of everything, month by month, the newest first."""
    return Query(
        f"""
        select {_columns(Kpi)}
        from (
            select *, dense_rank() over (order by billing_period desc) as place
            from {MARTS}.{ECONOMICS}
            where member_type = 'total'
        ) as ranked
        where place <= {most_months}
        order by kpi_name, kpi_id, billing_period desc
        """,
        (),
        frozenset({ECONOMICS}),
    )


def designs(month: date) -> Query:
    """What plans would have brought, design by design, the largest margin first."""
    return Query(
        f"""
        select {_columns(Design)}
        from (
            select *, sum(margin_usd) over (partition by design_id) as margin_of_design
            from {MARTS}.{DESIGNS}
            where billing_period = ?
        ) as designs
        order by margin_of_design desc nulls last, design_id, revenue_usd desc nulls last, plan_id
        """,
        (month,),
        frozenset({DESIGNS}),
    )


def design_customers(month: date, design_id: str, plan_id: str, most: int) -> Query:
    """Who would have had a plan of a design, those that used most first."""
    return Query(
        f"""
        select {_columns(DesignCustomer)}
        from {MARTS}.{DESIGN_CUSTOMERS}
        where billing_period = ? and design_id = ? and plan_id = ?
        order by used_tokens desc, customer_id
        limit {most}
        """,
        (month, design_id, plan_id),
        frozenset({DESIGN_CUSTOMERS}),
    )


def plans(month: date, most: int) -> Query:
    """Customers with their plans, those that use most of it first."""
    return Query(
        f"""
        select {_columns(Plan)}
        from {MARTS}.{PLANS}
        where billing_period = ? and customer_id <> '{UNALLOCATED}'
        order by used_ratio desc nulls last, used_tokens desc, customer_id
        limit {most}
        """,
        (month,),
        frozenset({PLANS}),
    )


def tag_coverage(month: date) -> Query:
    """How much of a month's usage has an owner by any of its keys, and how much carries each tag; most money first."""
    return Query(
        f"""
        select
            tag_key, is_owner, is_registered, cast(sum(requests) as bigint) as requests,
            cast(sum(requests_with_tag) as bigint) as requests_with_tag,
            sum(cost_usd) as cost_usd, sum(cost_with_tag_usd) as cost_with_tag_usd
        from {MARTS}.{TAG_COVERAGE}
        where billing_period = ?
        group by tag_key, is_owner, is_registered
        order by
            case when is_owner then 0 else 1 end, sum(cost_with_tag_usd) desc nulls last,
            sum(requests_with_tag) desc, tag_key
        """,
        (month,),
        frozenset({TAG_COVERAGE}),
    )


def tag_findings(most: int) -> Query:
    """What is wrong with tags, the gravest first; what sources and teams have in common is one."""
    said = "severity, finding, tag_key, tag_value, similar_to, explanation, what_to_do"
    return Query(
        f"""
        select
            {said}, count(distinct team_id) as teams, cast(sum(requests) as bigint) as requests,
            sum(cost_usd) as cost_usd, max(last_seen_on) as last_seen_on
        from {MARTS}.{TAG_AUDIT}
        group by {said}
        order by
            {_gravest()}, sum(cost_usd) desc nulls last, sum(requests) desc, finding, tag_key, tag_value, similar_to,
            explanation
        limit {most}
        """,
        (),
        frozenset({TAG_AUDIT}),
    )


def features(most: int) -> Query:
    """What features there are, and what they are."""
    return Query(
        f"""
        select {_columns(Feature)}
        from {MARTS}.{FEATURES}
        order by feature_id
        limit {most}
        """,
        (),
        frozenset({FEATURES}),
    )


def months_spent() -> Query:
    """The months with usage and what they cost, the first one first."""
    table = "llm_usage_by_team_daily"
    return Query(
        f"""
        select cast(date_trunc('month', usage_date) as date) as billing_period, sum(cost_usd) as cost_usd
        from {MARTS}.{table}
        group by cast(date_trunc('month', usage_date) as date)
        order by billing_period
        """,
        (),
        frozenset({table}),
    )


def _columns(row: type[NamedTuple]) -> str:
    return ", ".join(row._fields)


def _gravest() -> str:
    return f"case severity {_in_order(*SEVERITIES)} end"


def _in_order(*values: str) -> str:
    return " ".join(f"when '{value}' then {place}" for place, value in enumerate(values))
