"""Days, and of older usage weeks and months: the periods that usage is added up in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from llm_spend.months import back, last_day


@dataclass(frozen=True)
class Periods:
    """Days in the last `daily` months, weeks in the `weekly` months before, then months.

    A week ends with its month: periods of any kind add up to months exactly, and each lies in one of a coarser kind.
    """

    month: date
    daily: int
    weekly: int = 0

    def end(self, start: date) -> date:
        """The last day of the period that begins on this day."""
        if start >= self._days_from:
            return start
        end = last_day(start)
        return end if start < self._weeks_from else min(end, start + timedelta(days=6 - start.weekday()))

    def sql(self) -> str:
        """The first day of the period that `usage_date` lies in."""
        of_month = "cast(date_trunc('month', usage_date) as date)"
        of_week = f"greatest(cast(date_trunc('week', usage_date) as date), {of_month})"
        return (
            f"case when usage_date >= cast('{self._days_from}' as date) then usage_date"
            f" when usage_date >= cast('{self._weeks_from}' as date) then {of_week} else {of_month} end"
        )

    @property
    def _days_from(self) -> date:
        return back(self.month, self.daily - 1)

    @property
    def _weeks_from(self) -> date:
        return back(self._days_from, self.weekly)


def inside(first: date, month: date) -> str:
    """SQL for the dates from `first` to the end of the month."""
    return f"usage_date >= cast('{first}' as date) and usage_date <= cast('{last_day(month)}' as date)"
