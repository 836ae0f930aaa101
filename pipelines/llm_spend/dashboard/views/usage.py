"""Pages of usage: all of them follow the filters."""

from __future__ import annotations

from decimal import Decimal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from llm_spend.answers.formats import count, moment, month_name, percent, ratio
from llm_spend.answers.known import forecast, is_over, known_days
from llm_spend.answers.marts import UNALLOCATED, UNRESOLVED
from llm_spend.dashboard import charts, queries
from llm_spend.dashboard.filters import DIMENSIONS, Days
from llm_spend.dashboard.queries import OTHERS
from llm_spend.dashboard.show import USAGE_COLUMNS, Kind, Usage, money, plain, table, usage_cells, usage_of
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.budgets import budget_of, budget_table
from llm_spend.dashboard.views.request_table import request_pages
from llm_spend.destinations.base import Row
from llm_spend.months import month_of, next_month
from llm_spend.report.headline import month_budget

_IN_CHART, _IN_BARS, _IN_OVERVIEW = 8, 15, 10
_NO_USAGE = "There is no usage with these filters."


def overview(view: View) -> None:
    """What was spent, against the time before and the budgets; by day; by whom."""
    st.title("Overview")
    st.caption(plain(view.in_words()))
    filters, dialect = view.filters, view.dialect
    (now,), (before,), (without_team,), budgets, sources = view.ask(
        queries.total(filters, dialect),
        queries.total(filters.on(filters.days.before()), dialect),
        queries.unallocated(filters, dialect, "team"),
        queries.budgets(),
        queries.sources(),
    )
    total = usage_of(now)
    if not total.attempts:
        st.info(_NO_USAGE)
        return
    _headline(view, total, usage_of(before), usage_of(without_team), budgets)
    _state(budgets, sources)
    dimension = _dimension("team")
    (members,) = view.ask(queries.by_member(filters, dialect, dimension, _IN_OVERVIEW))
    st.subheader(f"Spend by {DIMENSIONS[dimension].lower()}")
    _by_day(view, dimension, members)
    _usage_table(members, DIMENSIONS[dimension], total)
    st.subheader("Budgets")
    st.caption("Of whole periods and their own subjects, whatever the filters are.")
    budget_table(budgets)


def _state(budgets: list[Row], sources: list[Row]) -> None:
    """Budgets and freshness, each in a line."""
    statuses = [row[12] for row in budgets]
    said = (
        f"Budgets now: {statuses.count('breached')} of {len(statuses)} breached, {statuses.count('warning')} near it."
    )
    events, loads = [row[3] for row in sources if row[3]], [row[4] for row in sources if row[4]]
    newest = f"Newest request {moment(max(events, default=None))}, newest load {moment(max(loads, default=None))} UTC."
    st.markdown(plain(f"{said if statuses else 'There is no budget for now.'} {newest}"))


def breakdown(view: View) -> None:
    """Usage by the members of a dimension."""
    st.title("Usage")
    st.caption(plain(view.in_words()))
    dimension = _dimension("user")
    filters, dialect = view.filters, view.dialect
    (now,), members = view.ask(queries.total(filters, dialect), queries.by_member(filters, dialect, dimension))
    total = usage_of(now)
    if not total.attempts:
        st.info(_NO_USAGE)
        return
    _totals(total)
    _bars(members, DIMENSIONS[dimension])
    _usage_table(members, DIMENSIONS[dimension], total)


def tags(view: View) -> None:
    """Usage by the values of any tag."""
    st.title("Tags")
    st.caption(plain(view.in_words()))
    filters = view.filters
    keys = [row[0] for row in view.ask(queries.tag_keys(view.extent))[0]]
    if not keys:
        st.info("No request has metadata. Callers send it with each request; docs/sources.md says how.")
        return
    key = st.selectbox("Tag", keys, key="by_tag", accept_new_options=True, bind="query-params")
    (now,), values = view.ask(queries.total(filters, view.dialect), queries.by_tag_value(filters, view.dialect, key))
    total = usage_of(now)
    st.caption("Shares are of all usage with these filters. Requests without the tag are in no row.")
    _bars(values, "value")
    _usage_table(values, "Value", total)


