"""The page of what could cost less."""

from __future__ import annotations

import streamlit as st

from llm_spend.answers import insights
from llm_spend.answers.formats import percent
from llm_spend.answers.insight_words import CANDIDATE_KINDS, saving_words
from llm_spend.answers.insights import ALL, Candidate, CandidateKind, ModelCost, Switch
from llm_spend.dashboard.show import Kind, money, plain, table
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.month import chosen_month
from llm_spend.export.words import in_words
from llm_spend.months import next_month

_MOST = 500


def savings(view: View) -> None:
    """Usage that could cost less, and what it would have cost on other models."""
    st.title("Savings")
    month = chosen_month(view)
    models, kinds, found, switched = view.ask(
        insights.model_costs(month, next_month(month)),
        insights.candidate_kinds(month),
        insights.candidates(month, _MOST),
        insights.switches(month, _MOST),
    )
    st.caption("Of whole months and all usage: the filters don't apply.")
    st.subheader("What is paid for")
    st.caption(
        "Tokens by how they are priced, at your prices. Other is what has no tokens: searches, seconds, pages, a"
        " request as such. Unpriced requests are in no amount."
    )
    _model_costs([ModelCost(*row) for row in models])
    st.subheader("Where to look")
    st.caption(
        "The same request can be in several of these, so that they must not be added up. What is not exact is estimated"
        " from what similar usage needs; unpriced usage is in no amount."
    )
    table(
        [
            (
                in_words(row.kind, CANDIDATE_KINDS), row.candidates, row.spend_usd,
                saving_words(row.saving_usd, row.saving_low_usd, row.saving_high_usd), row.requests,
                row.unpriced_requests,
            )
            for row in (CandidateKind(*each) for each in kinds)
        ],
        {
            "What": "text",
            "Candidates": "count",
            "Spent on them": "usd",
            "Could be saved": "text",
            "Requests": "count",
            "Unpriced requests": "count",
        },
        empty="Nothing was found that could cost less.",
    )  # fmt: skip
    if found:
        _candidates([Candidate(*row) for row in found], key=f"candidates {month}")
    st.subheader("On another model")
    st.caption(
        "The same tokens at the prices of a model that may replace it (seeds/mapping/model_switches.csv), as they were"
        " on each day. Nobody knows from prices whether its answers are as good."
    )
    _switches([Switch(*row) for row in switched], key=f"switches {month}")


def _model_costs(rows: list[ModelCost]) -> None:
    columns: dict[str, Kind] = {"Model": "text", **dict.fromkeys(insights.COST_TITLES, "usd")}
    table(insights.with_total(rows, _MOST), columns, empty="No cost of the month is known.")


def _candidates(rows: list[Candidate], *, key: str) -> None:
    chosen = table(
        [
            (
                in_words(row.kind, CANDIDATE_KINDS), _named(row.team_id), _named(row.feature_id), _named(row.model_id),
                _named(row.prompt_id), row.requests, row.spend_usd,
                saving_words(row.saving_usd, row.saving_low_usd, row.saving_high_usd), row.unpriced_requests,
                row.confidence, row.explanation,
            )
            for row in rows
        ],
        {
            "What": "text",
            "Team": "text",
            "Feature": "text",
            "Model": "text",
            "Prompt": "text",
            "Requests": "count",
            "Spent": "usd",
            "Could be saved": "text",
            "Unpriced requests": "count",
            "How sure": "text",
            "Why": "prose",
        },
        key=key,
    )  # fmt: skip
    if chosen is not None:
        row = rows[chosen]
        st.markdown(plain(f"{row.explanation} How sure: {row.confidence}. {row.confidence_reason}"))


def _switches(rows: list[Switch], *, key: str) -> None:
    chosen = table(
        [
            (
                row.feature_id, row.model_id, row.to_model_id, row.requests, row.contract_cost_usd,
                row.switch_contract_usd, row.saving_usd, row.saving_ratio, row.list_cost_usd, row.switch_list_usd,
                row.token_factor, row.not_comparable_requests,
            )
            for row in rows
        ],
        {
            "Feature": "text",
            "Model": "text",
            "Another": "text",
            "Requests": "count",
            "Cost": "usd",
            "There": "usd",
            "Saving": "usd",
            "Share": "share",
            "At list prices": "usd",
            "There, list": "usd",
            "Tokens there": "number",
            "Not comparable": "count",
        },
        key=key,
        empty="No model of the month has one that may replace it: name pairs in seeds/mapping/model_switches.csv.",
    )  # fmt: skip
    if chosen is not None:
        row = rows[chosen]
        st.markdown(
            plain(
                f"{row.feature_id} with {row.to_model_id}{f' of {row.to_channel}' if row.to_channel else ''} instead of"
                f" {row.model_id}: {money(row.saving_usd)} less ({percent(row.saving_ratio)}). {row.caveat}"
            )
        )


def _named(member: str) -> str:
    """Nothing where a kind does not tell its members apart."""
    return "" if member == ALL else member
