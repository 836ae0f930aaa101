"""Days asked for ahead: who wants one day after the other gets them from a few questions, and memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from llm_spend.windows import Window

Row = Mapping[str, Any]

_DAY = timedelta(days=1)
_ROWS_KEPT = 20_000
_MORE_DAYS = 7
"""How many times as many days as the last question had: a quiet day does not tell what a week is like."""


class DaysAhead:
    """Rows of days, asked for in spans. A day that follows on the one before it brings the days after it along.

    `ask`: the rows of a span of whole days, by day. `end`: up to which moment days may be asked for together with one
    that starts at a moment. `longest`: how many days one question may have. How many are asked for grows from one,
    and follows from the rows of the busiest of the last ones, so that about `rows_kept` are kept.
    """

    def __init__(
        self,
        ask: Callable[[Window], Mapping[date, Sequence[Row]]],
        end: Callable[[datetime], datetime],
        longest: int,
        rows_kept: int = _ROWS_KEPT,
    ) -> None:
        self._ask = ask
        self._end = end
        self._longest = longest
        self._rows_kept = rows_kept
        self._kept: dict[date, Sequence[Row]] = {}
        self._rows_a_day = 0
        self._days = 1
        self._last_end: datetime | None = None

    def rows(self, window: Window) -> Sequence[Row]:
        """The rows of a day. They are given once: the second time the day is asked for anew."""
        day = window.start.date()
        if day not in self._kept:
            self._fill(window)
        self._last_end = window.end
        return self._kept.pop(day, ())

    def _fill(self, window: Window) -> None:
        days = 1
        if window.start == self._last_end:
            days = min(self._longest, self._days * _MORE_DAYS, self._rows_kept // max(1, self._rows_a_day))
        end = max(window.end, min(window.start + days * _DAY, self._end(window.start)))
        found = self._ask(Window(window.start, end))
        self._days = max(1, (end - window.start) // _DAY)
        self._kept = {
            day: found.get(day, ()) for day in (window.start.date() + number * _DAY for number in range(self._days))
        }
        self._rows_a_day = max(map(len, found.values()), default=0)
