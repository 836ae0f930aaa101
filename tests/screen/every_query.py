"""Every question of the dashboard, in each of its forms."""

from __future__ import annotations

from datetime import date

from llm_spend.answers import insights
from llm_spend.answers.marts import Query
from llm_spend.dashboard import queries
from llm_spend.dashboard.filters import DIMENSIONS, Days, Filters
from llm_spend.dashboard.queries import Line

OCTOBER = Days(date(2026, 10, 1), date(2026, 11, 1))
MINE = Filters(OCTOBER, (("environment", ("production", "prod")), ("user", ("nadia.jensen@eu.northwind.example",))))
OF_MODELS = Filters(OCTOBER, (("model", ("gpt-4o", "internal-llm-v2")), ("provider", ("openai",))))


def every_query(dialect: str) -> list[Query]:
    """Each question in each of its forms."""
    line = Line(OCTOBER.first, "x", "direct", "cc", "team", "openai", "gpt", OCTOBER.first)
    found = [
        queries.known(),
        queries.tag_keys(OCTOBER),
        queries.tag_values("team", OCTOBER),
        queries.performance(MINE),
        queries.performance(OF_MODELS),
        queries.performance_by_day(OF_MODELS, "openai", "gpt", "chat"),
        queries.budgets(),
        queries.quotas(OCTOBER),
        queries.breaches(OCTOBER),
        queries.statement_months(),
        queries.statements(OCTOBER.first),
        queries.lines(OCTOBER.first, "cc", "team"),
        *queries.requests_behind(line, 2),
        queries.request("x"),
        queries.bill_months(),
        queries.reconciliation(OCTOBER.first),
        queries.unpriced(),
        queries.sources(),
        queries.loads(),
        queries.totals_that_differ(),
        queries.overlaps(),
        queries.members("model", OCTOBER),
        queries.by_day(MINE, dialect, "user", ()),
        queries.total(MINE, dialect),
    ]
    found += [
        insights.forecasts(2),
        insights.anomalies(OCTOBER.first, OCTOBER.end, 20),
        insights.anomalies(OCTOBER.first, OCTOBER.end, 20, only_widest=True),
        insights.anomaly_counts(OCTOBER.first, OCTOBER.end),
        insights.model_costs(OCTOBER.first, OCTOBER.end),
        insights.candidate_kinds(OCTOBER.first),
        insights.candidates(OCTOBER.first, 20),
        insights.switches(OCTOBER.first, 20),
        *(insights.kpis(OCTOBER.first, member_type, 5) for member_type in ("total", "feature", "customer")),
        insights.kpi_history(2),
        insights.designs(OCTOBER.first),
        insights.design_customers(OCTOBER.first, "x", "y", 5),
        insights.plans(OCTOBER.first, 20),
        insights.tag_coverage(OCTOBER.first),
        insights.tag_findings(20),
        insights.features(50),
        insights.months_spent(),
    ]
    everything = tuple((dimension, ("x", "y")) for dimension in DIMENSIONS)
    by_tag = Filters(OCTOBER, everything, "env", ("a", "b"))
    for filters, dimension in (
        (Filters(OCTOBER), "team"),
        (Filters(OCTOBER, everything), "model"),
        (by_tag, "provider"),
    ):
        found += [
            queries.by_tag_value(filters, dialect, "team"),
            queries.by_member(filters, dialect, dimension),
            queries.by_day(filters, dialect, dimension, ("x",)),
            queries.unallocated(filters, dialect, dimension),
            *queries.requests(filters, dialect, 3),
        ]
    return found
