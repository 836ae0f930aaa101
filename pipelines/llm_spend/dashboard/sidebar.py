"""The filters, which stay while somebody goes from page to page and are in the address; and how old the numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import cast, get_args

import streamlit as st

from llm_spend.answers.formats import moment
from llm_spend.answers.known import Known, known_usage
from llm_spend.dashboard import queries
from llm_spend.dashboard.filters import DIMENSIONS, Days, Filters, Period, days_of
from llm_spend.dashboard.show import plain
from llm_spend.dashboard.store import Store, open_store
from llm_spend.dashboard.view import View
from llm_spend.errors import UserError

_WATCH_SECONDS = 15


def view_of(store: Store) -> View:
    """What is to be seen of a store, by the filters in the sidebar. Raises UserError when it has no usage."""
    known = known_usage(store.ask(queries.known())[0][0])
    if known is None:
        raise UserError(f"{store.label} has no usage.", "Load some with `llm-spend load`, then run `llm-spend build`.")
    extent = days_of("Everything", known.first, known.last)
    with st.sidebar:
        filters = _filters(store, extent, known)
        _age(store)
    return View(store, filters, extent, known)


def _filters(store: Store, extent: Days, known: Known) -> Filters:
    days = _days(extent, known)
    names = list(DIMENSIONS)
    found = store.ask(*(queries.members(name, extent) for name in names), queries.tag_keys(extent))
    members = {name: _choose(name, [row[0] for row in rows]) for name, rows in zip(names, found, strict=False)}
    key = st.selectbox(
        "Tag",
        [row[0] for row in found[-1]],
        index=None,
        placeholder="Any",
        key="tag",
        accept_new_options=True,
        bind="query-params",
    )
    values: Sequence[str] = ()
    if key:
        values_of_key = [row[0] for row in store.ask(queries.tag_values(key, extent))[0]]
        values = st.multiselect(
            f"Values of {plain(key)}",
            values_of_key,
            placeholder="All",
            key="value",
            accept_new_options=True,
            bind="query-params",
        )
        st.caption("With a tag, numbers come from the single requests, which takes longer.")
    st.button("Clear filters", on_click=_clear)
    chosen = tuple((name, values) for name, values in members.items() if values)
    return Filters(days, chosen, key, tuple(values))


def _days(extent: Days, known: Known) -> Days:
    period = cast(Period, st.selectbox("Time", get_args(Period), key="period", bind="query-params"))
    chosen: tuple[date, ...] = ()
    if period == "Chosen days":
        whole = (extent.first, extent.last)
        chosen = cast(
            "tuple[date, ...]",
            st.date_input("Days (UTC)", whole, *whole, key="days", format="YYYY-MM-DD", bind="query-params"),
        )
    # What a wrong clock dates ahead is part of everything, and no end of the last 30 days.
    return days_of(period, extent.first, extent.last if period == "Everything" else known.as_of, chosen)


def _choose(name: str, options: list[str]) -> tuple[str, ...]:
    chosen = st.multiselect(
        DIMENSIONS[name],
        options,
        placeholder="All",
        key=name,
        # A name that no list shows can be meant; left out, an address with it would show everybody's numbers.
        accept_new_options=True,
        bind="query-params",
    )
    return tuple(chosen)


def _clear() -> None:
    # Set, not removed: a value that is missing comes back from the address.
    st.session_state.update({"period": get_args(Period)[0], "tag": None, **{name: [] for name in DIMENSIONS}})
    if "value" in st.session_state:
        st.session_state["value"] = []


def _age(store: Store) -> None:
    if store.publication:
        built = store.publication.built_at
        if built is None:
            st.warning("These tables did not pass their tests: the numbers may be wrong.")
        st.caption(f"Built {moment(built)}, published {moment(store.publication.published_at)} (UTC).")
        _watch(store.state)
    elif st.button("Read anew", help="Answers of the warehouse are kept for ten minutes."):
        st.cache_data.clear()
        st.rerun()


@st.fragment(run_every=_WATCH_SECONDS)
def _watch(state: str) -> None:
    """Show the new numbers soon after they are published."""
    try:
        is_same = open_store().state == state
    except UserError:
        is_same = False
    if not is_same:
        st.rerun()
