"""How rows and words get on the screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import streamlit as st

from llm_spend.answers.formats import day, exact_usd, moment, percent, printable, quantity, ratio, usd
from llm_spend.destinations.base import Row
from llm_spend.errors import UserError
from llm_spend.log import redact

Kind = Literal[
    "text", "prose", "usd", "exact_usd", "count", "quantity", "number", "milliseconds", "share", "day", "moment"
]
UNKNOWN = "unknown"
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#~$:|!&])")
_WRITTEN: Mapping[Kind, Callable[[Any], str]] = {
    "usd": usd,
    "quantity": quantity,
    "share": percent,
    "day": day,
    "moment": moment,
}
_ROW_HEIGHT = 35
_HEIGHT, _HEIGHT_TO_CHOOSE = 560, 385
"""Of a table at most; of one that rows are chosen from, so that what follows from it is still in sight."""


@dataclass(frozen=True)
class Usage:
    """The measures of usage, as the queries give them."""

    requests: int
    attempts: int
    errors: int
    blocked_requests: int
    cache_hits: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    total_tokens: int
    cost_usd: Decimal | None
    gateway_reported_usd: Decimal | None
    unpriced_requests: int
    unpriced_tokens: int
    feedback_score_sum: Decimal | None
    requests_with_feedback: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None


USAGE_COLUMNS: Mapping[str, Kind] = {
    "Requests": "count",
    "Tokens": "count",
    "Cost": "usd",
    "Share": "share",
    "Unpriced attempts": "count",
    "Unpriced tokens": "count",
    "Errors": "count",
    "Refused": "count",
    "Cache hits": "count",
    "Input": "count",
    "Cached input": "count",
    "Output": "count",
    "Tokens a request": "number",
    "Feedback": "number",
    "Rated": "count",
    "The gateways say": "usd",
    "First": "moment",
    "Last": "moment",
}
"""What a table of usage shows beside the name."""


def usage_cells(usage: Usage, cost_of_all: Decimal | None) -> Row:
    """The cells of USAGE_COLUMNS."""
    return (
        usage.requests,
        usage.total_tokens,
        usage.cost_usd,
        ratio(usage.cost_usd, cost_of_all),
        usage.unpriced_requests,
        usage.unpriced_tokens,
        usage.errors,
        usage.blocked_requests,
        usage.cache_hits,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.output_tokens,
        ratio(usage.total_tokens, usage.requests),
        ratio(usage.feedback_score_sum, usage.requests_with_feedback),
        usage.requests_with_feedback,
        usage.gateway_reported_usd,
        usage.first_seen_at,
        usage.last_seen_at,
    )


def usage_of(row: Sequence[Any]) -> Usage:
    """A row of measures."""
    return Usage(**dict(zip((field.name for field in fields(Usage)), row, strict=True)))


def plain(text: str) -> str:
    """Text that stays what it is where Streamlit reads Markdown: a name out of a log may hold a link or an image."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def money(amount: Decimal | None) -> str:
    """`$1,234.50`; what is not known says so."""
    return UNKNOWN if amount is None else usd(amount)


def exact_money(amount: Decimal | None) -> str:
    """`$1.03046`: an amount to the last digit; what is not known says so."""
    return UNKNOWN if amount is None else exact_usd(amount)


def table(
    rows: Sequence[Row], columns: Mapping[str, Kind], *, key: str | None = None, empty: str = "Nothing to show."
) -> int | None:
    """A table of rows in the order of `columns`; with a `key` a row can be chosen: its number, None while none is."""
    if not rows:
        st.info(empty)
        return None
    frame = pd.DataFrame(
        {name: pd.Series([row[place] for row in rows], dtype=object) for place, name in enumerate(columns)}
    )
    for name, kind in columns.items():
        if kind == "exact_usd":
            frame[name] = [None if amount is None else f"{amount:f}" for amount in frame[name]]
        elif kind == "milliseconds":
            frame[name] = [None if length is None else round(length) for length in frame[name]]
    # Styled, since no format of a column has enough digits for a thousandth of a cent beside thousands of dollars. It
    # writes every cell; where a column has a format of its own, that one is seen.
    written = frame.style.format(
        {name: _WRITTEN[kind] for name, kind in columns.items() if kind in _WRITTEN}, na_rep=UNKNOWN
    )
    options: dict[str, Any] = {
        "hide_index": True,
        "placeholder": UNKNOWN,
        "column_config": {name: _column(kind) for name, kind in columns.items() if kind != "text"},
        "height": min(_ROW_HEIGHT * (len(rows) + 1) + 3, _HEIGHT if key is None else _HEIGHT_TO_CHOOSE),
    }
    if key is None:
        st.dataframe(written, **options)
        return None
    event = st.dataframe(written, **options, key=key, on_select="rerun", selection_mode="single-row")
    chosen = event["selection"]["rows"]
    # What was chosen may be of a longer table that stood here before.
    return chosen[0] if chosen and chosen[0] < len(rows) else None


def _column(kind: Kind) -> Any:
    match kind:
        case "usd" | "quantity" | "share":
            return st.column_config.NumberColumn()
        case "prose":
            return st.column_config.TextColumn(width="large")
        case "exact_usd":
            return st.column_config.TextColumn(alignment="right")
        case "count" | "milliseconds":
            return st.column_config.NumberColumn(format="localized")
        case "number":
            return st.column_config.NumberColumn(format="%.2f")
        case "day":
            return st.column_config.DateColumn(format="YYYY-MM-DD")
        case "moment":
            return st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")
        case _:
            return None


def problem(error: UserError) -> None:
    """What is wrong, and what to do about it."""
    st.error(f"{plain(redact(error.problem))}  \n{plain(redact(error.remedy))}")
