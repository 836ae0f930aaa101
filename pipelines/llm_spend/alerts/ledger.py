"""What was said to whom: a table in the destination, and the turn that lets one run speak at a time.

One row per level of a counter and target. It is `claimed` before it is sent and `sent` when the target has taken it; a
claim that stays is of a run that ended in between, or of a target that did not take it, and is made again by the next
run. It lies with what the pipelines write: a database whose other schemas are built anew keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llm_spend.alerts.decide import Plan
from llm_spend.alerts.facts import EVERY_TARGET, TOO_OLD, Counter, State
from llm_spend.alerts.tables import COUNTER, Names, Sql, columns, is_recent, same_counter, text_of
from llm_spend.destinations.base import Connection, Destination
from llm_spend.errors import UserError

_TIMES = ("window_start", "counted_from", "window_end", "claimed_at", "sent_at")
_WRITTEN = (
    *COUNTER, "window_end", "alert_level", "episode", "target", "state", "reason", "run_id", "claimed_at",
)  # fmt: skip
_ROWS_AT_ONCE = 400


@dataclass(frozen=True)
class Ledger:
    """The ledger of a destination, as one run writes it."""

    destination: Destination
    run_id: str

    def create(self) -> None:
        """Create the tables where they are not there yet."""
        names = self._names
        typed = ", ".join(f"{name} {_type(name, names)}" for name in (*_WRITTEN, "sent_at"))
        self.destination.execute(
            f"create table if not exists {names.ledger} ({typed})",
            # With its row at once: two runs that create it must not make two rows.
            f"create table if not exists {names.turn} as"
            " select cast('' as string) as holder, cast('' as string) as ends_at",
        )

    @contextmanager
    def turn(self, now: datetime, ends_at: datetime) -> Iterator[bool]:
        """Whether it is this run's turn to speak, which nobody else gets before it ends or the given time has come.

        One UPDATE takes it if it is free: DuckDB lets one program write, Snowflake one UPDATE of a table at a time, and
        BigQuery lets one of two that conflict fail or see what the other did.
        """
        names, mine = self._names, "holder = %s"
        taken = f"update {names.turn} set holder = %s, ends_at = %s where ends_at < %s"
        self.destination.execute((taken, [self.run_id, text_of(ends_at), text_of(now)]))
        has_turn = bool(self.destination.query(f"select 1 from {names.turn} where {mine}", [self.run_id]))
        try:
            yield has_turn
        finally:
            if has_turn:
                with suppress(UserError):  # it ends by itself
                    given_back = f"update {names.turn} set holder = '', ends_at = '' where {mine}"
                    self.destination.execute((given_back, [self.run_id]))

    def claim(self, plan: Plan, target: str, now: datetime) -> None:
        """Write what is about to be sent to a target, in place of all that it was to be sent before."""
        rows = [
            self._row(
                alert.about.counter, alert.about.window_end, alert.level, alert.episode, target, "claimed", "", now
            )
            for alert in plan.alerts
        ]
        rows += [
            self._row(each.counter, each.window_end, each.level, each.episode, target, each.state, each.reason, now)
            for each in plan.given_up
        ]
        batches = [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
        earlier = f"delete from {self._names.ledger} where target = %s and state = 'claimed' and run_id <> %s"
        # Deleted last: a run that ends in between leaves a claim twice, never none.
        self.destination.execute(*(self._insert(batch) for batch in batches), (earlier, [target, self.run_id]))

    def confirm(self, target: str, now: datetime) -> None:
        """Write that a target has taken what this run claimed for it."""
        names = self._names
        sent = f"""
            update {names.ledger} set state = 'sent', sent_at = cast(%s as {names.timestamp})
            where target = %s and state = 'claimed' and run_id = %s
        """
        self.destination.execute((sent, [text_of(now), target, self.run_id]))

    def record_too_old(self, cutoffs: Mapping[str, datetime], now: datetime) -> None:
        """Write what is not sent to anybody because of its age, and was not written before."""
        names = self._names
        found = too_old(names, cutoffs, has_ledger=True)
        self.destination.execute(
            (
                f"""
                insert into {names.ledger} ({", ".join(_WRITTEN)})
                select {columns("found")}, found.window_end, found.alert_level, 0, %s, 'not_sent', %s, %s,
                    cast(%s as {names.timestamp})
                from ({found.text}) as found
                """,
                [EVERY_TARGET, TOO_OLD, self.run_id, text_of(now), *found.parameters],
            )
        )

    @property
    def _names(self) -> Names:
        return Names.of(self.destination)

    def _row(
        self,
        counter: Counter,
        window_end: datetime | None,
        level: str,
        episode: int,
        target: str,
        state: State,
        reason: str,
        now: datetime,
    ) -> list[Any]:
        key = [counter.rule_set, counter.rule_id, counter.subject_type, counter.subject, counter.unit]
        times = [text_of(counter.window_start), text_of(counter.counted_from), text_of(window_end)]
        return [*key, *times, level, episode, target, state, reason, self.run_id, text_of(now)]

    def _insert(self, rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        names = self._names
        values = ", ".join(
            f"cast(nullif(%s, '') as {names.timestamp})" if name in _TIMES else "%s" for name in _WRITTEN
        )
        # SELECTs, since warehouses differ in what they take for values.
        selects = " union all ".join([f"select {values}"] * len(rows))
        return f"insert into {names.ledger} ({', '.join(_WRITTEN)}) {selects}", [value for row in rows for value in row]


def has_ledger(connection: Connection, destination: Destination) -> bool:
    """Whether anything was ever recorded."""
    return Names.of(destination).ledger.rpartition(".")[2] in connection.tables(destination.schemas.raw)


def ledger_rows(names: Names, *, has_ledger: bool) -> str:
    """What to select the ledger from: the table, or no rows where there is none yet."""
    if has_ledger:
        return names.ledger
    nothing = ", ".join(f"cast(null as {_type(name, names)}) as {name}" for name in (*_WRITTEN, "sent_at"))
    return f"(select {nothing} from (select 1 as one) as ones where one = 0)"


def too_old(names: Names, cutoffs: Mapping[str, datetime], *, has_ledger: bool) -> Sql:
    """Levels that were reached in windows that are not recent, and that the ledger does not know.

    Not those of a counter that has a claim: what was to be sent is sent, at the level that it has by then.
    """
    ledger = ledger_rows(names, has_ledger=has_ledger)
    recent = is_recent("usage_rows", cutoffs, names.timestamp)
    reached = f"""
        select {columns("usage_rows")}, max(usage_rows.window_end) as window_end,
            max(coalesce(usage_rows.threshold_reached, 0)) as threshold_reached,
            max(case when usage_rows.status = 'breached' then 1 else 0 end) as is_breached
        from {names.usage} as usage_rows
        where (usage_rows.threshold_reached is not null or usage_rows.status = 'breached') and not {recent.text}
        group by {columns("usage_rows")}
    """
    levels = f"""
        select {columns("reached")}, reached.window_end,
            case
                when reached.is_breached = 1 and reached.threshold_reached <= 100 then 'breached'
                else cast(reached.threshold_reached as string)
            end as alert_level
        from ({reached}) as reached
    """
    text = f"""
        select levels.*
        from ({levels}) as levels
        left join {ledger} as known
            on {same_counter("levels", "known")}
                and (levels.alert_level = known.alert_level or known.state = 'claimed')
        where known.rule_id is null
    """
    return Sql(text, recent.parameters)


def _type(column: str, names: Names) -> str:
    if column in _TIMES:
        return names.timestamp
    return "bigint" if column == "episode" else "string"
