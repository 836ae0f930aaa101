"""Close a month: look whether all of it is there, and say so in the ledger. The next build freezes its lines."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from rich.markup import escape

from llm_spend.billing_months import hours
from llm_spend.build import project_dir
from llm_spend.build_record import is_up_to_date
from llm_spend.close_bills import bills_in_use, gaps, uncharged, unloaded, unsettled, waiting_lines
from llm_spend.close_finding import Finding
from llm_spend.close_ledger import (
    LEDGER,
    Action,
    Entry,
    add_entry,
    closed_periods,
    closings,
    ledger_file,
    next_entry,
    read_ledger,
)
from llm_spend.destinations.base import Connection, Destination
from llm_spend.errors import UserError
from llm_spend.months import back, next_month
from llm_spend.schema import REQUESTS, Schemas
from llm_spend.windows import LoadedWindow, Window, in_force
from llm_spend.zones import midnight

# What files may still bring after the end of a month; an API says for itself how long its rows may change.
LOOK_BACK = timedelta(hours=24)
# The stream of a provider's API that has what it bills.
BILLS = "costs"
_MONTHS_SHOWN = 6
_TABLES = frozenset({"llm_load_history", "llm_chargeback_lines", "fct_llm_provider_costs"})


@dataclass(frozen=True)
class Outcome:
    """What came of it: the entry that was written, or what is missing."""

    period: date
    action: Action
    findings: tuple[Finding, ...]
    entry: Entry | None = None
    file: Path | None = None

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What stands in the way."""
        return tuple(finding for finding in self.findings if not finding.is_warning)


@dataclass(frozen=True)
class Load:
    """What is known of the loads of a source instance. Times are naive and mean UTC."""

    source: str
    source_instance: str
    last_loaded_at: datetime
    last_event_at: datetime | None


def close(
    destination: Destination,
    period: date,
    seeds: Path,
    *,
    by: str | None = None,
    reason: str | None = None,
    force: bool = False,
    time_zone: str = "UTC",
    now: datetime | None = None,
) -> Outcome:
    """Close the month that begins on `period` in the ledger of a folder of seeds, if nothing is missing.

    `force` closes it anyway, and needs a reason, which is recorded with what was missing. `time_zone`: that of open
    months, which it keeps. `now` is a naive UTC time. Raises UserError for a month that is closed already.
    """
    if force and not reason:
        raise UserError("Why shall it be closed with something missing?", "Say it with --reason TEXT.")
    file = ledger_file(seeds)
    entries = _entries(file)
    if period in closed_periods(entries):
        raise UserError(
            f"{_month(period)} is closed already.",
            f"What is learned later is restated in the first open month. To open it again: llm-spend close"
            f" {_month(period)} --reopen --reason TEXT.",
        )
    at = now or datetime.now(UTC).replace(tzinfo=None)
    findings = tuple(examine(destination, period, closings(entries), at, time_zone))
    outcome = Outcome(period, "close", findings)
    if outcome.missing and not force:
        return outcome
    names = ", ".join(finding.name for finding in outcome.missing)
    told = f"{reason or ''} [missing: {names}]" if names else reason or ""
    return _written(outcome, file, entries, at, by, told, time_zone)


def reopen(
    period: date, seeds: Path, *, by: str | None = None, reason: str | None = None, now: datetime | None = None
) -> Outcome:
    """Annul the closing of the month that was closed last. Raises UserError for another one, or without a reason."""
    file = ledger_file(seeds)
    entries = _entries(file)
    closed = closed_periods(entries)
    if not reason:
        raise UserError("Why shall it be opened again?", "Say it with --reason TEXT.")
    if period not in closed:
        raise UserError(f"{_month(period)} is not closed.", f"Closed: {_months(closed) or 'none'}.")
    if period != max(closed):
        raise UserError(
            f"{_month(max(closed))} was closed after it, and has booked what was learned of {_month(period)}.",
            f"Reopen {_month(max(closed))} first.",
        )
    at = now or datetime.now(UTC).replace(tzinfo=None)
    return _written(Outcome(period, "reopen", ()), file, entries, at, by, reason, closings(entries)[period].time_zone)


