"""The seed `rules/period_close.csv`: which months are closed. Lines are only added; the latest of a month holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from llm_spend.build import project_dir
from llm_spend.seeds import parsed_rows, seed_place
from llm_spend.zones import named_zone

LEDGER = "period_close.csv"
COLUMNS = ("billing_period", "action", "closed_at", "closed_by", "reason", "time_zone")

Action = Literal["close", "reopen"]


@dataclass(frozen=True)
class Entry:
    """A month was closed, or opened again. `billing_period`: its first day; `closed_at`: a naive UTC time.

    `time_zone`: an IANA name, in which a closed month begins and ends.
    """

    billing_period: date
    action: Action
    closed_at: datetime
    closed_by: str
    reason: str
    time_zone: str = "UTC"


def ledger_file(seeds: Path) -> Path:
    """Where a build looks for the ledger in a folder of seeds, or where it is to be when there is none."""
    return seed_place(seeds, "rules", LEDGER)


def read_ledger(file: Path) -> list[Entry]:
    """The entries, in the order of the file. Raises UserError that names file and line."""
    return parsed_rows(file, COLUMNS, _entry)


def closings(entries: Iterable[Entry]) -> dict[date, Entry]:
    """The closing that holds, by month, of the months that are closed: the first since the month was open."""
    found: dict[date, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.closed_at):
        if entry.action == "close":
            found.setdefault(entry.billing_period, entry)
        else:
            found.pop(entry.billing_period, None)
    return found


def closed_periods(entries: Iterable[Entry]) -> set[date]:
    """The first days of the months that are closed."""
    return set(closings(entries))


def next_entry(entries: Sequence[Entry], wanted: Entry) -> Entry:
    """The same, later than all that is known of its month: the latest entry holds, whatever a clock said."""
    known = [entry.closed_at for entry in entries if entry.billing_period == wanted.billing_period]
    at = max([wanted.closed_at, *(each + timedelta(seconds=1) for each in known)]).replace(microsecond=0)
    return replace(wanted, closed_at=at)


def add_entry(file: Path, entry: Entry) -> None:
    """Add a line. What is there stays as it is; a crash leaves the file without the line, never half of it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        packaged = next((project_dir() / "seeds").rglob(LEDGER))
        before = packaged.read_text(encoding="utf-8-sig")
    else:
        before = file.read_text(encoding="utf-8-sig")
    header = [name.strip() for name in next(csv.reader([before.splitlines()[0]]))]
    values = dict(zip(COLUMNS, _texts(entry), strict=True))
    # A file of before there were time zones has UTC alone, and needs no column for it.
    if "time_zone" not in header:
        if entry.time_zone == "UTC":
            del values["time_zone"]
        else:
            before, header = _with_time_zones(before), [*header, "time_zone"]
    line = io.StringIO()
    csv.DictWriter(line, header, lineterminator="\n").writerow(values)
    partial = file.with_suffix(".csv.partial")
    partial.write_text(before.rstrip("\n") + "\n" + line.getvalue(), encoding="utf-8", newline="")
    partial.replace(file)


def _with_time_zones(text: str) -> str:
    header, *rows = (row for row in csv.reader(io.StringIO(text)) if row)
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([[*header, "time_zone"], *([*row, ""] for row in rows)])
    return written.getvalue()


def _entry(row: dict[str, str]) -> Entry:
    period = datetime.fromisoformat(row["billing_period"].strip()).date()
    if period.day != 1:
        raise ValueError(f"billing_period is {period}, not the first day of a month")
    action = row["action"].strip().lower() or "close"
    if action not in ("close", "reopen"):
        raise ValueError(f"action is {row['action']!r}, not close or reopen")
    at = datetime.fromisoformat(row["closed_at"].strip())
    if at.tzinfo:
        at = at.astimezone(UTC).replace(tzinfo=None)
    zone = named_zone(row["time_zone"])
    return Entry(period, "close" if action == "close" else "reopen", at, row["closed_by"], row["reason"], zone)


def _texts(entry: Entry) -> tuple[str, ...]:
    return tuple(str(value) for value in astuple(entry))
