"""What Northwind's business counted beside tokens: sessions, conversions, tickets, people, money; and KPIs of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from random import Random
from typing import Any

from llm_spend.demo.organisation import FEATURES, write_csv

CONVERTING = ("chat-assistant", "setup-guide")
TICKETS = ("reply-draft", "ticket-triage")
SOLD, EURO = "semantic-search", Decimal("1.0853")
SUBSCRIBED = "chat-assistant"
BUYERS = ("cust-0000", "cust-0001", "cust-0002", "cust-0004", "MÜLLER-AG")
SILENT, SILENCE = "voice-assistant", (0.4, 0.5)
"""Its sessions were not counted for a tenth of the period."""

BY_DAY = frozenset({*CONVERTING, *TICKETS, SILENT})
"""Features whose sessions are known by day; of others somebody writes down those of a month."""

_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
_PLACES = Decimal("1e-12")
_TOTAL_TOKENS, _COST, _PRICED_ROWS = 8, 9, 10
"""Columns of a cell of the ledger."""

KPIS: tuple[tuple[str, str, str, int], ...] = (
    ("cost_per_engagement", "cost_usd", "sessions", 1),
    ("tokens_per_conversion", "total_tokens", "conversions", 1),
    ("revenue_per_1000_tokens", "revenue_usd", "total_tokens", 1_000),
    ("cost_per_active_user", "cost_usd", "active_users", 1),
    ("cost_per_ticket", "cost_usd", "tickets", 1),
    ("gross_margin_ratio", "margin_usd", "revenue_usd", 1),
)
"""(kpi, numerator, denominator, per): those that the package comes with."""


@dataclass(frozen=True)
class Event:
    """`quantity` in units or, of money, in `currency`; empty feature and customer: nobody said whose it is."""

    day: date
    event_type: str
    quantity: Decimal
    feature: str = ""
    customer: str = ""
    currency: str = ""
    covers: str = "day"

    @property
    def amount(self) -> Decimal:
        """In units, or USD."""
        return self.quantity * EURO if self.currency == "EUR" else self.quantity


def events(seed: int, days: Sequence[date], requests: Sequence[int]) -> list[Event]:
    """All events of the period. Nobody has counted those of the last day yet."""
    rng = Random(f"{seed}:business")
    features = sorted({feature for team in FEATURES.values() for feature in team})
    silent = {days[index] for index in range(int(len(days) * SILENCE[0]), int(len(days) * SILENCE[1]))}
    months = sorted({day.replace(day=1) for day in days})
    found = [Event(month, "revenue", Decimal("450.00"), SUBSCRIBED, "", "USD", "month") for month in months]
    of_months: Counter[tuple[date, str]] = Counter()
    for day, count in zip(days[:-1], requests, strict=False):
        for feature in features:
            sessions = round(count * rng.uniform(0.01, 0.03))
            if feature not in BY_DAY:
                of_months[day.replace(day=1), feature] += sessions
            elif feature != SILENT or day not in silent:
                found.append(Event(day, "sessions", Decimal(sessions), feature))
            if feature in CONVERTING:
                found.append(Event(day, "conversions", Decimal(sessions * rng.randrange(5, 60) // 100), feature))
            if feature in TICKETS and day.weekday() < 5:
                found.append(Event(day, "tickets", Decimal(sessions + rng.randrange(3)), feature))
        people = 20 + rng.randrange(15) if day.weekday() < 5 else 3
        found.append(Event(day, "active_users", Decimal(people)))
        found.append(Event(day, "active_users", Decimal(people // 3), SUBSCRIBED))
        for customer in BUYERS:
            if rng.random() < 0.3:
                # Now and then somebody gets money back.
                found.append(
                    Event(day, "revenue", Decimal(rng.randrange(-200, 2_000)).scaleb(-2), SOLD, customer, "EUR")
                )
    found += [
        Event(month, "sessions", Decimal(count), feature, covers="month")
        for (month, feature), count in sorted(of_months.items())
    ]
    return found


def write_seed(found: Iterable[Event], folder: Path) -> None:
    """`business_events.csv`."""
    header = "event_date,event_type,feature_id,customer_id,quantity,currency,usd_per_unit,covers"
    rows = [
        [each.day.isoformat(), each.event_type, each.feature, each.customer, str(each.quantity), each.currency,
         str(EURO) if each.currency == "EUR" else "", each.covers]
        for each in found
    ]  # fmt: skip
    write_csv(folder / "business_events.csv", header.split(","), rows)


Cells = Mapping[tuple[str, str], list[int]]


def truth(found: Iterable[Event], total: Mapping[str, list[int]], features: Cells, customers: Cells) -> dict[str, Any]:
    """month -> member type -> member -> KPI -> value, where it can be known; from the ledger's cells."""
    used: dict[tuple[str, str, str], list[int]] = {}
    for member_type, cells in (
        ("total", {(day, "(all)"): cell for day, cell in total.items()}),
        ("feature", features),
        ("customer", customers),
    ):
        for (day, member), cell in cells.items():
            sums = used.setdefault((day[:7], member_type, member), [0, 0, 0])
            for place, column in enumerate((_TOTAL_TOKENS, _COST, _PRICED_ROWS)):
                sums[place] += cell[column]
    recorded = list(found)
    counted = _counted(recorded)
    of_customers = {(_month(each), each.event_type) for each in recorded if each.customer}
    values: dict[str, Any] = {}
    for month, kind, member in sorted({*used, *((m, k, who) for m, k, who, _ in counted)}):
        sums = used.get((month, kind, member), [0, 0, 1])
        known: dict[str, Decimal | None] = {
            "total_tokens": Decimal(sums[0]),
            "cost_usd": Decimal(sums[1]).scaleb(-12, _EXACT) if sums[2] else None,
            "revenue_usd": counted.get((month, kind, member, "revenue")),
            **{name: counted.get((month, kind, member, name)) for name in _COUNTS},
        }
        revenue, cost = known["revenue_usd"], known["cost_usd"]
        known["margin_usd"] = None if revenue is None or cost is None else _EXACT.subtract(revenue, cost)
        of_member = {
            kpi: _ratio(known[above], known[below], per)
            for kpi, above, below, per in KPIS
            if kind != "customer" or any((month, name) in of_customers for name in _events_of(above, below))
        }
        if any(of_member.values()):
            values.setdefault(month, {}).setdefault(kind, {})[member] = {k: v for k, v in of_member.items() if v}
    return values


