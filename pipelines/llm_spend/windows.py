"""Which windows of time an API is to be asked for. Pure functions; times are naive and mean UTC; ends are not included.

A window lies within one UTC day. Of the windows that were loaded, one that lies within a later loaded one is
superseded: its rows count no more. So a window that is asked for again must contain what it replaces, and no plan cuts
through a window that it asks for again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from types import MappingProxyType

_SMALLEST = timedelta(milliseconds=1)
# A log that is kept for some days only must not be asked for what it has forgotten.
_ASKED_AGAIN_WITHIN = timedelta(days=7)


@dataclass(frozen=True, order=True)
class Window:
    """From `start` until before `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo or self.end.tzinfo or self.start >= self.end:
            raise ValueError(f"no window of naive times: {self.start} to {self.end}")

    def __str__(self) -> str:
        return f"{self.start.isoformat(timespec='milliseconds')}Z to {self.end.isoformat(timespec='milliseconds')}Z"

    def contains(self, other: Window) -> bool:
        """Whether every moment of another window is in this one."""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Window) -> bool:
        """Whether both have a moment in common."""
        return self.start < other.end and other.start < self.end

    def halves(self) -> tuple[Window, Window] | None:
        """Two windows that make up this one, cut at a millisecond; None when it is too short."""
        middle = self.start + (self.end - self.start) // 2
        middle -= timedelta(microseconds=middle.microsecond % 1000)
        if middle - self.start < _SMALLEST:
            return None
        return Window(self.start, middle), Window(middle, self.end)


@dataclass(frozen=True)
class LoadedWindow:
    """A window that was loaded: when the source was asked, and how much it answered."""

    window: Window
    asked_at: datetime
    size_bytes: int


def in_force(loaded: Iterable[LoadedWindow]) -> list[LoadedWindow]:
    """What counts of the windows that were loaded, given in the order in which they were: all but the superseded."""
    by_day: dict[date, list[LoadedWindow]] = {}
    for each in loaded:
        day = each.window.start.date()
        others = [before for before in by_day.get(day, []) if not each.window.contains(before.window)]
        by_day[day] = [*others, each]
    return [each for windows in by_day.values() for each in windows]


def plan(
    loaded: Sequence[LoadedWindow],
    since: datetime,
    now: datetime,
    *,
    settle: timedelta,
    look_back: tuple[timedelta, ...],
    before: datetime = datetime.max,
    again: bool = False,
    whole_days: bool = False,
    forgets: bool = True,
    changed: Mapping[date, datetime] = MappingProxyType({}),
) -> list[Window]:
    """The windows to ask for, oldest first: what was never loaded from `since` on, and what may have changed.

    `before`: a midnight, from which on nothing is asked for. The last `settle` is left for the next time: logs arrive
    late. A window is asked for once more when each of `look_back` has passed since its end, and never after that;
    `again` asks for everything from `since` on whatever was loaded. `whole_days`: a day is asked for when it is over.
    `forgets`: the source may have forgotten a window that is a week older than that, so it is not asked for once more.
    `changed`: by day, when a row of it was last changed, as far as the source tells: what was asked for before that is
    asked for again.
    """
    until = (now - settle).replace(second=0, microsecond=0)
    if whole_days:
        until = datetime.combine(until.date(), time())
    known = in_force(loaded)
    due = {
        each.window
        for each in known
        if since < each.window.end
        and each.window.start < before
        and (again or _is_due(each, now, look_back, forgets) or _is_changed(each, changed))
    }
    kept = [each.window for each in known if each.window not in due]
    wanted = [*_gaps(kept, since, min(until, before)), *due]
    return [window for span in _joined(wanted) for window in _cut(span, due)]


def _is_due(loaded: LoadedWindow, now: datetime, look_back: tuple[timedelta, ...], forgets: bool) -> bool:
    ages = [loaded.window.end + each for each in look_back]
    return any(loaded.asked_at < age <= now and (now < age + _ASKED_AGAIN_WITHIN or not forgets) for age in ages)


def _is_changed(loaded: LoadedWindow, changed: Mapping[date, datetime]) -> bool:
    last = changed.get(loaded.window.start.date())
    return last is not None and loaded.asked_at <= last


def _gaps(covered: Iterable[Window], since: datetime, until: datetime) -> list[Window]:
    """What of `since` to `until` no window covers."""
    gaps = []
    for window in sorted(covered):
        if since < min(window.start, until):
            gaps.append(Window(since, min(window.start, until)))
        since = max(since, window.end)
    if since < until:
        gaps.append(Window(since, until))
    return gaps


def _joined(windows: Iterable[Window]) -> list[Window]:
    """The same moments in as few windows as they take."""
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return joined


def _cut(span: Window, whole: Collection[Window]) -> list[Window]:
    """A span by UTC days; no cut goes through one of the windows that are to stay whole."""
    midnight = datetime.combine(span.start.date(), time()) + timedelta(days=1)
    cuts = [span.start]
    while midnight < span.end:
        if not any(window.start < midnight < window.end for window in whole):
            cuts.append(midnight)
        midnight += timedelta(days=1)
    return [Window(start, end) for start, end in pairwise([*cuts, span.end])]