def examine(
    destination: Destination, period: date, closed: Mapping[date, Entry], now: datetime, time_zone: str = "UTC"
) -> Iterator[Finding]:
    """What is missing before the month can be closed, and what is worth a warning.

    `closed`: the closings that hold. Usage is that of the month's hours in its time zone; bills are of UTC days.
    """
    month = hours(period, time_zone, closed)
    end = max(month.end, _end(period))
    yield from month_over(period, end, now)
    yield from other_zone(period, month, time_zone)
    if not destination.tables(destination.schemas.public) >= _TABLES:
        yield Finding("build", "The tables were never built.", "Run `llm-spend build`.")
        return
    if not is_up_to_date(destination):
        yield Finding(
            "build",
            "The last build failed a test, did not finish, or does not know the last load.",
            "Run `llm-spend build` and see what it says.",
        )
    with destination.reading() as connection:
        loads = in_use(period, _loads(connection, destination.schemas))
        bills = bills_in_use(connection, destination.schemas, period)
        if now >= end:
            yield from late_loads(month.end, loads)
            windows = _windows(connection, destination.schemas, REQUESTS, back(period, 1), month)
            for load in loads:
                asked = windows.get((load.source, load.source_instance))
                if asked is not None:
                    look_back = _look_back(load.source, load.source_instance)
                    yield from uncovered(load.source, load.source_instance, month, asked, look_back)
            days = Window(datetime.combine(period, time()), _end(period))
            windows = _windows(connection, destination.schemas, BILLS, back(period, 1), days)
            for source, instance in sorted({(bill.source, bill.source_instance) for bill in bills if bill.is_from_api}):
                yield from uncovered(source, instance, days, windows.get((source, instance), ()), LOOK_BACK)
            yield from unloaded(bills, gaps(connection, destination.schemas, period))
            yield from unsettled(bills)
        yield from uncharged(waiting_lines(connection, destination.schemas, period))
        yield from unpriced(*_unpriced_tokens(connection, destination.schemas, period), _unpriced_limit())
        yield from quarantined(_quarantined_lines(connection, destination.schemas, month))
        yield from open_before(period, closed, _months_with_usage(connection, destination.schemas))


def month_over(period: date, end: datetime, now: datetime) -> Iterator[Finding]:
    """Whether the month has ended, in its time zone and in UTC, and what is written late can be there."""
    if now < end:
        yield Finding("month", f"{_month(period)} ends on {end:%Y-%m-%d} at {end:%H:%M} UTC.", "Wait until it is over.")
    elif now < end + LOOK_BACK:
        yield Finding(
            "look-back",
            f"{_month(period)} ended less than {LOOK_BACK // timedelta(hours=1)} hours ago: late rows may still come.",
            f"Load and build after {end + LOOK_BACK:%Y-%m-%d %H:%M} UTC.",
        )


def other_zone(period: date, month: Window, time_zone: str) -> Iterator[Finding]:
    """Whether the month meets a closed one that has another zone, and so begins or ends at another hour."""
    if month != Window(midnight(period, time_zone), midnight(next_month(period), time_zone)):
        yield Finding(
            "time-zone",
            f"A month beside {_month(period)} was closed in another time zone than {time_zone}, and keeps its hours:"
            f" {_month(period)} is {month.start:%Y-%m-%d %H:%M} to {month.end:%Y-%m-%d %H:%M} UTC.",
            is_warning=True,
        )


def in_use(period: date, loads: Iterable[Load]) -> list[Load]:
    """The sources that had usage in the month or the one before: others are taken for gone."""
    since = datetime.combine(back(period, 1), time())
    return [load for load in loads if load.last_event_at and load.last_event_at >= since]


def late_loads(end: datetime, loads: Iterable[Load]) -> Iterator[Finding]:
    """Sources that were last loaded before the month's end."""
    for load in loads:
        if load.last_loaded_at < end:
            yield Finding(
                "load",
                f"{load.source} ({load.source_instance}) was last loaded on {load.last_loaded_at:%Y-%m-%d %H:%M} UTC,"
                " before the month's end.",
                "Run `llm-spend load`, then `llm-spend build`.",
            )


