"""What of the usage is looked at: days, members of dimensions, values of a tag. All of them hold at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from llm_spend.months import month_of, next_month

Period = Literal[
    "Latest month",
    "Month before",
    "Last 7 days",
    "Last 30 days",
    "Last 90 days",
    "Last 365 days",
    "Everything",
    "Chosen days",
]

DIMENSIONS: Mapping[str, str] = {
    "environment": "Environment",
    "team": "Team",
    "cost_center": "Cost centre",
    "user": "User",
    "feature": "Feature",
    "customer": "Customer",
    "model": "Model",
    "provider": "Provider",
}
"""What usage is told apart by, and what people call it."""


@dataclass(frozen=True)
class Days:
    """UTC dates from `first` on, before `end`."""

    first: date
    end: date

    @property
    def last(self) -> date:
        """The last of them."""
        return self.end - timedelta(days=1)

    def before(self) -> Days:
        """As many days before these; of a whole month, the month before."""
        if self.first.day == 1 and self.end == next_month(self.first):
            return Days(month_of(self.first - timedelta(days=1)), self.first)
        return Days(self.first - (self.end - self.first), self.first)


@dataclass(frozen=True)
class Filters:
    """Days, for each dimension the members that are wanted (none: all), and values of one tag (none: any)."""

    days: Days
    members: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tag_key: str | None = None
    tag_values: tuple[str, ...] = ()

    @property
    def has_members(self) -> bool:
        """Whether some dimension is restricted."""
        return bool(self.members)

    def on(self, days: Days) -> Filters:
        """The same for other days."""
        return replace(self, days=days)

    def only(self, *dimensions: str) -> Filters:
        """What of it a table that has no other dimensions, and no tags, can follow."""
        kept = tuple((name, values) for name, values in self.members if name in dimensions)
        return Filters(self.days, kept)


def days_of(period: Period, first: date, last: date, chosen: tuple[date, ...] = ()) -> Days:
    """The days of a period, seen from the last day with usage; `chosen` are the first and last of "Chosen days"."""
    end = last + timedelta(days=1)
    match period:
        case "Latest month":
            start = month_of(last)
            return Days(start, next_month(start))
        case "Month before":
            return days_of("Latest month", first, last).before()
        case "Everything":
            return Days(first, end)
        case "Chosen days":
            # While somebody picks the second day, there is only one.
            return Days(min(chosen), max(chosen) + timedelta(days=1)) if chosen else Days(first, end)
        case _:
            return Days(end - timedelta(days=int(period.split()[1])), end)
