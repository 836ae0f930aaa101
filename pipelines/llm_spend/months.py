"""Months of the calendar, each by its first day."""

from __future__ import annotations

from calendar import monthrange
from datetime import date


def month_of(day: date) -> date:
    """The month that the day lies in."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """The month after."""
    return back(month, -1)


def back(month: date, months: int) -> date:
    """The month that many before."""
    place = month.year * 12 + month.month - 1 - months
    return date(place // 12, place % 12 + 1, 1)


def last_day(day: date) -> date:
    """The last day of the month that the day lies in."""
    return day.replace(day=monthrange(day.year, day.month)[1])
