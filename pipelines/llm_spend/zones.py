"""Time zones by their IANA names, and when a day begins in one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


def named_zone(text: str) -> str:
    """A time zone as it is written; UTC when nothing is. Raises ValueError for what is none."""
    if text.strip().upper() in ("", "UTC"):
        return "UTC"
    if text.strip() not in zone_names():
        raise ValueError(f"{text!r} is no time zone; write an IANA name, such as Europe/Berlin")
    return text.strip()


def midnight(day: date, zone: str) -> datetime:
    """When a day begins in a zone, in UTC: the first of two midnights; the moment after it where clocks skip it."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


@cache
def zone_names() -> set[str]:
    """All IANA names; zoneinfo looks through a folder each time that it is asked."""
    return available_timezones()
