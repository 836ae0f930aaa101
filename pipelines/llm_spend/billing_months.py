"""The hours of a chargeback month: from midnight to midnight in its time zone, as int_month_starts has them.

Closed months keep the hours that they were closed with. So a month that follows a closed one begins where that one
ended, in whatever zone open months are by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from llm_spend.close_ledger import Entry
from llm_spend.months import back, next_month
from llm_spend.windows import Window
from llm_spend.zones import midnight


def hours(month: date, zone: str, closings: Mapping[date, Entry]) -> Window:
    """The month that begins on the day `month`, if it is, or were now, one of `zone`; `closings` are those in force."""
    return Window(_start(month, zone, closings), _start(next_month(month), zone, closings))


def _start(month: date, zone: str, closings: Mapping[date, Entry]) -> datetime:
    """Of two months that meet, the one that was closed first decides."""
    closed = [closings[each] for each in (back(month, 1), month) if each in closings]
    first = min(closed, key=lambda entry: entry.closed_at, default=None)
    return midnight(month, first.time_zone if first else zone)
