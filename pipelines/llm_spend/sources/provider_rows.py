"""What rows of several providers are made with: the bucket of a day, and what of a total nobody has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from llm_spend.readers.api.pages import incomplete
from llm_spend.readers.api.values import iso, number

Row = Mapping[str, Any]

_PLACES = Decimal("1e-12")
"""As many as the warehouse keeps of an amount: what is less than that is how a computer adds, and no money."""

_TRACE = Decimal("1e-9")
"""What this or less is left of a large sum of floating-point numbers is no money either."""

_NOISE = Decimal("1e-6")

_IDENTITY = (
    *("profile", "grouping", "bucket_start", "project_id", "api_key_id", "user_id", "customer_id", "model"),
    *("service_tier", "region", "context_window", "dimensions", "usage_type", "line_item", "cost_type", "token_type"),
)


def day_bucket(day: date, look_back: timedelta) -> dict[str, str]:
    """The bucket of a UTC day that the provider may revise for `look_back` after its end."""
    start = datetime(day.year, day.month, day.day)
    return bucket(start, start + timedelta(days=1), look_back)


def bucket(start: datetime, end: datetime, look_back: timedelta) -> dict[str, str]:
    """The bucket between two naive UTC times that the provider may revise for `look_back` after its end."""
    return {"bucket_start": iso(start), "bucket_end": iso(end), "settles_at": iso(end + look_back)}


def summed(rows: Iterable[Row], name: str) -> Decimal | None:
    """The sum of a field; None when it is not known of every row."""
    known = [number(row.get(name)) for row in rows]
    values = [each.quantize(_PLACES, ROUND_HALF_UP) for each in known if each is not None]
    return sum(values, Decimal(0)).normalize() if len(values) == len(known) else None


def rests(whole: Sequence[Row], parts: Sequence[Row], by: Sequence[str], sums: Sequence[str]) -> list[dict[str, Any]]:
    """What of a whole no part has: a row for each group of it in which something is left.

    `by`: the fields that make a group, those of the rows that are given. `sums`: the fields that add up; the rows have
    the differences, below 0 where parts have more than the whole.
    """
    groups: dict[tuple[Any, ...], tuple[list[Row], list[Row]]] = {}
    for place, rows in enumerate((whole, parts)):
        for row in rows:
            groups.setdefault(tuple(row.get(name) for name in by), ([], []))[place].append(row)
    found = []
    for group, (all_of_it, some_of_it) in groups.items():
        left = {name: _difference(all_of_it, some_of_it, name) for name in sums}
        if any(abs(value) > _TRACE for value in left.values() if value is not None):
            found.append({**dict(zip(by, group, strict=True)), **left})
    return found


def is_exceeded(left: Iterable[Row], sums: Collection[str]) -> bool:
    """Whether parts have more than the whole, of which `rests` are left."""
    return any((number(row.get(name)) or 0) < -_NOISE for row in left for name in sums)


def assert_distinct(rows: Iterable[Row], source: str) -> None:
    """Raises UserError when two rows of a bucket have the same dimensions where a provider has one for each."""
    if any(row["occurrence"] for row in numbered(rows)):
        raise incomplete(source, "two rows have the same dimensions")


def numbered(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows with their `occurrence` among those of a bucket that have the same dimensions."""
    found, seen = [], Counter[str]()
    for row in rows:
        name = repr([row.get(each) for each in _IDENTITY])
        found.append({**row, "occurrence": seen[name]})
        seen[name] += 1
    return found


def _difference(whole: Sequence[Row], parts: Sequence[Row], name: str) -> Decimal | None:
    total, told = summed(whole, name), summed(parts, name)
    return None if total is None or told is None else (total - told).normalize()
