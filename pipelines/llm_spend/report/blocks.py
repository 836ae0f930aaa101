"""What a section of the page is made of: figures that head it, and tables whose cells are texts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from llm_spend.answers.formats import UNKNOWN, exact_usd, usd

Tone = Literal["", "good", "warn", "bad"]


@dataclass(frozen=True)
class Card:
    """A figure with its name, and a line that says what to make of it."""

    label: str
    value: str
    note: str
    tone: Tone = ""
    exact: str = ""


@dataclass(frozen=True)
class Cell:
    """A text; `exact` is all of an amount, `bar` the length of a bar, a part of 1."""

    text: str
    exact: str = ""
    bar: str = ""
    tone: Tone = ""
    is_quiet: bool = False


@dataclass(frozen=True)
class Column:
    """`is_minor` columns are left out where there is little room, `is_short` ones stand in one line."""

    title: str
    is_number: bool = False
    is_minor: bool = False
    is_short: bool = False


@dataclass(frozen=True)
class Row:
    """`kind` says how it looks."""

    cells: tuple[Cell, ...]
    kind: Literal["", "group", "rest", "total"] = ""


@dataclass(frozen=True)
class Table:
    """`empty` is what stands there without rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str = "Nothing."


def text(value: str | None) -> Cell:
    """A name or a word."""
    return Cell(value or "", is_quiet=(value or "").startswith("("))


def amount(value: Decimal | None, *, blank_zero: bool = False) -> Cell:
    """USD, with its exact value to look at; unknown is not zero."""
    if value is None:
        return Cell(UNKNOWN)
    return Cell("" if blank_zero and not value else usd(value), exact=exact(value))


def exact(value: Decimal | None) -> str:
    """An amount to the last digit; nothing for one that is not known."""
    return "" if value is None else exact_usd(value)


def bar(share: Decimal | None) -> str:
    """The length of a bar for a share, from 0 to 1."""
    if share is None or share <= 0:
        return ""
    return f"{min(share, Decimal(1)):.3f}"
