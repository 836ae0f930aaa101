"""Write the report of a month into a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from llm_spend.destinations.base import Destination
from llm_spend.export.files import write_files
from llm_spend.report.page import limits, page
from llm_spend.report.read import read


@dataclass(frozen=True)
class Report:
    """The file that was written, its month and its size; `notes` say what it leaves out to stay small."""

    file: Path
    month: date
    size_bytes: int
    notes: tuple[str, ...]


def write_report(
    destination: Destination,
    file: Path,
    month: date | None = None,
    *,
    seeds: Path | None = None,
    billing_timezone: str = "UTC",
    now: datetime | None = None,
) -> Report:
    """Write the report of the month that `month` lies in, or of the latest with usage; `now` is a naive UTC time.

    What words mean is said by the seeds of a folder, and by those of the package where it has none of that name; in
    which zone the months of statements are, by the setting `billing_timezone`.

    Raises UserError when there is nothing to report, and when the file can't be written.
    """
    moment = now or datetime.now(UTC).replace(tzinfo=None)
    found = read(destination, month, now=moment, seeds=seeds, billing_timezone=billing_timezone)
    content = page(found)
    (written,) = write_files(file.parent, {file.name: content})
    return Report(written, found.month, len(content), limits(found))