_COUNTS = ("sessions", "conversions", "active_users", "tickets")


def _events_of(*names: str) -> list[str]:
    return [{"revenue_usd": "revenue", "margin_usd": "revenue"}.get(name, name) for name in names]


def _counted(found: Iterable[Event]) -> dict[tuple[str, str, str, str], Decimal]:
    """(month, member type, member, event) -> units or USD. How many people were active is a mean over days."""
    sums: dict[tuple[str, str, str, str], list[Decimal]] = defaultdict(list)
    for each in found:
        name, month = each.event_type, _month(each)
        if name == "active_users":
            kind, member = ("feature", each.feature) if each.feature else ("total", "(all)")
            sums[month, kind, member, name].append(each.amount)
            continue
        sums[month, "total", "(all)", name].append(each.amount)
        sums[month, "feature", each.feature or "(unallocated)", name].append(each.amount)
        sums[month, "customer", each.customer or "(unallocated)", name].append(each.amount)
    return {
        key: _rounded(_EXACT.divide(_sum(amounts), Decimal(len(amounts))))
        if key[3] == "active_users"
        else _sum(amounts)
        for key, amounts in sums.items()
    }


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def _ratio(above: Decimal | None, below: Decimal | None, per: int) -> str | None:
    if above is None or not below:
        return None
    return f"{_rounded(_EXACT.divide(_EXACT.multiply(above, Decimal(per)), below)):f}"


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_PLACES, context=_EXACT)


def _month(event: Event) -> str:
    return f"{event.day:%Y-%m}"
