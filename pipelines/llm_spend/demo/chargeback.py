"""The demo's own statement arithmetic: exact amounts in, whole cents out, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llm_spend.demo.pricing import UNITS_PER_USD

UNITS_PER_CENT = UNITS_PER_USD // 100

LineKey = tuple[str, str, str]
"""cost_center_id, team_id, model_id"""


@dataclass(frozen=True)
class Line:
    key: LineKey
    exact_units: int
    cents: int


def statement(amounts: Mapping[LineKey, int]) -> list[Line]:
    """Lines of one month and provider, in key order, by largest remainder.

    The total is rounded half-up to cents; every line is cut to whole cents, and the cents still missing go to
    the largest fractions, ties by key.
    """
    keys = sorted(amounts)
    missing = rounded_cents(sum(amounts.values())) - sum(amounts[key] // UNITS_PER_CENT for key in keys)
    by_fraction = sorted(keys, key=lambda key: (-(amounts[key] % UNITS_PER_CENT), key))
    lucky = set(by_fraction[:missing])
    return [Line(key, amounts[key], amounts[key] // UNITS_PER_CENT + (key in lucky)) for key in keys]


def rounded_cents(units: int) -> int:
    """Half-up, for amounts that are not negative."""
    return (2 * units + UNITS_PER_CENT) // (2 * UNITS_PER_CENT)