def uncovered(
    source: str, instance: str, month: Window, loaded: Sequence[LoadedWindow], look_back: timedelta
) -> Iterator[Finding]:
    """Times of the month that an API was not asked for, or that it was asked for too early to be complete.

    `loaded`: the windows of the month in the order in which they were loaded.
    """
    name, command = f"{source} ({instance})", f"llm-spend load {source} --api"
    command += "" if instance == "default" else f" --instance {instance}"
    windows = sorted(in_force(loaded), key=lambda each: each.window.start)
    reached, early = month.start, None
    gaps: list[Window] = []
    for each in windows:
        if reached < each.window.start:
            gaps.append(Window(reached, each.window.start))
        reached = max(reached, each.window.end)
        if each.asked_at < each.window.end + look_back:
            early = early or each
    if reached < month.end:
        gaps.append(Window(reached, month.end))
    if gaps:
        others = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        yield Finding(
            "windows",
            f"{name} was not asked for {gaps[0].start:%Y-%m-%d %H:%M} to {gaps[0].end:%Y-%m-%d %H:%M} UTC{others}.",
            f"Run `{command} --since {gaps[0].start:%Y-%m-%d}`.",
        )
    if early:
        yield Finding(
            "look-back",
            f"{name} was asked for {early.window.start:%Y-%m-%d %H:%M} UTC within its look-back of"
            f" {look_back // timedelta(hours=1)} hours, and not again.",
            f"Run `{command}` after the look-back.",
        )


def unpriced(tokens: int, of: int, limit: Decimal) -> Iterator[Finding]:
    """Whether more of the month's tokens have no price than the test of a build allows."""
    if tokens > of * limit:
        yield Finding(
            "unpriced",
            f"{tokens:,} of {of:,} tokens have no price; {limit * 100:f} % may.",
            "llm_unpriced_models has the seed lines to paste.",
        )


def quarantined(lines: int) -> Iterator[Finding]:
    """Lines of the month's loads that could not be read."""
    if lines:
        yield Finding(
            "quarantine",
            f"{lines:,} lines of this month's loads could not be read, and are in no total.",
            "See llm_spend__quarantine.",
            is_warning=True,
        )


def open_before(period: date, closed: Iterable[date], months: Iterable[date]) -> Iterator[Finding]:
    """Open months with usage before this one: what is learned of them would not be told from their own lines."""
    found = sorted(set(months) - set(closed))
    before = [month for month in found if month < period]
    if before:
        yield Finding("order", f"Open before it: {_months(before)}.", f"Close {_month(before[0])} first.")
    if period not in months:
        yield Finding("usage", f"{_month(period)} has no usage.", "Is it the month you mean?", is_warning=True)


def _written(
    outcome: Outcome,
    file: Path,
    entries: Sequence[Entry],
    at: datetime,
    by: str | None,
    reason: str,
    time_zone: str,
) -> Outcome:
    said = " ".join(reason.split())
    entry = next_entry(entries, Entry(outcome.period, outcome.action, at, by or _user(), said, time_zone))
    add_entry(file, entry)
    return Outcome(outcome.period, outcome.action, outcome.findings, entry, file)


def _entries(file: Path) -> list[Entry]:
    return read_ledger(file if file.exists() else next((project_dir() / "seeds").rglob(LEDGER)))


def _loads(connection: Connection, schemas: Schemas) -> list[Load]:
    query = f"""
        select source, source_instance, max(loaded_at), max(last_event_at)
        from {schemas.public}.llm_load_history where entity = '{REQUESTS}'
        group by source, source_instance order by source, source_instance
    """
    return [Load(*row) for row in connection.rows(query)]


def _windows(
    connection: Connection, schemas: Schemas, entity: str, since: date, month: Window
) -> Mapping[tuple[str, str], Sequence[LoadedWindow]]:
    """What APIs were asked for, of the month; nothing for one that was last asked for before it, but after `since`."""
    query = f"""
        select source, source_instance, window_start, window_end, modified_at, size_bytes
        from {schemas.internal}.stg_loads__files
        where entity = '{entity}' and window_start is not null
            and cast(window_start as date) >= date '{since}' and {_before_end("window_start", month)}
        order by load_id
    """
    found: dict[tuple[str, str], list[LoadedWindow]] = {}
    for source, instance, window_start, window_end, asked_at, size in connection.rows(query):
        windows = found.setdefault((source, instance), [])
        if window_end > month.start and window_start < month.end:
            windows.append(LoadedWindow(Window(window_start, window_end), asked_at, size))
    return found


