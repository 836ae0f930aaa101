"""Pages of rows in the order of their time, from APIs that have numbers of pages or rows but no cursor.

Such numbers shift when a row comes or goes while one reads, and then rows are lost between two pages. Times don't
shift: each page is asked for from the time of the last row of the page before it, and what both hold is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from llm_spend.readers.api.pages import Page, by_token, incomplete, spool_pages
from llm_spend.readers.api.spool import Spool

Row = Mapping[str, Any]


class Position(NamedTuple):
    """Where a page begins: behind the first `skipped` rows of those from `moment` (naive UTC) on."""

    moment: datetime
    skipped: int = 0


class Answer(NamedTuple):
    """Rows of a page, in the order of their time; `total`: how many there are from its moment on, if it is known."""

    rows: Sequence[Row]
    total: int | None = None


def moment_of(text: Any) -> datetime | None:
    """A naive UTC time from ISO text, in which a missing offset means UTC; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def spool_onward(
    spool: Spool,
    ask: Callable[[Position], Answer],
    start: datetime,
    *,
    source: str,
    time_field: str,
    identity: Callable[[Row], Hashable],
    tick: timedelta,
    shape: Callable[[Sequence[Row]], Sequence[Row]] = lambda rows: rows,
) -> int:
    """Write all rows from `start` on; how many there were.

    `tick`: how finely the API compares times. `identity`: equal for two rows that are the same. `shape`: what becomes
    of the rows of a page before they are written. Raises UserError when rows are not in the order of their time or
    before the moment that was asked for, and when a page comes again.
    """
    before: set[Hashable] = set()
    fullest = 0

    def fetch(position: Position | None) -> Page:
        nonlocal before, fullest
        position = position or Position(start)
        rows, total = ask(position)
        moments = _moments(rows, position, source, time_field, tick)
        found = {identity(row): row for row in rows}
        new = [row for key, row in found.items() if key not in before]
        before, fullest = set(found), max(fullest, len(rows))
        if rows and not new and position.skipped:
            raise incomplete(source, "a page has the rows of a page before it")
        # Known rows alone are the end, unless they fill a page: how many fit in one is not always what was asked for.
        if total is None:
            is_last = not rows or (not new and len(rows) < fullest)
        else:
            is_last = not rows or total <= position.skipped + len(rows)
        following = None if is_last else _following(position, moments[-1], len(rows), tick)
        return {"rows": shape(new), "next": following}

    return spool_pages(spool, fetch, by_token("next"), source=source, rows_at=("rows",))


def _moments(rows: Sequence[Row], position: Position, source: str, time_field: str, tick: timedelta) -> list[datetime]:
    moments = []
    for row in rows:
        moment = moment_of(row.get(time_field)) if isinstance(row, Mapping) else None
        if moment is None:
            raise incomplete(source, f"a row has no time in {time_field}")
        moments.append(moment)
    if moments and min(moments) < position.moment - tick:
        raise incomplete(source, "there are rows before the time that was asked for, so the filter is not applied")
    if any(one > other for one, other in pairwise(moments)):
        raise incomplete(source, f"the rows are not in the order of {time_field}")
    return moments


def _following(position: Position, last: datetime, count: int, tick: timedelta) -> Position:
    """The position of the next page, for a page of `count` rows that ends with a row of the time `last`."""
    moment = last - (last - datetime.min) % tick
    return Position(moment) if moment > position.moment else Position(position.moment, position.skipped + count)
