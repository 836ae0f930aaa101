"""The page of tags: usage by the values of any of them, how much carries each, and what is wrong with them."""

from __future__ import annotations

import streamlit as st

from llm_spend.answers import insights
from llm_spend.answers.formats import month_name, ratio
from llm_spend.answers.insight_words import FINDINGS, tag_words
from llm_spend.answers.insights import Coverage, Finding
from llm_spend.dashboard import queries
from llm_spend.dashboard.show import plain, table, usage_of
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.usage_table import usage_bars, usage_table
from llm_spend.export.words import in_words
from llm_spend.months import month_of

_FINDINGS = 200


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
    usage_bars(values, "value")
    usage_table(values, "Value", total)
    _hygiene(view)


def _hygiene(view: View) -> None:
    """How much of the usage carries each tag, and what is wrong with them."""
    month = month_of(view.known.as_of)
    coverage, findings = view.ask(insights.tag_coverage(month), insights.tag_findings(_FINDINGS))
    st.subheader("How much carries each tag")
    st.caption(plain(f"Of all usage in {month_name(month)}: the filters don't apply."))
    table(
        [
            (
                tag_words(row.tag_key, is_owner=row.is_owner), ratio(row.requests_with_tag, row.requests),
                ratio(row.cost_with_tag_usd, row.cost_usd), row.requests_with_tag, row.cost_with_tag_usd,
            )
            for row in (Coverage(*each) for each in coverage)
        ],
        {"Tag": "text", "Of requests": "share", "Of cost": "share", "Requests": "count", "Cost": "usd"},
    )  # fmt: skip
    st.subheader("What is wrong with tags")
    rows = [Finding(*row) for row in findings]
    chosen = table(
        [
            (
                row.severity, in_words(row.finding, FINDINGS), row.tag_key, row.value, row.similar_to or "", row.teams,
                row.requests, row.cost_usd, row.last_seen_on, row.explanation,
            )
            for row in rows
        ],
        {
            "Severity": "text",
            "What": "text",
            "Tag": "text",
            "Value": "text",
            "Like": "text",
            "Teams": "count",
            "Requests": "count",
            "Cost": "usd",
            "Last": "day",
            "Explanation": "prose",
        },
        key="findings",
        empty="Nothing is wrong with the tags, as far as seeds/mapping/tag_registry.csv says what they should be.",
    )  # fmt: skip
    if chosen is not None:
        st.markdown(plain(f"{rows[chosen].explanation} {rows[chosen].what_to_do}"))
