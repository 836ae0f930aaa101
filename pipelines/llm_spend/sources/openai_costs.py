"""Costs as OpenAI bills them: what is asked for, and what their rows become.

Facts (OpenAI's SDK 3.54.0 and OpenAPI document; refusals as users report them): an amount is in units of its currency,
a number or the text of one. A line item is a name and nothing to take apart. Costs are grouped by key since
2025-12-06; by user in some organisations, and not together with other dimensions in all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.values import amount, number
from llm_spend.sources.openai_client import Bucket, Row
from llm_spend.sources.openai_usage import grouped
from llm_spend.sources.provider_rows import assert_distinct

PATH = "/v1/organization/costs"
SETTLES_AFTER = timedelta(days=7)
BY_PROJECT = ("line_item", "project_id")
BY_KEY = ("api_key_id", *BY_PROJECT)
BY_USER = ("user_id",)
KEYS_SINCE = datetime(2025, 12, 6)
"""From when on costs can be grouped by key: epoch 1764979200."""


def groupings(*, by_source: bool = False) -> tuple[tuple[str, ...], ...]:
    """What to group costs by, finest first."""
    return (*([(*BY_KEY, "api_source")] if by_source else []), BY_KEY, BY_PROJECT)


def cost_rows(profile: str, grouping: tuple[str, ...], day: Bucket) -> list[dict[str, Any]]:
    """Rows of provider__costs from a day. Raises UserError when a currency is missing or dimensions come twice."""
    rows = [_cost_row(profile, grouping, day, row) for row in day.rows]
    assert_distinct(rows, f"OpenAI's {PATH} of {day.start.date()}")
    return rows


def _cost_row(profile: str, grouping: tuple[str, ...], day: Bucket, row: Row) -> dict[str, Any]:
    money = row.get("amount")
    value, currency = (money.get("value"), money.get("currency")) if isinstance(money, dict) else (None, None)
    if not currency:
        raise UserError(
            f"A cost of {day.start.date()} that OpenAI tells of has no currency.",
            "Nothing of this day was loaded: a currency is never assumed. Run it again later, or ask OpenAI.",
        )
    known = number(value)
    return {
        **grouped(day, SETTLES_AFTER, profile, grouping, row),
        # A refund is no less usage: what was used is told by the other lines.
        "charge_category": "Credit" if known is not None and known < 0 else None,
        "quantity": amount(row.get("quantity")),
        "quantity_unit": row.get("quantity_unit"),
        "amount": amount(value),
        "cost_unit": "unit",
        "currency": str(currency).upper(),
        "raw": row,
    }
