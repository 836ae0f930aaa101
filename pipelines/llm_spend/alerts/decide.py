"""What is to be said to a target: nothing twice, nothing that got better, and what proved to be wrong is withdrawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from llm_spend.alerts.facts import (
    EVERY_TARGET,
    NO_LONGER,
    OVERTAKEN,
    TOO_OLD,
    WITHDRAWN,
    Anomaly,
    Counter,
    Entry,
    Facts,
    Level,
    Standing,
    Voided,
)


@dataclass(frozen=True)
class Alert:
    """One thing to say: a counter reached a level, an anomaly is of one, or a breach is withdrawn.

    `may_repeat`: it was claimed before and not confirmed, so nobody knows whether it arrived.
    """

    about: Standing | Anomaly | Voided
    episode: int
    may_repeat: bool

    @property
    def level(self) -> str:
        """As in the ledger."""
        return WITHDRAWN if isinstance(self.about, Voided) else str(self.about.level)


@dataclass(frozen=True)
class Plan:
    """For one target: what to say, and earlier claims that are given up, each with its reason."""

    alerts: tuple[Alert, ...]
    given_up: tuple[Entry, ...]


def plan(facts: Facts, target: str, *, withdraw: bool) -> Plan:
    """What to say to a target. `withdraw`: whether it is told that a breach it was told of is withdrawn."""
    standings = {standing.counter: standing for standing in facts.standings}
    voided = {each.counter: each for each in facts.voided} if withdraw else {}
    entries = _by_counter(entry for entry in facts.entries if entry.target in (target, EVERY_TARGET))
    claimed = {counter for counter, known in entries.items() if any(entry.state == "claimed" for entry in known)}
    plans = [
        _plan_of(standings.get(counter), voided.get(counter), entries.get(counter, ()))
        for counter in sorted(standings.keys() | voided.keys() | claimed)
    ]
    return Plan(
        tuple(alert for alert, _ in plans if alert),
        tuple(entry for _, given_up in plans for entry in given_up),
    )


def _plan_of(
    standing: Standing | Anomaly | None, voided: Voided | None, entries: Sequence[Entry]
) -> tuple[Alert | None, list[Entry]]:
    told = [entry for entry in entries if entry.state == "sent" or entry.reason == TOO_OLD]
    claimed = [entry for entry in entries if entry.state == "claimed"]
    episode = sum(entry.level == WITHDRAWN for entry in told)
    if voided and not (standing and standing.level.is_breached) and _knows_of_breach(told + claimed, episode):
        alert = Alert(voided, episode, may_repeat=any(entry.level == WITHDRAWN for entry in claimed))
    elif standing and _is_news(standing.level, told, episode):
        alert = Alert(standing, episode, may_repeat=any(_says_as_much(entry, standing.level) for entry in claimed))
    else:
        return None, [_given_up(entry, NO_LONGER) for entry in claimed]
    return alert, [_given_up(entry, OVERTAKEN) for entry in claimed if entry.level != alert.level]


def _is_news(level: Level, told: Iterable[Entry], episode: int) -> bool:
    """Whether it is above all that was told. After a withdrawal only a breach can be, or what was never reached."""
    known = [
        Level.parse(entry.level) if entry.episode == episode else Level.parse(entry.level).without_breach()
        for entry in told
        if entry.level != WITHDRAWN
    ]
    return all(level > other for other in known)


def _knows_of_breach(entries: Iterable[Entry], episode: int) -> bool:
    """Whether the target was told of a breach in this episode, or may have been."""
    return any(
        entry.episode == episode
        and entry.state != "not_sent"
        and (entry.level == WITHDRAWN or Level.parse(entry.level).is_breached)
        for entry in entries
    )


def _says_as_much(entry: Entry, level: Level) -> bool:
    return entry.level != WITHDRAWN and Level.parse(entry.level) >= level


def _given_up(entry: Entry, reason: str) -> Entry:
    return replace(entry, state="not_sent", reason=reason)


def _by_counter(entries: Iterable[Entry]) -> Mapping[Counter, list[Entry]]:
    found: dict[Counter, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.counter, []).append(entry)
    return found
