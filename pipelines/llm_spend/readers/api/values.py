"""Values of JSON answers as the formats want them: decimal text, ISO text, and documents without what is secret."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson


def exact(value: Any) -> orjson.Fragment:
    """What orjson writes of a Decimal: a number with all of its digits."""
    if not isinstance(value, Decimal):
        raise TypeError(f"not JSON: {type(value).__name__}")
    return orjson.Fragment(str(value))


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


def as_object(value: Any) -> Mapping[str, Any]:
    """An object of a JSON document; an empty one instead of anything else."""
    return value if isinstance(value, Mapping) else {}


def without(document: Any, left_out: Collection[str]) -> Any:
    """A JSON document without the keys that are left out, however deep they are."""
    if isinstance(document, Mapping):
        return {key: without(value, left_out) for key, value in document.items() if key not in left_out}
    return [without(each, left_out) for each in document] if isinstance(document, list) else document


def iso(moment: datetime) -> str:
    """A naive UTC time as ISO text, to the millisecond."""
    return f"{moment.isoformat(timespec='milliseconds')}Z"
