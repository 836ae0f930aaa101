"""The organisation's budgets, in our own form, and what each of their periods really used.

Days, weeks from Monday and months of the calendar, all in UTC. Every request counts for every budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml

from llm_spend.demo.calls import UNALLOCATED
from llm_spend.demo.ledger import COLUMNS, Cell, Ledger
from llm_spend.demo.pricing import usd_text

CONFIG_NAME = "northwind-budgets"
_INPUT, _OUTPUT, _COST = (COLUMNS.index(name) for name in ("input_tokens", "output_tokens", "cost_units"))
_UNPRICED = COLUMNS.index("unpriced_requests"), COLUMNS.index("unpriced_tokens")


@dataclass(frozen=True)
class Budget:
    """`limit`: USD or tokens; `per` None: all requests share one counter; `warn_at`: percent of the limit."""

    budget_id: str
    measure: Literal["USD", "tokens"]
    window: Literal["day", "week", "month"]
    limit: Decimal
    per: Literal["team", "user"] | None
    warn_at: tuple[int, ...]

    def to_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "id": self.budget_id,
            "limit": f"{self.limit:f} {self.measure} per {self.window}",
            "warn_at": list(self.warn_at),
        }
        return config if self.per is None else config | {"per": self.per}

    def bounds(self, day: date) -> tuple[date, date]:
        """First day of the period that a day is in, and of the next one."""
        match self.window:
            case "day":
                return day, day + timedelta(days=1)
            case "week":
                monday = day - timedelta(days=day.weekday())
                return monday, monday + timedelta(days=7)
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)


def budgets(daily_requests: float) -> tuple[Budget, ...]:
    """Limits grow with traffic, so every size has budgets that are overspent."""
    daily = Decimal(daily_requests)
    cent = Decimal("0.01")
    return (
        Budget("team-monthly", "USD", "month", max(cent, round(daily * Decimal("0.036"), 2)), "team", (50, 80, 100)),
        Budget("company-daily", "USD", "day", max(cent, round(daily * Decimal("0.011"), 2)), None, (75, 90, 100, 120)),
        Budget("user-weekly-tokens", "tokens", "week", (daily * 2_500).to_integral_value(), "user", (80, 100)),
    )


def write_config(entries: Iterable[Budget], path: Path) -> None:
    config = {
        "type": "llm-spend-quotas",
        "name": CONFIG_NAME,
        "evaluation": "all_match",
        "rules": [entry.to_config() for entry in entries],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def truth(entries: Iterable[Budget], ledger: Ledger) -> dict[str, Any]:
    """The periods of each budget in which there were requests, sorted. Amounts are text, in USD or tokens."""
    return {
        entry.budget_id: {
            "measure": entry.measure,
            "limit": f"{entry.limit:f}",
            "periods": [_period(entry, *key, cell) for key, cell in sorted(_cells(entry, ledger).items())],
        }
        for entry in entries
    }


def _cells(budget: Budget, ledger: Ledger) -> dict[tuple[date, str], Cell]:
    """Sums by first day of the period and subject."""
    found: dict[tuple[date, str], Cell] = {}
    for (day, subject), cell in _days(budget, ledger):
        first, _ = budget.bounds(date.fromisoformat(day))
        total = found.setdefault((first, subject), [0] * len(cell))
        for index, value in enumerate(cell):
            total[index] += value
    return found


def _days(budget: Budget, ledger: Ledger) -> Iterator[tuple[tuple[str, str], Cell]]:
    if budget.per is None:
        yield from (((day, "*"), cell) for day, cell in ledger.by_date.items())
    else:
        members: Mapping[tuple[str, str], Cell] = ledger.members[budget.per]
        yield from ((key, cell) for key, cell in members.items() if key[1] != UNALLOCATED)


def _period(budget: Budget, first: date, subject: str, cell: Cell) -> dict[str, Any]:
    is_cost = budget.measure == "USD"
    used = Decimal(cell[_COST]).scaleb(-12) if is_cost else Decimal(cell[_INPUT] + cell[_OUTPUT])
    unpriced_requests, unpriced_tokens = (cell[index] if is_cost else 0 for index in _UNPRICED)
    return {
        "subject": subject,
        "start": first.isoformat(),
        "end": budget.bounds(first)[1].isoformat(),
        "used": usd_text(cell[_COST]) if is_cost else str(used),
        "is_breached": used > budget.limit,
        "unpriced_requests": unpriced_requests,
        "unpriced_tokens": unpriced_tokens,
    }
