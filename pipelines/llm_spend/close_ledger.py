"""The seed `rules/period_close.csv`: which months are closed. Lines are only added; the latest of a month holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from llm_spend.build import project_dir
from llm_spend.seeds import parsed_rows, seed_place

LEDGER = "period_close.csv"
COLUMNS = ("billing_period", "action", "closed_at", "closed_by", "reason")

Action = Literal["close", "reopen"]


@dataclass(frozen=True)
class Entry:
    """A month was closed, or opened again. `billing_period`: its first day; `closed_at`: a naive UTC time."""

    billing_period: date
    action: Action
    closed_at: datetime
    closed_by: str
    reason: str


def ledger_file(seeds: Path) -> Path:
    """Where a build looks for the ledger in a folder of seeds, or where it is to be when there is none."""
    return seed_place(seeds, "rules", LEDGER)


def read_ledger(file: Path) -> list[Entry]:
    """The entries, in the order of the file. Raises UserError that names file and line."""
    return parsed_rows(file, COLUMNS, _entry)


def closed_periods(entries: Iterable[Entry]) -> set[date]:
    """The first days of the months that are closed."""
    latest: dict[date, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.closed_at):
        latest[entry.billing_period] = entry
    return {period for period, entry in latest.items() if entry.action == "close"}


def next_entry(entries: Sequence[Entry], wanted: Entry) -> Entry:
    """The same, later than all that is known of its month: the latest entry holds, whatever a clock said."""
    known = [entry.closed_at for entry in entries if entry.billing_period == wanted.billing_period]
    at = max([wanted.closed_at, *(each + timedelta(seconds=1) for each in known)]).replace(microsecond=0)
    return Entry(wanted.billing_period, wanted.action, at, wanted.closed_by, wanted.reason)


def add_entry(file: Path, entry: Entry) -> None:
    """Add a line. What is there stays as it is; a crash leaves the file without the line, never half of it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        packaged = next((project_dir() / "seeds").rglob(LEDGER))
        before = packaged.read_text(encoding="utf-8-sig")
    else:
        before = file.read_text(encoding="utf-8-sig")
    header = [name.strip() for name in next(csv.reader([before.splitlines()[0]]))]
    line = io.StringIO()
    csv.DictWriter(line, header, lineterminator="\n").writerow(dict(zip(COLUMNS, _texts(entry), strict=True)))
    partial = file.with_suffix(".csv.partial")
    partial.write_text(before.rstrip("\n") + "\n" + line.getvalue(), encoding="utf-8", newline="")
    partial.replace(file)


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
    return Entry(period, "close" if action == "close" else "reopen", at, row["closed_by"], row["reason"])


def _texts(entry: Entry) -> tuple[str, ...]:
    return tuple(str(value) for value in astuple(entry))
