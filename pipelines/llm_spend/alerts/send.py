"""One run of alerts: read, decide, claim, send, confirm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import sleep
from uuid import uuid4

from llm_spend.alerts.decide import Alert, Plan, plan
from llm_spend.alerts.digest import Digest, digest
from llm_spend.alerts.facts import Facts
from llm_spend.alerts.ledger import Ledger
from llm_spend.alerts.read import read_facts
from llm_spend.alerts.targets import Target
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError

NOBODY = Target("(none)", "nobody yet", None)
"""In place of targets, for a dry run before there are any."""

_LONGEST_TURN = timedelta(minutes=10)
_ONE_MESSAGE = timedelta(minutes=3)
_TRIES, _SECONDS_BETWEEN = 3, 2.0

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Rules:
    """What is sent: windows of a day or shorter up to an age, and withdrawals or not. `remarks` end each message.

    `anomalies`: the least severity of those that are told; `none` for none at all.
    """

    max_age: timedelta
    withdraw: bool = True
    remarks: tuple[str, ...] = ()
    anomalies: str = "medium"


@dataclass(frozen=True)
class Outcome:
    """What one target was sent, or is to be sent; `problem` when it was not, or nobody knows."""

    target: str
    alerts: tuple[Alert, ...]
    message: Digest | None
    problem: str | None = None


@dataclass(frozen=True)
class Report:
    """What a run did. `too_old`: levels recorded as not sent because of their age. `is_dry`: nothing was done."""

    outcomes: tuple[Outcome, ...]
    too_old: int
    is_dry: bool

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong, target by target."""
        return tuple(f"{each.target}: {each.problem}" for each in self.outcomes if each.problem)


def utc_now() -> datetime:
    """The time, naive and UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def send(
    destination: Destination,
    targets: Sequence[Target],
    rules: Rules,
    *,
    dry_run: bool = False,
    clock: Clock = utc_now,
    wait: Callable[[float], None] = sleep,
) -> Report:
    """Tell each target what it does not know yet. A dry run only says what that would be.

    Raises UserError when the destination can't be read, or not be written before anything was sent.
    """
    now = clock()
    facts, _ = read_facts(destination, now, rules.max_age, rules.anomalies)
    plans = _plans(facts, targets or [NOBODY], rules)
    if dry_run:
        return Report(tuple(_said(target, each, rules) for target, each in plans.items()), facts.too_old, True)
    if not facts.too_old and not any(each.alerts or each.given_up for each in plans.values()):
        return Report(tuple(Outcome(target.label, (), None) for target in targets), 0, False)
    ledger = Ledger(destination, uuid4().hex)
    ledger.create()
    ends_at = now + _LONGEST_TURN
    with ledger.turn(now, ends_at) as has_turn:
        if not has_turn:
            raise UserError(
                "Another run is sending alerts, or ended while it did.",
                "What it leaves is sent by the first run that begins ten minutes later.",
            )
        # Another run may have spoken since.
        facts, cutoffs = read_facts(destination, now, rules.max_age, rules.anomalies)
        if facts.too_old:
            ledger.record_too_old(cutoffs, now)
        plans = _plans(facts, targets, rules)
        turn = _Turn(ledger, rules, ends_at, clock, wait)
        outcomes = [turn.tell(target, each) for target, each in plans.items()]
    return Report(tuple(outcomes), facts.too_old, False)


def _plans(facts: Facts, targets: Sequence[Target], rules: Rules) -> Mapping[Target, Plan]:
    return {target: plan(facts, target.id, withdraw=rules.withdraw) for target in targets}


def _said(target: Target, planned: Plan, rules: Rules) -> Outcome:
    message = digest(planned.alerts, rules.remarks) if planned.alerts else None
    return Outcome(target.label, planned.alerts, message)


@dataclass(frozen=True)
class _Turn:
    """A run that may speak, until `ends_at`."""

    ledger: Ledger
    rules: Rules
    ends_at: datetime
    clock: Clock
    wait: Callable[[float], None]

    def tell(self, target: Target, planned: Plan) -> Outcome:
        """Claim, send and confirm, with nothing in between. A target that fails keeps its claims for the next run."""
        said = _said(target, planned, self.rules)
        if not planned.alerts and not planned.given_up:
            return said
        try:
            self.ledger.claim(planned, target.id, self.clock())
        except UserError as error:
            return replace(said, problem=f"nothing was sent, since it can't be recorded: {error.problem}")
        if not said.message:
            return said
        if self.clock() >= self.ends_at - _ONE_MESSAGE:
            return replace(said, problem="nothing was sent: the targets before it took too long")
        problem = target.send(said.message.title, said.message.body, said.message.urgency)
        return replace(said, problem=problem or self._confirm(target))

    def _confirm(self, target: Target) -> str | None:
        """Write that it was sent; a reader of a DuckDB file may be in the way for a moment."""
        problem = ""
        for number in range(_TRIES):
            self.wait(_SECONDS_BETWEEN * number)
            try:
                self.ledger.confirm(target.id, self.clock())
                return None
            except UserError as error:
                problem = error.problem
        return f"it took the message, but that can't be recorded, and it will get it again: {problem}"
