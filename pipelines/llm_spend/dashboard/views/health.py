"""Pages of what is missing, and of how old what is there is."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from llm_spend.answers.formats import age, ratio
from llm_spend.answers.screen import UNPRICED_REASONS
from llm_spend.dashboard import queries
from llm_spend.dashboard.filters import DIMENSIONS
from llm_spend.dashboard.show import plain, table, usage_of
from llm_spend.dashboard.view import View

_OWNERS = ("user", "team", "feature", "customer", "environment", "cost_center")


def gaps(view: View) -> None:
    """What no amount has, and what belongs to nobody."""
    st.title("Unpriced and unallocated")
    filters, dialect = view.filters, view.dialect
    (now,), unpriced, *nobodys = view.ask(
        queries.total(filters, dialect),
        queries.unpriced(),
        *(queries.unallocated(filters, dialect, owner) for owner in _OWNERS),
    )
    total = usage_of(now)
    st.subheader("What belongs to nobody")
    st.caption(plain(view.in_words()))
    rows = []
    for owner, (found,) in zip(_OWNERS, nobodys, strict=True):
        usage = usage_of(found)
        cost = usage.cost_usd if usage.attempts else 0
        share_of_attempts, share_of_cost = ratio(usage.attempts, total.attempts), ratio(cost, total.cost_usd)
        rows.append(
            (DIMENSIONS[owner], usage.attempts, share_of_attempts, cost, share_of_cost, usage.unpriced_requests)
        )
    table(
        rows,
        {
            "Without a": "text",
            "Attempts": "count",
            "Share of attempts": "share",
            "Cost": "usd",
            "Share of cost": "share",
            "Unpriced attempts": "count",
        },
    )
    st.subheader("What has no price")
    st.caption("All that is loaded, whatever the filters are. No amount anywhere has it.")
    table(
        [
            (
                provider,
                model,
                UNPRICED_REASONS.get(why, why),
                attempts,
                tokens,
                gateway,
                first,
                last,
                seed or "nothing: nobody counted",
            )
            for provider, model, why, attempts, tokens, gateway, first, last, seed in unpriced
        ],
        {
            "Provider": "text",
            "Model": "text",
            "Why": "text",
            "Attempts": "count",
            "Tokens": "count",
            "The gateways say": "usd",
            "Since": "moment",
            "Last": "moment",
            "Mend it in": "text",
        },
        empty="Everything has a price.",
    )


def freshness(view: View) -> None:
    """How new and how complete each source is."""
    st.title("Freshness")
    st.caption("All that is loaded, whatever the filters are. Times are UTC.")
    now = datetime.now(UTC).replace(tzinfo=None)
    sources, loads, differences, overlaps = view.ask(
        queries.sources(), queries.loads(), queries.totals_that_differ(), queries.overlaps()
    )
    st.subheader("Sources")
    table(
        [
            (f"{system} ({instance})", attempts, last, age(now - last) if last else None, *others)
            for system, instance, attempts, last, *others in sources
        ],
        {
            "Source": "text",
            "Attempts": "count",
            "Newest request": "moment",
            "Its age": "text",
            "Newest load": "moment",
            "Unreadable lines": "count",
            "Came twice": "count",
            "Unpriced attempts": "count",
            "Of no team": "count",
            "Without token counts": "count",
            "Usage known until": "moment",
            "Forecasts wait for it": "text",
        },
        empty="No source is loaded.",
    )
    if differences:
        st.subheader("Days of which a part may be missing")
        table(
            [
                (day, f"{system} ({instance})", ours, theirs, share)
                for day, system, instance, ours, theirs, share in differences
            ],
            {"Day": "day", "Source": "text", "Loaded": "count", "By the gateway": "count", "Difference": "share"},
        )
    if overlaps:
        st.subheader("Calls that count twice")
        table(
            [
                (f"{system} ({instance})", f"{other} ({other_instance})", calls, cost)
                for system, instance, other, other_instance, calls, cost in overlaps
            ],
            {"Source": "text", "And": "text", "Calls": "count", "Cost": "usd"},
        )
    st.subheader("Newest loads")
    table(
        [
            (at, f"{source} ({instance})", entity, files, rows, unreadable, last)
            for at, source, instance, entity, files, rows, unreadable, last in loads
        ],
        {
            "Loaded": "moment",
            "Source": "text",
            "What": "text",
            "Files": "count",
            "Rows": "count",
            "Unreadable lines": "count",
            "Newest request in it": "moment",
        },
        empty="Nothing was loaded.",
    )
