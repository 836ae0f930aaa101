"""A document as one HTML file that needs nothing else: to read on a screen or a phone, and to print."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from llm_spend.answers.formats import count, day, percent
from llm_spend.export.document import UNKNOWN, Document, Kind, Value
from llm_spend.export.names import shown

_SHORT = 24
_TEMPLATE = Path(__file__).with_name("statement.html.jinja")


def page(document: Document) -> bytes:
    """The content of an HTML file, UTF-8."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    environment.filters["cell"] = _cell
    environment.tests["short"] = _is_short
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(document=document).encode()


def _cell(value: Value, kind: Kind) -> str:
    """What stands in a cell."""
    match value:
        case None:
            return UNKNOWN if kind == "usd" else ""
        case Decimal():
            return _number(value, kind)
        case date():
            return f"{value:%Y-%m}" if kind == "month" else day(value)
        case int():
            return count(value)
        case _:
            return shown(value)


def _number(value: Decimal, kind: Kind) -> str:
    if kind == "share":
        return percent(value)
    if kind == "exact_usd":
        whole, _, decimals = f"{value:,f}".partition(".")
        return f"{whole}.{decimals.rstrip('0'):0<2}"
    return f"{value:,.2f}"


def _is_short(value: Value) -> bool:
    """Whether it shall stand in one line, as a name with a hyphen should."""
    return len(str(value)) <= _SHORT
