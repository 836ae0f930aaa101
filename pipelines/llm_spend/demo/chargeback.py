"""The demo's own statement arithmetic: exact amounts in, whole cents out, nothing lost; and what its teams share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from llm_spend.demo.organisation import MOVED_TEAM, MOVED_TO, TEAMS, Organisation, write_csv
from llm_spend.demo.pricing import UNITS_PER_USD, usd_text

UNITS_PER_CENT = UNITS_PER_USD // 100
LICENCE_UNITS = 49 * UNITS_PER_USD
"""What the gateway's licence costs a month; teams share it by headcount."""

_RATIO = 10**12
"""Shares are whole parts of this."""

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


def shares(units: int, weights: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """What each gets of `units` by its weight; what whole parts leave goes to the largest weight, ties by key."""
    total = sum(weights.values())
    found = {key: (2 * units * (weight * _RATIO // total) + _RATIO) // (2 * _RATIO) for key, weight in weights.items()}
    largest = min(weights, key=lambda key: (-weights[key], key))
    found[largest] += units - sum(found.values())
    return found


def headcount(org: Organisation, month: date) -> dict[tuple[str, str], int]:
    """(cost centre, team) -> people whom HR has there on the last day of the month."""
    last_day = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    people = Counter(user.team_on(last_day) for user in org.users if not user.is_contractor and user.joined <= last_day)
    is_moved = org.reorganised_on <= last_day
    return {
        (MOVED_TO if team == MOVED_TEAM and is_moved else TEAMS[team][1], team): count for team, count in people.items()
    }


def write_seeds(first_month: date, folder: Path) -> None:
    """The licence as a shared cost, from that month on."""
    columns = ("shared_cost_id", "description", "source", "provider", "amount", "currency", "usd_per_unit", "method",
               "valid_from", "valid_to")  # fmt: skip
    licence = ["gateway", "Licence of the gateway", "amount", "portkey", usd_text(LICENCE_UNITS), "USD", "",
               "headcount", first_month.isoformat(), ""]  # fmt: skip
    write_csv(folder / "shared_costs.csv", columns, [licence])


def truth(org: Organisation, months: Iterable[date]) -> dict[str, Any]:
    """Month -> share of each cost centre and team, exact USD."""
    return {
        month.isoformat()[:7]: [
            [*key, usd_text(units)] for key, units in sorted(shares(LICENCE_UNITS, headcount(org, month)).items())
        ]
        for month in months
    }
