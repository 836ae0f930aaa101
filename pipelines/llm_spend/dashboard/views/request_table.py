"""A table of requests, page by page: never more of them than are looked at."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import streamlit as st

from llm_spend.answers.formats import count
from llm_spend.answers.marts import Query
from llm_spend.dashboard.queries import PAGE, REQUEST_COLUMNS
from llm_spend.dashboard.show import Kind, exact_money, plain, table
from llm_spend.dashboard.view import View
from llm_spend.destinations.base import Row

_KINDS: dict[str, Kind] = {
    "started_at": "moment",
    "input_tokens": "count",
    "cache_read_tokens": "count",
    "output_tokens": "count",
    "cost_usd": "exact_usd",
    "latency_ms": "milliseconds",
}


def request_pages(view: View, asked: Callable[[int], tuple[Query, Query]], *, key: str) -> Decimal | None:
    """The requests of a query, with a choice of the page when there are several; the cost of all, None if unknown."""
    page = st.session_state.get(key, 1)
    ((number, cost, unpriced),), rows = view.ask(*asked(page))
    if not number:
        st.info("There is no such request.")
        return None
    said = f"{count(number)} attempts, {exact_money(cost)} together"
    st.markdown(plain(f"{said}; {count(unpriced)} without a known cost are in no amount." if unpriced else f"{said}."))
    request_table(rows)
    pages = -(-number // PAGE)
    if pages > 1:
        st.pagination(pages, key=key)
    return cost if isinstance(cost, Decimal) else None


def request_table(rows: list[Row]) -> None:
    """Requests, with the columns of REQUEST_COLUMNS."""
    table(rows, {title: _KINDS.get(name, "text") for name, title in REQUEST_COLUMNS.items()})
