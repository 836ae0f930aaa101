"""What every format of an export is written from: pages for people, and tables for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from typing import Literal

Kind = Literal["text", "usd", "exact_usd", "count", "share", "month", "day", "moment", "flag"]
"""`usd` is whole cents, `exact_usd` has up to 12 decimals, `share` is a part of 1, `month` its first day, `moment` a
time of UTC as text."""

Value = str | int | Decimal | date | bool | None
"""None is not known; of text, that there is none."""

UNKNOWN = "unknown"
CENT = Decimal("0.01")
# Amounts have up to 38 digits; Python's own context would round their sums to 28.
_EXACT = Context(prec=80)


@dataclass(frozen=True)
class Column:
    """`name` is for programs, `title` for people, whom an `is_optional` column is not shown when it says nothing."""

    name: str
    title: str
    kind: Kind = "text"
    is_summed: bool = False
    is_optional: bool = False

    @property
    def is_number(self) -> bool:
        """It stands to the right."""
        return self.kind in ("usd", "exact_usd", "count", "share")


@dataclass(frozen=True)
class Table:
    """Rows have the values of the columns in their order."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    @property
    def sums(self) -> tuple[Value, ...] | None:
        """What each column adds up to, None where it does not; None where nothing does, and without rows."""
        if not self.rows or not any(column.is_summed for column in self.columns):
            return None
        values = zip(*self.rows, strict=True)
        return tuple(_sum(column, each) for column, each in zip(self.columns, values, strict=True))

    def without(self, *names: str) -> Table:
        """The same for people: without these columns, and without optional ones in which no row says anything."""
        kept = [
            place
            for place, column in enumerate(self.columns)
            if column.name not in names and (not column.is_optional or any(row[place] for row in self.rows))
        ]
        return Table(
            self.title,
            tuple(self.columns[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in self.rows),
        )


@dataclass(frozen=True)
class Fact:
    """What heads a page."""

    label: str
    value: Value
    kind: Kind = "text"


@dataclass(frozen=True)
class Page:
    """A sheet, or a page on paper; `name` is short."""

    name: str
    title: str
    facts: tuple[Fact, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Document:
    """`sheets` are pages that only a workbook has; `data` are whole tables, by what their files are called."""

    name: str
    title: str
    period: date
    status: str
    is_final: bool
    notes: tuple[str, ...]
    pages: tuple[Page, ...]
    sheets: tuple[Page, ...]
    data: Mapping[str, Table]


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The exact sum of what is known; None when nothing is."""
    known = [amount for amount in amounts if amount is not None]
    found = Decimal(0)
    for amount in known:
        found = _EXACT.add(found, amount)
    return found if known else None


def cents(amount: Decimal | None) -> Decimal | None:
    """An amount in whole cents, with both decimals."""
    return None if amount is None else amount.quantize(CENT, context=_EXACT)


def _sum(column: Column, values: Iterable[Value]) -> Value:
    if not column.is_summed:
        return None
    if column.kind == "count":
        return sum(value for value in values if isinstance(value, int))
    return total(value for value in values if isinstance(value, Decimal))
