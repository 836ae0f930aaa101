"""Values of JSON answers as the formats want them: amounts as plain decimal text, moments as ISO text."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any


def number(value: Any) -> Decimal | None:
    """A number or the text of one, as it is written; None for what is neither."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def amount(value: Any) -> str | None:
    """A number as decimal text without an exponent; None for None.

    What is no number is given as text: the reader says that it can't be read.
    """
    if value is None:
        return None
    found = number(value)
    return str(value) if found is None else f"{found:f}"


def iso(moment: datetime) -> str:
    """A naive UTC time as ISO text, to the millisecond."""
    return f"{moment.isoformat(timespec='milliseconds')}Z"
