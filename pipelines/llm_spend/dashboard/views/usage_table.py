"""What pages of usage share: the dimension that is chosen, bars, and the table of members."""

from __future__ import annotations

import streamlit as st

from llm_spend.dashboard import charts
from llm_spend.dashboard.filters import DIMENSIONS
from llm_spend.dashboard.queries import OTHERS
from llm_spend.dashboard.show import USAGE_COLUMNS, Usage, table, usage_cells, usage_of
from llm_spend.destinations.base import Row

NO_USAGE = "There is no usage with these filters."
_IN_BARS = 15


def chosen_dimension(default: str) -> str:
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


def usage_bars(members: list[Row], noun: str) -> None:
    """What the dearest members cost."""
    bars = [(row[0], usage_of(row[2:]).cost_usd) for row in members[:_IN_BARS]]
    if bars:
        chart = charts.amounts_by_name(bars, "USD")
        st.vega_lite_chart(chart, alt=f"Spend by {noun.lower()}; the table below has the numbers.")


def usage_table(members: list[Row], heading: str, total: Usage) -> None:
    """The members in their order, and all others in one row: the rows add up to the total."""
    rows = [
        (f"{number:,} others" if name == OTHERS else name, *usage_cells(usage_of(measures), total.cost_usd))
        for name, number, *measures in members
    ]
    table(rows, {heading: "text", **USAGE_COLUMNS}, empty=NO_USAGE)
