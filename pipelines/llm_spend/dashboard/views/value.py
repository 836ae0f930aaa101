"""Pages of what usage brings: KPIs, customers with their plans, and plans that might be sold."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

import streamlit as st

from llm_spend.answers import insights
from llm_spend.answers.formats import count, month_name, percent
from llm_spend.answers.insight_words import kpi_words, plan_words, unpriced_plans, value_words
from llm_spend.answers.insights import Design, DesignCustomer, Kpi, Plan
from llm_spend.dashboard.filters import DIMENSIONS
from llm_spend.dashboard.show import Kind, plain, table
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.month import chosen_month

_MEMBERS, _MONTHS, _CUSTOMERS = 200, 24, 1_000


def value(view: View) -> None:
    """What the product did, set against what the models cost."""
    st.title("Value")
    month = chosen_month(view)
    total, history, features, customers = view.ask(
        insights.kpis(month, "total", 1),
        insights.kpi_history(_MONTHS),
        insights.kpis(month, "feature", _MEMBERS),
        insights.kpis(month, "customer", _MEMBERS),
    )
    if not history:
        st.info(
            "There are no business events yet: write sessions, conversions, tickets, revenue … into"
            " seeds/rules/business_events.csv, then run `llm-spend build`."
        )
        return
    st.caption(
        "Of whole months and all usage: the filters don't apply. What each KPI means: see What words mean. Known is the"
        " share of the cost for which there are events: far below all of it, a KPI is of little use."
    )
    _cards([Kpi(*row) for row in total])
    for title, rows in (("feature", features), ("customer", customers)):
        if rows:
            st.subheader(f"By {title}")
            _matrix([Kpi(*row) for row in rows], "member_id", DIMENSIONS[title])
    st.subheader("Month by month")
    _matrix([Kpi(*row) for row in history], "billing_period", "Month")


def _cards(rows: list[Kpi]) -> None:
    if not rows:
        st.info("Nothing was recorded of this month.")
        return
    for start in range(0, len(rows), 3):
        for place, row in zip(st.columns(3), rows[start : start + 3], strict=False):
            place.metric(
                plain(row.kpi_name),
                plain(value_words(row.kpi_value, row.unit)),
                delta=plain(
                    f"{'' if row.coverage_ratio is None else f'{percent(row.coverage_ratio)} known: '}"
                    f"{_figure(row.numerator_name, row.numerator_value)}, "
                    f"{_figure(row.denominator_name, row.denominator_value)}"
                ),
                delta_color="off",
                delta_arrow="off",
                help=plain(f"{row.unit or 'no unit'}; events are known for {percent(row.coverage_ratio)} of the cost"),
                border=True,
            )
    if not rows[0].is_whole_month:
        st.caption("The month is not over, or not wholly known.")
    if rows[0].unpriced_tokens:
        st.caption(plain(f"{count(rows[0].unpriced_tokens)} tokens have no price: no KPI of cost has them."))


def _figure(name: str, amount: Decimal | None) -> str:
    return (
        f"{name.replace('_', ' ').removesuffix(' usd')} {value_words(amount, 'USD' if name.endswith('_usd') else '')}"
    )


def _matrix(rows: list[Kpi], by: str, title: str) -> None:
    """A line for each member or month, a column for each KPI."""
    names = dict(sorted({row.kpi_id: row.kpi_name for row in rows}.items(), key=lambda item: (item[1], item[0])))
    lines: dict[object, dict[str, Kpi]] = {}
    for row in rows:
        lines.setdefault(getattr(row, by), {})[row.kpi_id] = row
    shown = [
        (
            f"{line:%Y-%m}" if isinstance(line, date) else line,
            *(_kpi(of[kpi]) if kpi in of else "" for kpi in names),
            next(iter(of.values())).cost_usd,
            min((share for each in of.values() if (share := _coverage(each)) is not None), default=None),
        )
        for line, of in lines.items()
    ]
    columns: dict[str, Kind] = {title: "text", **dict.fromkeys(names.values(), "text")}
    table(shown, {**columns, "Cost": "usd", "Least coverage": "share"})


def _kpi(row: Kpi) -> str:
    return kpi_words(row.kpi_value, row.unit, row.coverage_ratio)


def _coverage(row: Kpi) -> Decimal | None:
    """Of a KPI that is known."""
    return None if row.kpi_value is None else row.coverage_ratio


def customers(view: View) -> None:
    """Customers against their plans, and plans that might be sold instead."""
    st.title("Customers and plans")
    month = chosen_month(view)
    plans, designed = view.ask(insights.plans(month, _CUSTOMERS), insights.designs(month))
    st.caption("Of whole months and all usage: the filters don't apply. Costs are those of the models, not of sales.")
    table(
        [
            (
                row.customer_name or row.customer_id, row.plan_name or "none", row.used_tokens, row.included_tokens,
                row.used_ratio, row.overage_tokens, row.revenue_usd, row.cost_usd, row.margin_usd,
                row.recommended_plan or "", row.recommended_saving_usd, row.unpriced_tokens,
            )
            for row in (Plan(*each) for each in plans)
        ],
        {
            "Customer": "text",
            "Plan": "text",
            "Used tokens": "count",
            "Included": "count",
            "Used": "share",
            "Above it": "count",
            "Revenue": "usd",
            "Cost": "usd",
            "Margin": "usd",
            "A better plan": "text",
            "It would save": "usd",
            "Unpriced tokens": "count",
        },
        empty="No customer used anything: callers name it with each request (docs/customers.md).",
    )  # fmt: skip
    if unpriced := sum(Plan(*each).unpriced_tokens for each in plans):
        st.caption(plain(unpriced_plans(unpriced)))
    st.subheader("Other plans")
    st.caption(
        "What plans that nobody bought yet would have brought with the usage of the month"
        " (seeds/rules/plan_designs.csv); customers would use more or less of them than they did. More than today is of"
        " those customers only of whom both are known. Choose a plan to see who would have it."
    )
    rows = [Design(*row) for row in designed]
    if not rows:
        st.info("There is no design yet: write one into seeds/rules/plan_designs.csv, then run `llm-spend build`.")
        return
    for (_, name), group in groupby(rows, attrgetter("design_id", "design_name")):
        st.markdown(f"**{plain(name)}**, {month_name(month)}")
        _design(view, month, list(group))


def _design(view: View, month: date, rows: list[Design]) -> None:
    chosen = table(
        [
            (
                plan_words(row.plan_id, row.plan_name), row.customers, row.used_tokens, row.revenue_usd,
                row.revenue_change_usd, row.customers_compared, row.cost_usd, row.margin_usd, row.margin_ratio,
                row.unpriced_tokens,
            )
            for row in rows
        ],
        {
            "Plan": "text",
            "Customers": "count",
            "Used tokens": "count",
            "Revenue": "usd",
            "More than today": "usd",
            "Of customers": "count",
            "Cost": "usd",
            "Margin": "usd",
            "Of the revenue": "share",
            "Unpriced tokens": "count",
        },
        key=f"design {month} {rows[0].design_id}",
    )  # fmt: skip
    if chosen is None or not rows[chosen].customers:
        return
    plan = rows[chosen]
    (found,) = view.ask(insights.design_customers(month, plan.design_id, str(plan.plan_id), _CUSTOMERS))
    st.markdown(f"{count(plan.customers)} customers would have {plain(plan_words(plan.plan_id, plan.plan_name))}:")
    table(
        [
            (
                row.customer_name or row.customer_id, row.used_tokens, row.overage_tokens, row.revenue_usd,
                row.current_plan_id or "none", row.current_revenue_usd, row.revenue_change_usd, row.cost_usd,
                row.margin_usd,
            )
            for row in (DesignCustomer(*each) for each in found)
        ],
        {
            "Customer": "text",
            "Used tokens": "count",
            "Above the plan": "count",
            "Revenue": "usd",
            "Plan today": "text",
            "Revenue today": "usd",
            "Change": "usd",
            "Cost": "usd",
            "Margin": "usd",
        },
    )  # fmt: skip
