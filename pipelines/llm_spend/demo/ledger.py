"""Adds up what the generator meant, with integers only: the source of the truth file."""

from __future__ import annotations

from collections import Counter
from operator import add
from typing import Any

from llm_spend.demo.calls import UNRESOLVED, Call, owner_of
from llm_spend.demo.organisation import Organisation
from llm_spend.demo.quotas import DayCounters, Rule

COLUMNS = (
    "attempts", "requests", "errors", "blocked_requests", "cache_hits",
    "input_tokens", "output_tokens", "cache_read_tokens", "total_tokens",
    "cost_units", "priced_rows", "gateway_units", "gateway_rows", "unpriced_requests", "unpriced_tokens",
)  # fmt: skip
DIMENSIONS = ("user", "team", "feature", "customer", "model", "environment", "cost_center")
USER_TAGS = frozenset({"_user", "user", "user_id"})

Cell = list[int]
_NOTHING = [0] * len(COLUMNS)


class Ledger:
    """Sums over calls. `merge` joins the ledgers of disjoint days; day order makes no difference."""

    def __init__(self) -> None:
        self.by_date: dict[str, Cell] = {}
        self.members: dict[str, dict[tuple[str, str], Cell]] = {name: {} for name in DIMENSIONS}
        self.tags: dict[tuple[str, str, str], Cell] = {}
        """(key, date, value) -> attempts, cost units, priced rows"""
        self.sources: dict[tuple[str, str], Cell] = {}
        self.price_status: Counter[tuple[str, str]] = Counter()
        self.status: Counter[tuple[str, str]] = Counter()
        self.attribution: Counter[tuple[str, str]] = Counter()
        self.lines: Counter[tuple[str, str, str, str, str]] = Counter()
        """(month, provider, cost centre, team, model) -> cost units"""
        self.breaches: list[dict[str, Any]] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.deliveries: Counter[tuple[str, str]] = Counter()
        self.quarantined: Counter[tuple[str, str, str]] = Counter()
        """(source, instance, reason) -> lines"""
        self.dirt: Counter[str] = Counter()

    def count_day(self, calls: list[Call], org: Organisation, rules: tuple[Rule, ...]) -> None:
        """Adds the calls of one whole UTC day."""
        counters = DayCounters(rules)
        for call in calls:
            self._count_call(call, org, counters)
        self.breaches.extend(counters.breaches())

    def _count_call(self, call: Call, org: Organisation, counters: DayCounters) -> None:
        owner = owner_of(call, org)
        day = call.day.isoformat()
        source = call.source
        self.outcomes[source, call.outcome] += 1
        self.deliveries[source, call.delivery] += 1
        self.attribution["user", owner.user_step] += 1
        self.attribution["team", owner.team_step] += 1
        tags = [(key, day, value) for key, value in call.tags.items() if value and key not in USER_TAGS]
        for attempt in call.attempts:
            tokens = attempt.tokens
            consumed = tokens is not None and not attempt.is_cache_hit
            final = attempt.is_final
            priced = attempt.cost is not None
            cost = attempt.cost or 0
            total = tokens.total if tokens is not None else 0
            delta = (
                1,
                int(final),
                int(final and attempt.status == "error"),
                int(final and attempt.status.startswith("blocked_")),
                int(attempt.is_cache_hit),
                tokens.input if tokens is not None and consumed else 0,
                tokens.output if tokens is not None and consumed else 0,
                tokens.cache_read if tokens is not None and consumed else 0,
                total if consumed else 0,
                cost,
                int(priced),
                attempt.gateway_cost or 0,
                int(attempt.gateway_cost is not None),
                int(not priced),
                0 if priced else total,
            )
            model = attempt.model.model_id or UNRESOLVED
            members = self.members
            _add(self.by_date, day, delta)
            _add(self.sources, (source, call.instance), delta)
            _add(members["user"], (day, owner.user), delta)
            _add(members["team"], (day, owner.team), delta)
            _add(members["feature"], (day, owner.feature), delta)
            _add(members["customer"], (day, owner.customer), delta)
            _add(members["model"], (day, model), delta)
            _add(members["environment"], (day, owner.environment), delta)
            _add(members["cost_center"], (day, owner.cost_center), delta)
            for tag in tags:
                cell = self.tags.setdefault(tag, [0, 0, 0])
                cell[0] += 1
                cell[1] += cost
                cell[2] += priced
            self.price_status[source, attempt.price_status] += 1
            self.status[source, attempt.status] += 1
            if cost:
                self.lines[day[:7], attempt.model.provider, owner.cost_center, owner.team, model] += cost
            counters.count(call, owner, attempt)

    def merge(self, other: Ledger) -> None:
        """Adds another ledger to this one."""
        _merge(self.by_date, other.by_date)
        _merge(self.sources, other.sources)
        _merge(self.tags, other.tags)
        for name, cells in other.members.items():
            _merge(self.members[name], cells)
        for mine, theirs in (
            (self.price_status, other.price_status),
            (self.status, other.status),
            (self.attribution, other.attribution),
            (self.outcomes, other.outcomes),
            (self.deliveries, other.deliveries),
        ):
            mine.update(theirs)
        self.lines.update(other.lines)
        self.quarantined.update(other.quarantined)
        self.dirt.update(other.dirt)
        self.breaches.extend(other.breaches)

    def totals(self) -> Cell:
        return [sum(column) for column in zip(*self.by_date.values(), strict=True)]


def _add(cells: dict[Any, Cell], key: Any, delta: tuple[int, ...]) -> None:
    cells[key] = list(map(add, cells.get(key, _NOTHING), delta))


def _merge(cells: dict[Any, Cell], others: dict[Any, Cell]) -> None:
    for key, cell in others.items():
        mine = cells.get(key)
        cells[key] = list(cell) if mine is None else list(map(add, mine, cell))
