"""What the tables say and what was said before: the facts that alerts are decided from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import total_ordering
from typing import Literal

State = Literal["claimed", "sent", "not_sent"]

WITHDRAWN = "withdrawn"
TOO_OLD = "too old"
OVERTAKEN = "overtaken by another level"
NO_LONGER = "no longer so"

SEVERITIES = ("low", "medium", "high")
"""Of anomalies, as llm_usage_anomalies has them."""

EVERY_TARGET = ""
"""In place of a target, in what the ledger says of all of them."""


@dataclass(frozen=True, order=True)
class Counter:
    """What a version of a quota rule counts for one subject in one window. Times are naive UTC.

    `counted_from` is the start of the window, or of the version where it begins within the window. A version that takes
    the place of another from the same start has the same counter.
    """

    rule_set: str
    rule_id: str
    subject_type: str
    subject: str
    unit: str
    window_start: datetime
    counted_from: datetime


@total_ordering
@dataclass(frozen=True)
class Level:
    """How far a counter is: the highest threshold it reached, in percent; more than its limit when `is_breached`."""

    percent: int
    is_breached: bool

    def __lt__(self, other: Level) -> bool:
        return (self.percent, self.is_breached) < (other.percent, other.is_breached)

    def __str__(self) -> str:
        """As in the ledger: `80`, `100`, `breached`, `120`."""
        return "breached" if (self.percent, self.is_breached) == (100, True) else str(self.percent)

    @classmethod
    def of(cls, threshold: int | None, *, is_breached: bool) -> Level | None:
        """From the threshold reached and whether the limit is exceeded; None when there is nothing to tell."""
        if is_breached:
            return cls(max(threshold or 0, 100), True)
        return cls(threshold, False) if threshold else None

    @classmethod
    def parse(cls, text: str) -> Level:
        """From the text of the ledger."""
        return cls(100, True) if text == "breached" else cls(int(text), int(text) > 100)

    def without_breach(self) -> Level:
        """The highest level that it passed before it exceeded the limit."""
        return Level(100, False) if self.is_breached else self


@dataclass(frozen=True)
class Standing:
    """A counter that reached a threshold or exceeds its limit, as the tables show it now.

    `used` and `limit_to` are requests, tokens or USD, as the unit says; `window_end` is None without an end. Times are
    naive UTC. Of a breach: when it was crossed and known, and how many requests were refused. `forecast_usd`: what a
    budget will come to.
    """

    counter: Counter
    window_end: datetime | None
    level: Level
    used: Decimal
    limit_to: Decimal
    used_ratio: Decimal | None
    enforcement: str | None
    is_reliable: bool
    unpriced_requests: int | None
    breached_at: datetime | None = None
    detected_at: datetime | None = None
    observed_blocks: int | None = None
    forecast_usd: Decimal | None = None


@dataclass(frozen=True)
class Anomaly:
    """A run of days on which a member cost, failed or was priced unlike before: what its worst day says.

    Its counter has the kind in place of a rule, and begins on the first day of the run; its level is its severity.
    """

    counter: Counter
    window_end: datetime
    severity: str
    severity_usd: Decimal | None
    usage_date: date
    explanation: str

    @property
    def level(self) -> Level:
        """From 1 on, so that a worse day of the run is news."""
        return Level(SEVERITIES.index(self.severity) + 1, False)


@dataclass(frozen=True)
class Voided:
    """A breach that was withdrawn, and the time (naive UTC)."""

    counter: Counter
    window_end: datetime | None
    voided_at: datetime


@dataclass(frozen=True)
class Entry:
    """A row of the ledger. `level` is that of a counter, or `withdrawn`.

    `episode` counts from 0 and goes up by one with each breach that was withdrawn. `target` is the id of a target, or
    EVERY_TARGET.
    """

    counter: Counter
    window_end: datetime | None
    level: str
    episode: int
    target: str
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Facts:
    """All that is known at one moment; `too_old` counts what is not sent because of its age and not recorded yet."""

    standings: tuple[Standing | Anomaly, ...]
    voided: tuple[Voided, ...]
    entries: tuple[Entry, ...]
    too_old: int
