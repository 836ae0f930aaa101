"""A log whose times are corrected: requests move to other days, one of which they leave empty.

    first   the 1st: other; the 3rd: a, and at first v; the 4th: alone; the 5th: v
    second  z comes to the 3rd, and alone moves to the 6th

So the second build makes the 3rd, the 4th and the 6th, and must know that v stands on the 5th.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from llm_spend.destinations import Destination
from llm_spend.settings import SourceSettings

# Before all else that the organisation logged, so that no other load touches these days.
NOT_BUILT, BUILT, EMPTIED, MOVED_FROM, MOVED_TO = (date(2026, 7, day) for day in (1, 3, 4, 5, 6))

MAPPING = """\
source: InHouse
columns: {source_record_id: id, started_at: ts, input_tokens: ctx, output_tokens: gen}
defaults: {provider: openai, raw_model: gpt-4o}
metadata: [squad]
"""
FILES = {
    "1.csv": [
        ("v", "03 10:00:00", 20),
        ("a", "03 11:00:00", 10),
        ("alone", "04 09:00:00", 7),
        ("other", "01 09:00:00", 1),
        ("v", "05 10:00:00", 40),
    ],
    "2.csv": [("z", "03 12:00:00", 11), ("alone", "06 09:00:00", 8)],
}
# Id, date and output tokens.
REQUESTS = {
    ("a", BUILT, 10),
    ("alone", MOVED_TO, 8),
    ("other", NOT_BUILT, 1),
    ("v", MOVED_FROM, 40),
    ("z", BUILT, 11),
}
WRONG = 1_000


def write_log(folder: Path) -> tuple[SourceSettings, SourceSettings]:
    """The log as it is at first, and later."""
    folder.mkdir()
    (folder / "mapping.yml").write_text(MAPPING, encoding="utf-8")
    for name, rows in FILES.items():
        lines = [f"{key},2026-07-{at},100,{tokens},ads\n" for key, at, tokens in rows]
        (folder / name).write_text("id,ts,ctx,gen,squad\n" + "".join(lines), encoding="utf-8")
    first, later = (
        SourceSettings(source="generic", path=f"{folder}/{files}", mapping=folder / "mapping.yml")
        for files in ("1.csv", "*.csv")
    )
    return first, later


def built_of_two(destination: Destination, build: Callable[[], None]) -> list[date]:
    """Which of two days, an untouched one and another, a build makes: it mends a number that was wrong there."""
    table = f"{destination.schemas.public}.llm_usage_by_team_daily"
    wrong = f"usage_date in (date '{NOT_BUILT}', date '{BUILT}') and output_tokens > {WRONG}"
    destination.execute(
        f"update {table} set output_tokens = output_tokens + {WRONG} "
        f"where usage_date in (date '{NOT_BUILT}', date '{BUILT}')"
    )
    build()
    left = {day for (day,) in destination.query(f"select usage_date from {table} where {wrong}")}
    destination.execute(f"update {table} set output_tokens = output_tokens - {WRONG} where {wrong}")
    return [day for day in (NOT_BUILT, BUILT) if day not in left]
