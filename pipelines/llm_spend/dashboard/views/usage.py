"""Pages of usage: all of them follow the filters."""

from __future__ import annotations

import streamlit as st

from llm_spend.answers.formats import count, ratio
from llm_spend.answers.marts import UNRESOLVED
from llm_spend.dashboard import charts, queries
from llm_spend.dashboard.filters import DIMENSIONS
from llm_spend.dashboard.show import Kind, Usage, money, plain, table, usage_of
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.request_table import request_pages
from llm_spend.dashboard.views.usage_table import NO_USAGE, chosen_dimension, usage_bars, usage_table


def breakdown(view: View) -> None:
    """Usage by the members of a dimension."""
    st.title("Usage")
    st.caption(plain(view.in_words()))
    dimension = chosen_dimension("user")
    filters, dialect = view.filters, view.dialect
    (now,), members = view.ask(queries.total(filters, dialect), queries.by_member(filters, dialect, dimension))
    total = usage_of(now)
    if not total.attempts:
        st.info(NO_USAGE)
        return
    _totals(total)
    usage_bars(members, DIMENSIONS[dimension])
    usage_table(members, DIMENSIONS[dimension], total)


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
        st.info(NO_USAGE)
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


def _totals(total: Usage) -> None:
    spend, requests, tokens, unpriced = st.columns(4)
    spend.metric("Spend", plain(money(total.cost_usd)), border=True)
    requests.metric("Requests", count(total.requests), border=True)
    tokens.metric("Tokens", count(total.total_tokens), border=True)
    unpriced.metric("Attempts without a price", count(total.unpriced_requests), border=True)
