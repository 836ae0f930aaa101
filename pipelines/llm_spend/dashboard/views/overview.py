"""The page that opens: what was spent, against the time before, the forecast and the budgets; by day; by whom."""

from __future__ import annotations

from decimal import Decimal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from llm_spend.answers import insights
from llm_spend.answers.formats import count, moment, month_name, percent, ratio
from llm_spend.answers.insight_words import interval_words
from llm_spend.answers.insights import Forecast
from llm_spend.answers.known import forecast, is_over, known_days
from llm_spend.answers.marts import UNALLOCATED
from llm_spend.dashboard import charts, queries
from llm_spend.dashboard.filters import DIMENSIONS, Days, Filters
from llm_spend.dashboard.queries import OTHERS
from llm_spend.dashboard.show import Usage, money, plain, table, usage_of
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.budgets import budget_of, budget_table
from llm_spend.dashboard.views.usage_table import NO_USAGE, chosen_dimension, usage_table
from llm_spend.destinations.base import Row
from llm_spend.months import month_of, next_month
from llm_spend.report.headline import month_budget

_IN_CHART, _IN_OVERVIEW = 8, 10


def overview(view: View) -> None:
    """What was spent, against the time before and the budgets; by day; by whom."""
    st.title("Overview")
    st.caption(plain(view.in_words()))
    filters, dialect = view.filters, view.dialect
    days = filters.days
    (now,), (before,), (without_team,), budgets, sources, unusual, forecasts = view.ask(
        queries.total(filters, dialect),
        queries.total(filters.on(days.before()), dialect),
        queries.unallocated(filters, dialect, "team"),
        queries.budgets(),
        queries.sources(),
        insights.anomaly_counts(days.first, days.end),
        insights.forecasts(1),
    )
    total = usage_of(now)
    if not total.attempts:
        st.info(NO_USAGE)
        return
    _headline(view, total, usage_of(before), usage_of(without_team), budgets, [Forecast(*row) for row in forecasts])
    _state(budgets, sources, unusual)
    dimension = chosen_dimension("team")
    (members,) = view.ask(queries.by_member(filters, dialect, dimension, _IN_OVERVIEW))
    st.subheader(f"Spend by {DIMENSIONS[dimension].lower()}")
    _by_day(view, dimension, members)
    usage_table(members, DIMENSIONS[dimension], total)
    st.subheader("Budgets")
    st.caption("Of whole periods and their own subjects, whatever the filters are.")
    budget_table(budgets)


def _state(budgets: list[Row], sources: list[Row], unusual: list[Row]) -> None:
    """Budgets, anomalies and freshness, in a line."""
    statuses = [row[12] for row in budgets]
    said = (
        f"Budgets now: {statuses.count('breached')} of {len(statuses)} breached, {statuses.count('warning')} near it."
    )
    events, loads = [row[3] for row in sources if row[3]], [row[4] for row in sources if row[4]]
    newest = f"Newest request {moment(max(events, default=None))}, newest load {moment(max(loads, default=None))} UTC."
    found = ", ".join(f"{count(number)} {severity}" for severity, number in unusual)
    odd = f"Anomalies of all usage in these days: {found or 'none'}."
    st.markdown(plain(f"{said if statuses else 'There is no budget for now.'} {odd} {newest}"))


def _headline(
    view: View, total: Usage, before: Usage, without_team: Usage, budgets: list[Row], forecasts: list[Forecast]
) -> None:
    are_over = view.filters.days.end <= view.known.to.date()
    change = ratio(total.cost_usd - before.cost_usd, before.cost_usd) if total.cost_usd and before.cost_usd else None
    spend, at_the_end, budget = st.columns(3)
    spend.metric(
        "Spend",
        plain(money(total.cost_usd)),
        delta=f"{change * 100:+.1f}%" if are_over and change is not None else None,
        delta_color="inverse",
        delta_description=f"from {money(before.cost_usd)}" if are_over and change is not None else None,
        border=True,
    )
    _forecast(at_the_end, view, total, forecasts)
    _budget(budget, view, budgets)
    requests, unpriced, unallocated = st.columns(3)
    _count(requests, "Requests", count(total.requests), f"{count(total.total_tokens)} tokens")
    share = percent(ratio(total.unpriced_requests, total.attempts))
    _count(
        unpriced,
        "Attempts without a price",
        count(total.unpriced_requests),
        f"{share} of all, {count(total.unpriced_tokens)} tokens",
        "No amount has them: their cost is not known, which is not 0.",
    )
    _count(
        unallocated,
        "Of no team",
        money(without_team.cost_usd if without_team.attempts else Decimal(0)),
        f"{count(without_team.requests)} requests",
    )
    if not are_over:
        why = view.known.late_words or f"These days are not over: there is usage until {view.known.as_of}"
        st.caption(plain(f"{why}. The time before them cost {money(before.cost_usd)}."))


