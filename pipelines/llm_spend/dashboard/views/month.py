"""The month of a page of whole months."""

from __future__ import annotations

from datetime import date

import streamlit as st

from llm_spend.dashboard.view import View
from llm_spend.months import back, month_of


def choose_month(months: list[date]) -> date:
    """One of these."""
    return st.selectbox("Month", months, format_func=lambda month: f"{month:%Y-%m}", key="month", bind="query-params")


def chosen_month(view: View) -> date:
    """One of those with usage, the latest first."""
    months = [month_of(view.known.as_of)]
    while months[-1] > view.extent.first:
        months.append(back(months[-1], 1))
    return choose_month(months)
