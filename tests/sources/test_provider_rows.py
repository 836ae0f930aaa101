"""What rows of several providers are made with, without any server."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.memory import Memory
from llm_spend.sources.provider_rows import assert_distinct, day_bucket, is_exceeded, numbered, rests, summed


def test_a_bucket_is_a_utc_day_that_settles_when_it_is_not_asked_for_again() -> None:
    assert day_bucket(date(2026, 12, 31), timedelta(days=3)) == {
        "bucket_start": "2026-12-31T00:00:00.000Z",
        "bucket_end": "2027-01-01T00:00:00.000Z",
        "settles_at": "2027-01-04T00:00:00.000Z",
    }


def test_what_no_part_has_is_the_difference_in_each_group() -> None:
    whole = [{"model": "a", "cost": 0.3, "calls": 3}, {"model": "b", "cost": 1, "calls": 1}]
    parts = [{"model": "a", "cost": 0.1, "calls": 1}, {"model": "a", "cost": 0.2, "calls": 1}]
    assert rests(whole, parts, ["model"], ["cost", "calls"]) == [
        {"model": "a", "cost": 0, "calls": 1},
        {"model": "b", "cost": 1, "calls": 1},
    ]
    assert rests(whole, whole, ["model"], ["cost", "calls"]) == []


def test_how_a_computer_adds_is_no_rest_and_no_excess() -> None:
    whole = [{"cost": 0.1 + 0.2}]
    parts = [{"cost": Decimal("0.1")}, {"cost": "0.2"}]
    assert rests(whole, parts, [], ["cost"]) == []
    assert rests([{"cost": Decimal("12345.678900000001")}], [{"cost": Decimal("12345.6789")}], [], ["cost"]) == []
    assert rests([{"cost": Decimal("0.00000001")}], [], [], ["cost"]) == [{"cost": Decimal("0.00000001")}]
    assert not is_exceeded([{"cost": Decimal("-1e-12")}], ["cost"])
    assert is_exceeded([{"cost": Decimal("-0.01")}], ["cost"])


def test_parts_of_a_group_that_the_whole_has_not_are_an_excess() -> None:
    left = rests([], [{"model": "a", "calls": 2}], ["model"], ["calls"])
    assert left == [{"model": "a", "calls": -2}]
    assert is_exceeded(left, ["calls"])


def test_a_sum_with_something_unknown_is_unknown_and_that_of_nothing_is_zero() -> None:
    assert summed([{"calls": 1}, {"calls": None}], "calls") is None
    assert summed([], "calls") == 0
    assert f"{summed([{'calls': 100}, {'calls': '50'}], 'calls'):f}" == "150"
    assert rests([{"cost": None, "calls": 1}], [], [], ["cost", "calls"]) == [{"cost": None, "calls": 1}]


def test_rows_with_the_same_dimensions_are_numbered_or_refused() -> None:
    rows = [{"model": "a", "amount": 1}, {"model": "b", "amount": 1}, {"model": "a", "amount": 2}]
    assert [row["occurrence"] for row in numbered(rows)] == [0, 0, 1]
    with pytest.raises(UserError, match="two rows have the same dimensions"):
        assert_distinct(rows, "the list")
    assert_distinct(rows[:2], "the list")


def test_what_was_asked_for_is_kept_until_there_is_too_much() -> None:
    asked = list[str]()

    def ask(name: str) -> str:
        asked.append(name)
        return name

    memory = Memory(most=40)
    for name in ("a", "a", "b", "c", "c", "a"):
        assert memory.get(name, lambda name=name: ask(name)) == name
    assert asked == ["a", "b", "c", "a"]