def _count(place: DeltaGenerator, label: str, value: str, note: str, about: str | None = None) -> None:
    place.metric(label, plain(value), delta=plain(note), delta_color="off", delta_arrow="off", help=about, border=True)


def _forecast(place: DeltaGenerator, view: View, total: Usage, forecasts: list[Forecast]) -> None:
    """What the month will have cost; of other days what one of them did.

    Of all usage as llm_spend_forecast says it; of a part that filters cut out, as its known days go on.
    """
    month, days = month_of(view.known.as_of), view.filters.days
    of_all = {row.billing_period: row for row in forecasts if row.member_type == "total" and row.status == "forecast"}
    row = of_all.get(days.first)
    if row and days == Days(days.first, next_month(days.first)) and view.filters == Filters(days):
        interval = interval_words(row.lower_usd, row.upper_usd)
        _count(place, f"Forecast for {month_name(row.billing_period)}", money(row.forecast_usd), interval)
        return
    if days == Days(month, next_month(month)) and not is_over(month, view.known):
        end, known = forecast(total.cost_usd, month, view.known), known_days(month, view.known)
        rate = f"at {money(ratio(total.cost_usd, known))} a day" if known else "less than a day is known"
        if view.known.late:
            rate = f"{view.known.late} is late"
        _count(place, f"Forecast for {month_name(month)}", money(end), rate)
        return
    number = (min(days.last, view.known.as_of) - max(days.first, view.extent.first)).days + 1
    # Only a clock that is wrong dates usage after the last known day: no number of days goes with it.
    is_known = number > 0
    _count(
        place,
        "A day",
        money(ratio(total.cost_usd, number) if is_known else None),
        "on average" if is_known else "after the last known day",
    )


def _budget(place: DeltaGenerator, view: View, rows: list[Row]) -> None:
    """The budget of the month for all of it, which no filter changes."""
    found = month_budget(tuple(budget_of(row) for row in rows), month_of(view.known.as_of))
    label = f"Budget of {month_name(month_of(view.known.as_of))}"
    if found is None:
        _count(place, label, "none", "no rule by cost a month")
        return
    spent = sum((each.spent_usd for each in found.budgets), Decimal(0))
    share = percent(ratio(spent, found.budget_usd))
    _count(place, label, share, f"{money(spent)} of {money(found.budget_usd)}", plain(f"Of {found.label}, unfiltered."))


def _by_day(view: View, dimension: str, members: list[Row]) -> None:
    known = [row[0] for row in members]
    names = [name for name in known if name not in (OTHERS, UNALLOCATED)][:_IN_CHART]
    alone = (*names, UNALLOCATED) if UNALLOCATED in known else tuple(names)
    (rows,) = view.ask(queries.by_day(view.filters, view.dialect, dimension, alone))
    days = [(day, name, cost) for day, name, cost, _ in rows]
    rest = [name for name in (OTHERS, UNALLOCATED) if any(row[1] == name for row in rows)]
    chart = charts.spend_by_time(days, names, rest)
    st.vega_lite_chart(chart, alt=f"Spend by day and {DIMENSIONS[dimension].lower()}; the table below has the numbers.")
    with st.expander("As a table"):
        table(rows, {"Day": "day", DIMENSIONS[dimension]: "text", "Cost": "usd", "Unpriced attempts": "count"})
