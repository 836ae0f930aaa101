"""Sums of the usage, as the page shows them before anybody filters, and without scripts at all.

`report.js` works them out again for any filter, by the same rules and to the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from llm_spend.answers.marts import UNALLOCATED
from llm_spend.report.cube import DIMENSIONS, MEASURES, Cube, CubeRow, Dimension, Usage

TOP = 8
"""Members that a table names at first."""

_PLACES = {name: place for place, name in enumerate(MEASURES)}


class Sums:
    """The measures of some rows, added up. `cost_usd` is None when no cost is known."""

    def __init__(self) -> None:
        self._measures = [0] * len(MEASURES)
        self.cost_usd: Decimal | None = None

    def add(self, measures: Iterable[int], cost_usd: Decimal | None) -> None:
        """Add a row, or sums."""
        self._measures = [one + other for one, other in zip(self._measures, measures, strict=True)]
        if cost_usd is not None:
            self.cost_usd = cost_usd if self.cost_usd is None else self.cost_usd + cost_usd

    def __getitem__(self, measure: str) -> int:
        return self._measures[_PLACES[measure]]

    @property
    def measures(self) -> tuple[int, ...]:
        """In the order of MEASURES."""
        return tuple(self._measures)


@dataclass(frozen=True)
class Part:
    """A member, the members that are not named in the table (`members` of them), or usage that nobody owns."""

    kind: Literal["top", "more", "others", "nobody"]
    name: str
    members: int
    sums: Sums


def all_rows(usage: Usage) -> Cube:
    """The cube with most days."""
    return usage.by(DIMENSIONS[0])


def since(cube: Cube, first: date, until: date = date.max) -> list[CubeRow]:
    """The rows of periods that begin on these days."""
    return [row for row in cube.rows if first <= row.day <= until]


def total(rows: Iterable[CubeRow]) -> Sums:
    """All of it."""
    sums = Sums()
    for row in rows:
        sums.add(row.measures, row.cost_usd)
    return sums


def by_member(usage: Usage, dimension: Dimension, month: date) -> dict[str, Sums]:
    """What each member of a dimension used from the month on."""
    cube = usage.by(dimension)
    place = cube.place(dimension)
    found: dict[str, Sums] = {}
    for row in since(cube, month):
        found.setdefault(row.members[place], Sums()).add(row.measures, row.cost_usd)
    return found


def by_day(rows: Iterable[CubeRow]) -> dict[date, Sums]:
    """What was used on each day, or in each week or month that began on it."""
    found: dict[date, Sums] = {}
    for row in rows:
        found.setdefault(row.day, Sums()).add(row.measures, row.cost_usd)
    return dict(sorted(found.items()))


def parts(members: Mapping[str, Sums], dimension: Dimension, top: int = TOP) -> tuple[Part, ...]:
    """The members that cost most, all others in one, those the data does not name, what is nobody's: the total."""
    named = sorted(
        (name for name in members if name not in (UNALLOCATED, dimension.others)),
        key=lambda name: (_falling(members[name].cost_usd), -members[name]["total_tokens"], name),
    )
    shown = [Part("top", name, 1, members[name]) for name in named[:top]]
    rest = named[top:]
    if len(rest) == 1:
        shown.append(Part("top", rest[0], 1, members[rest[0]]))
    elif rest:
        sums = Sums()
        for name in rest:
            sums.add(members[name].measures, members[name].cost_usd)
        shown.append(Part("more", f"{len(rest):,} more {dimension.plural}", len(rest), sums))
    if dimension.others in members:
        shown.append(Part("others", dimension.others, 1, members[dimension.others]))
    if UNALLOCATED in members:
        shown.append(Part("nobody", UNALLOCATED, 1, members[UNALLOCATED]))
    return tuple(shown)


def _falling(cost_usd: Decimal | None) -> tuple[bool, Decimal]:
    """A key to sort by: the highest first, what is not known last."""
    return cost_usd is None, -(cost_usd or Decimal(0))
