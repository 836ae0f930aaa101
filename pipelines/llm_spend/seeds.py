"""The user's own seed files: checked before dbt sees them, in the column order that the tables have.

dbt fills an existing seed table by position and casts text later: another column order would move values into the
wrong columns, and a date that is none would stop a model far from the file it stands in.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import InvalidOperation
from pathlib import Path
from typing import TypeVar

from llm_spend.errors import UserError
from llm_spend.zones import named_zone

_DATES = ("valid_from", "valid_to", "invoice_date", "since", "retired")
# Prices change at an hour of a day; who belongs to which team does not.
_WITH_INSTANTS = "prices"


# Columns that came after the first version of a seed: a file without them is as good, and has '' there.
LATER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "period_close.csv": ("time_zone",),
    "provider_invoices.csv": ("cost_type",),
    "quota_rules.csv": ("conditions", "overrides", "time_zone", "enforcement", "alert_thresholds"),
}

_Row = TypeVar("_Row")


def seed_place(folder: Path, below: str, name: str) -> Path:
    """Where a build would look for the file of that name; a folder below that of the seeds when there is none."""
    return next(iter(sorted(folder.rglob(name))), folder / below / name)


def parsed_rows(
    path: Path, columns: Sequence[str], parse: Callable[[dict[str, str]], _Row], *, remedy: str = "Correct that line."
) -> list[_Row]:
    """The rows of a seed file, in its order. Raises UserError that names file and line of what `parse` can't read."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or ()
        lacking = [name for name in LATER_COLUMNS.get(path.name, ()) if name not in header]
        if sorted([*header, *lacking]) != sorted(columns):
            raise UserError(f"{path} has the columns {', '.join(header)}.", f"They must be {', '.join(columns)}.")
        rows = []
        for row in reader:
            try:
                rows.append(parse({**row, **dict.fromkeys(lacking, "")}))
            # A line with too few values has None in place of a text.
            except (ValueError, TypeError, AttributeError, InvalidOperation) as error:
                raise UserError(f"{path}, line {reader.line_num}, can't be read: {error}.", remedy) from error
        return rows


def find_seeds(folder: Path, project: Path) -> dict[Path, bytes]:
    """Content of every seed file below `folder`, by the place in the dbt project that it replaces.

    Raises UserError for a folder that does not exist, a file that is no seed, or a file that is wrong.
    """
    if not folder.is_dir():
        raise UserError(f"The seeds folder {folder} does not exist.", "Give a folder with --seeds.")
    packaged = {path.name: path for path in (project / "seeds").rglob("*.csv")}
    found = sorted(folder.rglob("*.csv"))
    unknown = [path.name for path in found if path.name not in packaged]
    if unknown:
        known = ", ".join(sorted(packaged))
        raise UserError(f"{folder} has files that are no seeds: {', '.join(unknown)}.", f"Known: {known}.")
    return {packaged[path.name].relative_to(project): read_seed(path, packaged[path.name]) for path in found}


def read_seed(path: Path, packaged: Path) -> bytes:
    """A seed file with the columns of the packaged one, in its order.

    Raises UserError that names file, line and column.
    """
    columns = _rows(packaged)[0]
    header, *rows = _rows(path) or [[]]
    lacking = [name for name in LATER_COLUMNS.get(packaged.name, ()) if name not in header]
    if sorted([*header, *lacking]) != sorted(columns):
        raise UserError(f"{path} has the columns {', '.join(header)}.", f"They must be {', '.join(columns)}.")
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} values for {len(header)} columns.", "Correct that line.")
        values = dict(zip(header, row, strict=True))
        for name in _DATES:
            text = values.get(name, "").strip()
            if text and not (_is_date(text) or (packaged.parent.name == _WITH_INSTANTS and _is_instant(text))):
                raise UserError(f"{path}, line {line}: {name} is {values[name]!r}.", "Write it as YYYY-MM-DD.")
        try:
            named_zone(values.get("time_zone", ""))
        except ValueError as error:
            raise UserError(f"{path}, line {line}: {error}.", "Correct that line.") from error
        writer.writerow([values.get(name, "") for name in columns])
    return written.getvalue().encode()


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [[value.strip() for value in row] if n == 0 else row for n, row in enumerate(csv.reader(file))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read: {error}.", "It must be CSV in UTF-8.") from error


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_instant(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return True
