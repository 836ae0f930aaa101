"""Days, and of older usage weeks and months: the periods that usage is added up in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from llm_spend.months import back, last_day, month_of


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
        # Warehouses don't agree on the day that a week begins with: each week is named.
        weeks = " ".join(
            f"when usage_date >= cast('{start}' as date) then cast('{start}' as date)" for start in self._weeks()
        )
        return (
            f"case when usage_date >= cast('{self._days_from}' as date) then usage_date {weeks}"
            " else cast(date_trunc('month', usage_date) as date) end"
        )

    def _weeks(self) -> list[date]:
        """The first day of each week, the last one first."""
        found = []
        end = self._days_from - timedelta(days=1)
        while end >= self._weeks_from:
            found.append(max(end - timedelta(days=end.weekday()), month_of(end)))
            end = found[-1] - timedelta(days=1)
        return found

    @property
    def _days_from(self) -> date:
        return back(self.month, self.daily - 1)

    @property
    def _weeks_from(self) -> date:
        return back(self._days_from, self.weekly)


def inside(first: date, month: date) -> str:
    """SQL for the dates from `first` to the end of the month."""
    return f"usage_date >= cast('{first}' as date) and usage_date <= cast('{last_day(month)}' as date)"
