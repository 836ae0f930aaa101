"""What the report is made of: typed rows, as the marts have them, nothing worked out yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from llm_spend.answers.bills import Bills
from llm_spend.answers.known import Known
from llm_spend.answers.sources import Status
from llm_spend.months import month_of, next_month
from llm_spend.report.cube import Usage
from llm_spend.report.insights import Insights
from llm_spend.report.tags import Tags

LINE_TYPES = ("direct", "shared", "unallocated", "true_up", "commitment", "credit", "restatement")

# Midnight of a zone is at most so long before or after that of UTC.
_FURTHEST_ZONE = timedelta(hours=14)


@dataclass(frozen=True)
class Performance:
    """A day of a model and kind of call; `(unresolved)` is all models that have no price entry.

    Percentiles are milliseconds of its answered attempts, None without any.
    """

    day: date
    provider: str
    model: str
    operation: str
    attempts: int
    failed_attempts: int
    latency_ms: tuple[Decimal | None, Decimal | None, Decimal | None]
    ttft_ms: tuple[Decimal | None, Decimal | None]


@dataclass(frozen=True)
class Budget:
    """A period of a budget that has a day in the month. Amounts are USD; times UTC."""

    rule_id: str
    subject_type: str
    subject: str
    unit: str | None
    start: datetime
    end: datetime | None
    budget_usd: Decimal
    spent_usd: Decimal
    used_ratio: Decimal | None
    forecast_usd: Decimal | None
    status: str
    is_exact: bool

    def begins(self, month: date) -> bool:
        """Whether the period begins with the month, in whatever zone its days are."""
        return month_of((self.start + timedelta(days=1)).date()) == month

    def has_part_in(self, month: date) -> bool:
        """Whether the period has a day in the month. One that only a zone moves into it has none."""
        first, end = (datetime.combine(day, time()) for day in (month, next_month(month)))
        part = min(self.end or end, end) - max(self.start, first)
        whole = self.end - self.start if self.end else timedelta.max
        return part > min(_FURTHEST_ZONE, whole / 2)


@dataclass(frozen=True)
class Quota:
    """The windows of a quota and subject that begin in the month. `used` and `limit` are of the fullest window."""

    rule_id: str
    subject_type: str
    subject: str
    unit: str
    windows: int
    breached: int
    near: int
    used: Decimal
    limit: Decimal
    used_ratio: Decimal | None
    observed_blocks: int | None
    is_reliable: bool


@dataclass(frozen=True)
class Breach:
    """A window that went above its limit in the month, and the request that crossed it. Times are UTC."""

    at: datetime
    rule_id: str
    subject_type: str
    subject: str
    unit: str | None
    limit: Decimal
    used: Decimal
    observed_blocks: int | None
    request_key: str


@dataclass(frozen=True)
class Statement:
    """What a team pays for the month, whole cents; `amounts` in the order of LINE_TYPES. None: no cost is known."""

    cost_center: str
    team: str
    amounts: tuple[Decimal | None, ...]
    total_usd: Decimal | None
    share: Decimal | None
    unpriced_requests: int
    is_closed: bool


@dataclass(frozen=True)
class Cause:
    """Why a provider bills something else than the gateways say, in words."""

    provider: str
    cause: str
    amount_usd: Decimal
    explanation: str


@dataclass(frozen=True)
class UnpricedModel:
    """Usage of all time without a cost; `tokens` as far as reported. `seed_file` is where its price goes, if any."""

    provider: str
    model: str
    reason: str
    attempts: int
    tokens: int
    first_seen_at: datetime
    last_seen_at: datetime
    seed_file: str | None


@dataclass(frozen=True)
class Listed:
    """The first rows of a list, and how many more there are."""

    rows: tuple[Any, ...]
    more: int


@dataclass(frozen=True)
class Found:
    """Everything that the report says about the month that begins on `month`.

    `unresolved_models` are the names in the usage of those that are `(unresolved)` in `performance`;
    `billing_timezone` is the zone of the months of statements.
    """

    made_at: datetime
    month: date
    first: date
    known: Known
    usage: Usage
    tags: Tags
    performance: tuple[Performance, ...]
    unresolved_models: frozenset[str]
    series_left_out: int
    budgets: tuple[Budget, ...]
    quotas: Listed
    quota_rules: int
    breaches: Listed
    statements: tuple[Statement, ...]
    bill_by_provider: tuple[tuple[str, Decimal | None], ...]
    bills: Bills
    causes: tuple[Cause, ...]
    unpriced: tuple[UnpricedModel, ...]
    status: Status
    insights: Insights
    billing_timezone: str