def _unpriced_tokens(connection: Connection, schemas: Schemas, period: date) -> tuple[int, int]:
    """Tokens of the month without a price, but for models that are known to have none; and all of its tokens."""
    named = f"""
        select gaps.model_pattern, gaps.valid_from, gaps.valid_to
        from {schemas.internal}.stg_prices__unpriced_models as gaps
    """
    used = f"""
        select lower(coalesce(resolved_model, '(unknown)')), usage_date,
            sum(case when price_status = 'unpriced' then unpriced_tokens else 0 end), sum(total_tokens)
        from {schemas.internal}.int_requests_daily
        where is_of_record and billing_period = date '{period}'
        group by 1, 2
    """
    gaps = connection.rows(named)

    def is_named(model: str, day: date) -> bool:
        at = datetime.combine(day, time())
        return any(start <= at < end and _matches(model, pattern) for pattern, start, end in gaps)

    days = connection.rows(used)
    without = sum(int(tokens) for model, day, tokens, _ in days if tokens and not is_named(model, day))
    return without, sum(int(total or 0) for *_, total in days)


def _matches(value: str, pattern: str) -> bool:
    """As the macro matches_pattern: exactly it, `prefix*`, `*suffix`, or `*`."""
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value.endswith(pattern[1:]) if pattern.startswith("*") else value == pattern


def _quarantined_lines(connection: Connection, schemas: Schemas, month: Window) -> int:
    """Lines that could not be read, of loads that have rows of the month, or none and were made in it."""
    query = f"""
        select sum(lines_quarantined) from {schemas.public}.llm_load_history
        where cast(coalesce(last_event_at, loaded_at) as date) >= date '{month.start:%Y-%m-%d}'
            and {_before_end("coalesce(first_event_at, loaded_at)", month)}
    """
    ((lines,),) = connection.rows(query)
    return int(lines or 0)


def _months_with_usage(connection: Connection, schemas: Schemas) -> list[date]:
    """Months with usage of their own, though it may cost nothing or nobody knows what."""
    query = f"""
        select distinct original_period from {schemas.public}.llm_chargeback_lines
        where line_type <> 'restatement' and (amount_usd is null or amount_usd <> 0 or quantity_tokens > 0)
    """
    return [month for (month,) in connection.rows(query)]


def _before_end(column: str, month: Window) -> str:
    """SQL: on a UTC date that the month reaches into."""
    return f"cast({column} as date) <= date '{month.end - timedelta(microseconds=1):%Y-%m-%d}'"


def _look_back(source: str, instance: str) -> timedelta:
    """How long rows of an API may still arrive; ours for files where it can't be asked without its credentials."""
    from llm_spend.sources import api_source

    try:
        return max(api_source(source, instance).streams[0].look_back, default=timedelta())
    except UserError:
        return LOOK_BACK


def _unpriced_limit() -> Decimal:
    """The limit of the build's own test (assert_unpriced_token_share)."""
    project = yaml.safe_load((project_dir() / "dbt_project.yml").read_text(encoding="utf-8"))
    return Decimal(str(project["vars"]["llm_spend_unpriced_token_share_limit"]))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user: a container may run under a number
        return "unknown"


def _end(period: date) -> datetime:
    return datetime.combine(next_month(period), time())


def _month(period: date) -> str:
    return f"{period:%Y-%m}"


def _months(periods: Iterable[date]) -> str:
    """Months by name, the last ones of many."""
    names = [_month(period) for period in sorted(periods)]
    others = f"{len(names) - _MONTHS_SHOWN} months before, " if len(names) > _MONTHS_SHOWN else ""
    return others + ", ".join(names[-_MONTHS_SHOWN:])


def render(outcome: Outcome) -> list[str]:
    """Lines for people, with Rich's colours: what was found, what was done, what comes next."""
    month = _month(outcome.period)
    lines = [
        f"[yellow]{'warning' if each.is_warning else 'missing'}[/yellow] {escape(each.problem)} {escape(each.remedy)}"
        for each in outcome.findings
    ]
    if outcome.entry is None:
        return [*lines, f"{month} stays open. To close it all the same: --force --reason TEXT."]
    done = "closed" if outcome.action == "close" else "open again"
    return [*lines, escape(f"{month} is {done} in {outcome.file}; the next `llm-spend build` with it makes it so.")]


def to_json(outcome: Outcome) -> dict[str, Any]:
    """The same for programs."""
    return {
        "period": _month(outcome.period),
        "action": outcome.action,
        "done": outcome.entry is not None,
        "file": str(outcome.file) if outcome.file else None,
        "entry": asdict(outcome.entry) if outcome.entry else None,
        "findings": [asdict(each) for each in outcome.findings],
    }