def performance(view: View) -> None:
    """How fast models answer, and how often they fail."""
    st.title("Latency and errors")
    filters = view.filters
    st.caption(
        plain(f"{filters.days.first} to {filters.days.last}, UTC.")
        + " Latencies are known by day, provider, model and operation: days, providers and models count of the filters."
        " Percentiles of days can't be added up: the table has those of the lowest and the highest day."
        f" Models that are in no price list are one here, {UNRESOLVED}, whichever of them the filter names."
    )
    (rows,) = view.ask(queries.performance(filters))
    if not rows:
        st.info(_NO_USAGE)
        return
    shown = [
        (provider, model, operation, tried, failed, ratio(failed, tried), measured, *ranges)
        for provider, model, operation, tried, failed, measured, *ranges in rows
    ]
    columns: dict[str, Kind] = {
        "Provider": "text",
        "Model": "text",
        "Operation": "text",
        "Attempts": "count",
        "Failed": "count",
        "Error rate": "share",
        "Measured": "count",
    }
    columns |= {
        f"{name}, {end} day": "milliseconds"
        for name in ("p50 ms", "p90 ms", "p99 ms", "first token p50 ms")
        for end in ("lowest", "highest")
    }
    chosen = table(shown, columns, key="performance") or 0
    provider, model, operation = rows[chosen][:3]
    st.subheader(plain(f"{provider} / {model}, {operation}, by day"))
    st.caption("Choose another one in the table.")
    (days,) = view.ask(queries.performance_by_day(filters, provider, model, operation))
    latencies = charts.lines_by_day([row[:4] for row in days], ["p50", "p90", "p99"], "Milliseconds")
    st.vega_lite_chart(latencies, alt="Percentiles of the latency by day; the table below has the numbers.")
    table(
        [(*row[:5], row[5], row[6], ratio(row[6], row[5])) for row in days],
        {
            "Day": "day",
            "p50 ms": "milliseconds",
            "p90 ms": "milliseconds",
            "p99 ms": "milliseconds",
            "First token p50 ms": "milliseconds",
            "Attempts": "count",
            "Failed": "count",
            "Error rate": "share",
        },
    )


def requests(view: View) -> None:
    """The requests themselves, dearest first."""
    st.title("Requests")
    st.caption(plain(view.in_words()) + ". The dearest come first, those without a known cost last.")
    request_pages(
        view, lambda page: queries.requests(view.filters, view.dialect, page), key=f"requests {view.in_words()}"
    )


def _dimension(default: str) -> str:
    """The dimension that is chosen on the page."""
    names = list(DIMENSIONS)
    return str(
        st.segmented_control(
            "By",
            names,
            default=default,
            required=True,
            format_func=DIMENSIONS.__getitem__,
            key=f"by_{default}",
            bind="query-params",
        )
    )


def _headline(view: View, total: Usage, before: Usage, without_team: Usage, budgets: list[Row]) -> None:
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
    _forecast(at_the_end, view, total)
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
        st.caption(
            plain(
                f"These days are not over: there is usage until {view.known.as_of}."
                f" The time before them cost {money(before.cost_usd)}."
            )
        )


def _count(place: DeltaGenerator, label: str, value: str, note: str, about: str | None = None) -> None:
    place.metric(label, plain(value), delta=plain(note), delta_color="off", delta_arrow="off", help=about, border=True)


def _forecast(place: DeltaGenerator, view: View, total: Usage) -> None:
    """What the month will have cost; of other days what one of them did."""
    month, days = month_of(view.known.as_of), view.filters.days
    if days == Days(month, next_month(month)) and not is_over(month, view.known):
        end, known = forecast(total.cost_usd, month, view.known), known_days(month, view.known)
        rate = f"at {money(ratio(total.cost_usd, known))} a day" if known else "less than a day is known"
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


def _totals(total: Usage) -> None:
    spend, requests, tokens, unpriced = st.columns(4)
    spend.metric("Spend", plain(money(total.cost_usd)), border=True)
    requests.metric("Requests", count(total.requests), border=True)
    tokens.metric("Tokens", count(total.total_tokens), border=True)
    unpriced.metric("Attempts without a price", count(total.unpriced_requests), border=True)


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


def _bars(members: list[Row], noun: str) -> None:
    bars = [(row[0], usage_of(row[2:]).cost_usd) for row in members[:_IN_BARS]]
    if bars:
        chart = charts.amounts_by_name(bars, "USD")
        st.vega_lite_chart(chart, alt=f"Spend by {noun.lower()}; the table below has the numbers.")


def _usage_table(members: list[Row], heading: str, total: Usage) -> None:
    """The members in their order, and all others in one row: the rows add up to the total."""
    rows = [
        (f"{number:,} others" if name == OTHERS else name, *usage_cells(usage_of(measures), total.cost_usd))
        for name, number, *measures in members
    ]
    table(rows, {heading: "text", **USAGE_COLUMNS}, empty=_NO_USAGE)
