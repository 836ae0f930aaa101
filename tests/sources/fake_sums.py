"""Rows that a server adds up before it answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

Row = dict[str, Any]


def added(rows: Iterable[Row], sums: Sequence[str]) -> list[Row]:
    """A row for each group of rows that are equal but for `sums`, which are added up."""
    groups: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        group = tuple(value for name, value in row.items() if name not in sums)
        known = groups.setdefault(group, row | {name: 0 for name in sums})
        known |= {name: _number(Decimal(str(known[name])) + Decimal(str(row[name]))) for name in sums}
    return list(groups.values())


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
