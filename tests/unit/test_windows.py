"""Windows: nothing is asked for twice in a run, nothing is left out, nothing is replaced by less than itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_spend.windows import LoadedWindow, Window, in_force, plan

SETTLE, LOOK_BACK = timedelta(minutes=15), timedelta(hours=24)
START = datetime(2026, 11, 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}")


def window(start: str, end: str) -> Window:
    return Window(at(start), at(end))


def loaded(start: str, end: str, asked_at: str) -> LoadedWindow:
    return LoadedWindow(window(start, end), at(asked_at), 100)


def planned(known: list[LoadedWindow], since: str, now: str, *, again: bool = False) -> list[Window]:
    return plan(known, at(since), at(now), settle=SETTLE, look_back=(LOOK_BACK,), again=again)


def test_the_first_plan_goes_day_by_day_to_the_last_settled_minute() -> None:
    assert planned([], "01T06:00", "03T10:20:30") == [
        window("01T06:00", "02"),
        window("02", "03"),
        window("03", "03T10:05"),
    ]


def test_what_is_loaded_and_may_still_change_is_left_for_later() -> None:
    known = [loaded("03", "03T10:05", "03T10:20")]
    assert planned(known, "03", "03T11:20") == [window("03T10:05", "03T11:05")]


def test_days_gone_by_are_asked_for_again_and_no_others() -> None:
    known = [loaded("01", "02", "02T09"), loaded("02", "03", "04T09"), loaded("03", "04", "04T09")]
    limits = {"settle": SETTLE, "look_back": (LOOK_BACK,), "before": at("03")}
    assert plan(known, at("02"), at("04T10"), again=True, **limits) == [window("02", "03")]
    assert plan(known[:1], at("02"), at("04T10"), **limits) == [window("02", "03")]
    assert plan(known, at("02"), at("04T10"), **limits) == []


def test_a_window_is_asked_for_once_more_when_its_late_rows_are_in() -> None:
    known = [loaded("03", "03T10:05", "03T10:20"), loaded("03T10:05", "04", "04T00:15")]
    assert planned(known, "03", "04T10:04") == [window("04", "04T09:49")]
    assert planned(known, "03", "04T10:05") == [window("03", "03T10:05"), window("04", "04T09:50")]
    again = [*known, loaded("03", "03T10:05", "04T10:05"), loaded("04", "04T09:50", "04T10:05")]
    assert planned(again, "03", "04T10:10") == [window("04T09:50", "04T09:55")]


def test_a_window_that_could_be_forgotten_by_its_log_is_not_asked_for_again() -> None:
    known = [loaded("03", "04", "04T01:00")]
    assert planned(known, "03", "11T23:00")[0] == window("03", "04")
    assert planned(known, "03", "13T00:00")[0] == window("04", "05")


def test_a_source_that_forgets_nothing_is_asked_again_however_late() -> None:
    known, options = [loaded("03", "04", "04T01:00")], {"settle": SETTLE, "look_back": (LOOK_BACK,), "forgets": False}
    assert plan(known, at("03"), at("28"), **options)[0] == window("03", "04")
    assert plan([loaded("03", "04", "05T00:00")], at("03"), at("28"), **options)[0] == window("04", "05")


def test_a_window_is_asked_for_again_at_each_age() -> None:
    def due(asked_at: str, now: str) -> bool:
        ages = (timedelta(days=1), timedelta(days=3))
        windows = plan([loaded("03", "04", asked_at)], at("03"), at(now), settle=SETTLE, look_back=ages)
        return window("03", "04") in windows

    assert [due("04T01:00", now) for now in ("04T23:59", "05", "07")] == [False, True, True]
    assert [due("05T01:00", now) for now in ("06T23:59", "07")] == [False, True]
    assert not due("07", "08")


def test_a_day_is_asked_for_when_it_is_over() -> None:
    options = {"settle": SETTLE, "look_back": (LOOK_BACK,), "whole_days": True}
    assert plan([], at("01"), at("03T00:14"), **options) == [window("01", "02")]
    assert plan([], at("01"), at("03T00:15"), **options) == [window("01", "02"), window("02", "03")]


def test_a_window_with_rows_that_changed_since_is_asked_for_again() -> None:
    known = [loaded("01", "02", "03"), loaded("02", "03", "03T00:15")]
    for changed, expected in [("02T23:59", []), ("03", [window("01", "02")])]:
        options = {"settle": SETTLE, "look_back": (), "changed": {at("01").date(): at(changed)}}
        assert plan(known, at("01"), at("03T00:15"), **options) == expected


def test_a_gap_is_filled() -> None:
    known = [loaded("01", "02", "03"), loaded("03", "03T12:00", "04T12:00")]
    assert planned(known, "01", "03T12:15") == [window("02", "03")]


def test_again_asks_for_what_is_loaded() -> None:
    known = [loaded("01", "02", "03"), loaded("02", "02T12:00", "04"), loaded("02T12:00", "03", "04")]
    assert planned(known, "02", "03T00:15") == []
    assert planned(known, "02", "03T00:15", again=True) == [window("02", "03")]


def test_a_window_that_is_asked_for_again_stays_whole() -> None:
    known = [loaded("01T12:00", "02T12:00", "03")]  # as another version may have cut
    assert planned(known, "01", "03T00:15", again=True) == [window("01", "03")]


def test_windows_in_a_later_one_are_not_in_force() -> None:
    pieces = [loaded("03", "03T10:00", "03T11:00"), loaded("03T10:00", "04", "04T01:00"), loaded("02", "03", "03T01")]
    whole = loaded("03", "04", "05")
    assert in_force([*pieces, whole]) == [pieces[2], whole] or in_force([*pieces, whole]) == [whole, pieces[2]]
    assert whole in in_force([whole, *pieces])


@pytest.mark.parametrize(("start", "end"), [("01", "01"), ("02", "01"), ("01", "02T00:00+00:00")])
def test_no_window(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="no window"):
        window(start, end)


@given(st.integers(0, 10_000), st.integers(2, 86_400_000))
def test_halves_make_up_the_whole(offset: int, length: int) -> None:
    start = START + timedelta(milliseconds=offset)
    whole = Window(start, start + timedelta(milliseconds=length))
    first, second = whole.halves() or (None, None)
    assert first and second
    assert (first.start, first.end, second.end) == (whole.start, second.start, whole.end)
    assert first.end.microsecond % 1000 == 0


def test_a_millisecond_has_no_halves() -> None:
    assert Window(START, START + timedelta(milliseconds=1)).halves() is None


@given(st.lists(st.tuples(st.integers(1, 5000), st.booleans()), min_size=1, max_size=12), st.integers(0, 20_000))
def test_runs_at_any_times_leave_no_gap_and_replace_whole_windows(runs: list[tuple[int, bool]], first: int) -> None:
    """Runs after some minutes each; some are killed when half of their windows are loaded."""
    now, known = START + timedelta(minutes=first), []
    since = START
    for minutes, is_killed in [*runs, (1, False)]:
        now += timedelta(minutes=minutes)
        windows = plan(known, since, now, settle=SETTLE, look_back=(LOOK_BACK,))
        until = (now - SETTLE).replace(second=0, microsecond=0)
        assert windows == sorted(windows)
        assert all(one.end <= other.start for one, other in pairwise(windows))
        for each in windows:
            assert each.end <= until
            assert each.start.date() == (each.end - timedelta(microseconds=1)).date()
            for before in in_force(known):
                assert each.contains(before.window) or not each.overlaps(before.window)
        done = windows[: len(windows) // 2] if is_killed else windows
        known += [LoadedWindow(each, now, 1) for each in done]
    spans = sorted(each.window for each in in_force(known))
    if until > since:
        assert (spans[0].start, spans[-1].end) == (since, until)
        assert all(one.end == other.start for one, other in pairwise(spans))
    assert plan(known, since, now, settle=SETTLE, look_back=(LOOK_BACK,)) == []
