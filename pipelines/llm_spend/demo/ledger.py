"""Adds up what the generator meant, with integers only: the source of the truth file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from operator import add
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from llm_spend.demo import meter
from llm_spend.demo.calls import UNRESOLVED, Attempt, Call, Owner, owner_of
from llm_spend.demo.findings import Findings
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
Table = NDArray[np.int64]
"""One row an attempt, one column a measure. A day is far from 2**63 units of 1e-12 USD."""
K = TypeVar("K", bound=Hashable)


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
        self.meter: meter.Meter = {}
        self.findings = Findings()

    def count_day(self, calls: list[Call], org: Organisation, rules: tuple[Rule, ...]) -> None:
        """Adds the calls of one whole UTC day."""
        if not calls:
            return
        counters = DayCounters(rules)
        rows: list[tuple[int, ...]] = []
        places: list[tuple[str, str]] = []
        members: list[tuple[str, ...]] = []
        owners = [owner_of(call, org) for call in calls]
        for call, owner in zip(calls, owners, strict=True):
            self._count_call(call, owner)
            tags = [(key, value) for key, value in call.tags.items() if value and key not in USER_TAGS]
            for attempt in call.attempts:
                rows.append(_row(attempt))
                places.append((call.source, call.instance))
                members.append(_members(owner, attempt))
                counters.count(call, owner, attempt)
                self._count_attempt(call, owner, attempt, tags)
        self.breaches.extend(counters.breaches())
        meter.merge(self.meter, meter.count_day(calls))
        self.findings.count_day(zip(calls, owners, strict=True))

        day = calls[0].day.isoformat()
        table = np.array(rows, dtype=np.int64)
        self.by_date[day] = table.sum(axis=0).tolist()
        _merge(self.sources, _group(places, table))
        for name, column in zip(DIMENSIONS, zip(*members, strict=True), strict=True):
            self.members[name].update({(day, key): cell for key, cell in _group(column, table).items()})

    def _count_call(self, call: Call, owner: Owner) -> None:
        rows = len(call.attempts)
        self.outcomes[call.source, call.outcome] += 1
        self.deliveries[call.source, call.delivery] += 1
        self.attribution["user", owner.user_step] += rows
        self.attribution["team", owner.team_step] += rows

    def _count_attempt(self, call: Call, owner: Owner, attempt: Attempt, tags: list[tuple[str, str]]) -> None:
        cost = attempt.cost or 0
        day = call.day.isoformat()
        for key, value in tags:
            cell = self.tags.setdefault((key, day, value), [0, 0, 0])
            cell[0] += 1
            cell[1] += cost
            cell[2] += attempt.cost is not None
        self.price_status[call.source, attempt.price_status] += 1
        self.status[call.source, attempt.status] += 1
        if cost:
            model = attempt.model
            key_of_line = (
                day[:7],
                model.provider,
                owner.cost_center,
                owner.team,
                model.model_id or UNRESOLVED,
            )
            self.lines[key_of_line] += cost

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
        self.breaches.extend(other.breaches)
        meter.merge(self.meter, other.meter)
        self.findings.merge(other.findings)

    def totals(self) -> Cell:
        return [sum(column) for column in zip(*self.by_date.values(), strict=True)]


def _row(attempt: Attempt) -> tuple[int, ...]:
    """The columns of one attempt. What a gateway answered from its cache was not consumed at a provider."""
    tokens = attempt.tokens
    final = attempt.is_final
    priced = attempt.cost is not None
    total = tokens.total if tokens is not None else 0
    consumed = tokens if tokens is not None and not attempt.is_cache_hit else None
    return (
        1,
        final,
        final and attempt.status == "error",
        final and attempt.status.startswith("blocked_"),
        attempt.is_cache_hit,
        consumed.input if consumed is not None else 0,
        consumed.output if consumed is not None else 0,
        consumed.cache_read if consumed is not None else 0,
        total if consumed is not None else 0,
        attempt.cost or 0,
        priced,
        attempt.gateway_cost or 0,
        attempt.gateway_cost is not None,
        not priced,
        0 if priced else total,
    )


def _members(owner: Owner, attempt: Attempt) -> tuple[str, ...]:
    """The member of every dimension, in the order of DIMENSIONS."""
    return (
        owner.user,
        owner.team,
        owner.feature,
        owner.customer,
        attempt.model.model_id or UNRESOLVED,
        owner.environment,
        owner.cost_center,
    )


def _group(keys: Sequence[K], table: Table) -> dict[K, Cell]:
    """Sums the rows of each key."""
    codes: dict[K, int] = {}
    code_of_row = np.array([codes.setdefault(key, len(codes)) for key in keys])
    order = np.argsort(code_of_row, kind="stable")
    starts = np.searchsorted(code_of_row[order], np.arange(len(codes)))
    sums = np.add.reduceat(table[order], starts, axis=0)
    return dict(zip(codes, sums.tolist(), strict=True))


def _merge(cells: dict[Any, Cell], others: dict[Any, Cell]) -> None:
    for key, cell in others.items():
        mine = cells.get(key)
        cells[key] = list(cell) if mine is None else list(map(add, mine, cell))
