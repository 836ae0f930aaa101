"""Which windows are recent enough to speak of, so that a first run does not send a year of history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

_DAY = timedelta(days=1)
_SHORT = {"minute", "hour", "day"}


def cutoffs(units: Iterable[str], now: datetime, max_age: timedelta) -> Mapping[str, datetime]:
    """For each unit (`tokens_per_day`): its windows that end after this time are recent. All times are naive UTC."""
    return {unit: _cutoff(unit.rpartition("_per_")[2], now, max_age) for unit in units}


def _cutoff(window: str, now: datetime, max_age: timedelta) -> datetime:
    """Short windows by their age; of the longer ones the current and the previous.

    A window of a rule's own zone begins up to 14 hours before or after that of UTC: these have a day of grace.
    """
    if window in _SHORT:
        return now - max_age
    if window.endswith("d") and window[:-1].isdigit():
        return now - timedelta(days=int(window[:-1])) - _DAY
    start = (now - _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case "week":
            start -= timedelta(days=start.weekday())
        case "month":
            start = start.replace(day=1)
        case "quarter":
            start = start.replace(month=(start.month - 1) // 3 * 3 + 1, day=1)
        case "lifetime":  # ends when the rule does
            return now - max_age
        case _:
            raise ValueError(f"no quota has a window of a {window}")
    return start - _DAY
