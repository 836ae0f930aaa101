"""Forecasts: exact where the arithmetic is, refused where nobody can know, and as often right as they say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from math import exp
from random import Random

import pytest

from llm_spend.destinations import DuckDb
from tests.conftest import Demo, query
from tests.dbt.member_days import FORECAST, Days, Use, sql_of

pytestmark = pytest.mark.slow

MONDAY = date(2026, 1, 5)
TOTAL = "from llm_spend_forecast where member_type = 'total' order by horizon_months"


@pytest.fixture(scope="module")
def sql(demo: Demo) -> dict[str, str]:
    return sql_of(DuckDb(demo.database).work_dir / "dbt_project" / "target")


def days(first: date, count: int) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range(count))


def workday(day: date) -> bool:
    return day.weekday() < 5


# --- exact ----------------------------------------------------------------------------------------


def test_a_steady_week_goes_on_as_it_was(sql: dict[str, str]) -> None:
    """January to the 15th of April: 10 USD on workdays, 2 USD on the others."""
    found = Days(sql, FORECAST, [Use(day, 10 if workday(day) else 2) for day in days(MONDAY, 101)])
    columns = "billing_period, actual_usd, forecast_usd, lower_usd, upper_usd, monthly_growth_ratio, back_test_mape"
    assert found.rows(f"select {columns} {TOTAL}") == [
        (date(2026, 4, 1), 11 * 10 + 4 * 2, 22 * 10 + 8 * 2, 22 * 10 + 8 * 2, 22 * 10 + 8 * 2, 0, 0),
        (date(2026, 5, 1), 0, *[21 * 10 + 10 * 2] * 3, 0, 0),
        (date(2026, 6, 1), 0, *[22 * 10 + 8 * 2] * 3, 0, 0),
        (date(2026, 7, 1), 0, *[23 * 10 + 8 * 2] * 3, 0, 0),
    ]
    # February is not held back: only 27 days are known before it.
    numbers = "history_days, back_test_months, interval_level, status, reason, as_of, known_to::varchar"
    assert found.rows(f"select distinct {numbers} {TOTAL.partition(' order')[0]}") == [
        (101, 1, Decimal("0.888889"), "forecast", None, date(2026, 4, 15), "2026-04-16 00:00:00")
    ]
    assert found.problems() == []


def test_growth_is_halved_every_four_weeks(sql: dict[str, str]) -> None:
    """8 weeks from Monday, 5 January: 10 USD a day, then 11; the first day to come is 2 March."""
    found = Days(sql, FORECAST, [Use(day, 10 if number < 28 else 11) for number, day in enumerate(days(MONDAY, 56))])
    growth, level, total = Decimal("0.1"), Decimal(11), Decimal(0)
    expected: dict[date, Decimal] = {}
    for number, day in enumerate(days(MONDAY + timedelta(days=56), 140)):
        if number % 28 == 0:
            level = (level * (1 + growth)).quantize(Decimal("0.000001"))
            growth = growth / 2
        expected[day.replace(day=1)] = expected.get(day.replace(day=1), total) + level
    expected[date(2026, 3, 1)] += 11  # the first of March is known
    shown = found.rows(f"select billing_period, forecast_usd, monthly_growth_ratio {TOTAL}")
    assert [(month, forecast) for month, forecast, _ in shown] == [
        (month, expected[month].quantize(Decimal("0.01"))) for month in list(expected)[:4]
    ]
    assert {ratio for _, _, ratio in shown} == {Decimal("0.100000")}


@pytest.mark.parametrize(("before", "after", "growth"), [(1, 10, "0.5"), (10, 1, "-0.5"), (0, 5, "0"), (5, 0, "-0.5")])
def test_growth_is_bounded_and_none_without_an_earlier_part(
    sql: dict[str, str], before: int, after: int, growth: str
) -> None:
    found = Days(
        sql, FORECAST, [Use(day, before if number < 28 else after) for number, day in enumerate(days(MONDAY, 56))]
    )
    assert {row[0] for row in found.rows(f"select monthly_growth_ratio {TOTAL}")} == {Decimal(growth)}


def test_what_had_no_price_before_is_no_growth(sql: dict[str, str]) -> None:
    """24 weeks of two models of 10 USD a day; one has a price for the last seven of them only."""
    uses = [
        Use(day, 10 if model == "m-1" or number >= 17 * 7 else None, model=model)
        for number, day in enumerate(days(MONDAY, 24 * 7))
        for model in ("m-1", "m-2")
    ]
    found = Days(sql, FORECAST, uses)
    columns = "monthly_growth_ratio, unpriced_tokens, has_unpriced_usage, forecast_usd"
    # From the 22nd of June: the eighth week before has no price. 9 days and 31 at 20 USD a day.
    assert found.rows(f"select {columns} {TOTAL} limit 2") == [(0, 7_000, True, 30 * 20), (0, 7_000, True, 31 * 20)]
    # Nor was it growth of the weeks that were judged: 350 USD of four weeks were a forecast of 350, and 560 came.
    assert found.rows("select error_ratio from int_forecast_errors where member_type = 'total'") == [(Decimal("0.6"),)]
    assert found.problems() == []


def test_a_price_that_is_lost_is_no_decline(sql: dict[str, str]) -> None:
    uses = [
        Use(day, 10 if model == "m-1" or number < 70 else None, model=model)
        for number, day in enumerate(days(MONDAY, 84))
        for model in ("m-1", "m-2")
    ]
    found = Days(sql, FORECAST, uses)
    assert found.rows(f"select distinct monthly_growth_ratio, unpriced_tokens {TOTAL.partition(' order')[0]}") == [
        (0, 14_000)
    ]


def test_who_used_next_to_nothing_of_late_has_no_interval(sql: dict[str, str]) -> None:
    uses = [Use(day, cost, customer=each) for day in days(MONDAY, 84) for each, cost in (("c", 10), ("tiny", 0.0001))]
    found = Days(sql, FORECAST, [*uses, *(Use(day, 10, customer="paused") for day in days(MONDAY, 50))])
    columns = "member_id, status, actual_usd, forecast_usd, lower_usd, upper_usd, interval_level"
    rows = f"select {columns} from llm_spend_forecast where member_type = 'customer' and horizon_months = 1 order by 1"
    assert found.rows(rows) == [
        ("c", "forecast", 0, 300, 300, 300, Decimal("0.857143")),
        ("paused", "forecast", 0, 0, None, None, None),
        ("tiny", "forecast", 0, 0, None, None, None),
    ]
    assert found.problems() == []


def test_a_kind_of_member_that_is_missing_is_found(sql: dict[str, str]) -> None:
    found = Days(sql, FORECAST, [Use(day, 10) for day in days(MONDAY, 60)])
    assert found.problems() == []
    found.connection.execute("delete from llm_spend_forecast where member_type = 'customer'")
    assert {row[1] for row in found.problems()} == {"customer"}


def test_a_day_that_is_not_wholly_known_is_estimated_and_not_averaged(sql: dict[str, str]) -> None:
    uses = [Use(day, 10) for day in days(MONDAY, 70)]
    whole = Days(sql, FORECAST, uses)
    partly = Days(sql, FORECAST, [*uses, Use(MONDAY + timedelta(days=70), 1_000)], known_to="2026-03-16 09:30:00")
    columns = "billing_period, actual_usd, forecast_usd, lower_usd, upper_usd"
    assert whole.rows(f"select {columns} {TOTAL}") == partly.rows(f"select {columns} {TOTAL}")
    assert whole.rows(f"select {columns} {TOTAL}")[0] == (date(2026, 3, 1), 150, 310, 310, 310)


def test_days_that_a_source_is_late_with_are_estimated_and_not_nothing(sql: dict[str, str]) -> None:
    """Of the last five days only one of two gateways is loaded."""
    late = MONDAY + timedelta(days=65)
    uses = [Use(day, 10, team=team) for day in days(MONDAY, 70) for team in ("one", "other")]
    columns = "* exclude (as_of, known_to) from llm_spend_forecast order by all"
    found = Days(sql, FORECAST, [use for use in uses if use.team == "one" or use.day < late], slow_to=f"{late} 07:00")
    before = Days(sql, FORECAST, [use for use in uses if use.day < late])
    assert found.rows(f"select {columns}") == before.rows(f"select {columns}") != []
    assert found.rows("select distinct as_of, known_to::varchar from llm_spend_forecast") == [
        (date(2026, 3, 15), "2026-03-11 00:00:00")
    ]


# --- refused --------------------------------------------------------------------------------------


def test_what_nobody_can_know_is_refused_with_the_reason(sql: dict[str, str]) -> None:
    uses = [Use(day, 10, team="old", feature="f") for day in days(MONDAY, 70)]
    uses += [Use(day, 5, team="new", feature="f") for day in days(MONDAY + timedelta(days=29), 41)]
    uses += [Use(day, None, team="unpriced", feature="f", model="unknown") for day in days(MONDAY, 70)]
    found = Days(sql, FORECAST, uses)
    columns = "member_id, status, reason, forecast_usd, lower_usd, method, unpriced_tokens"
    assert found.rows(
        f"select {columns} from llm_spend_forecast"
        " where member_type = 'team' and horizon_months = 0 and member_id <> 'old' order by 1"
    ) == [
        ("new", "refused", "41 days of usage are known, and 42 are needed", None, None, None, 0),
        (
            "unpriced", "refused", "none of the 28 requests of the last 28 days has a known cost", None, None, None,
            56_000,
        ),
    ]  # fmt: skip
    assert found.rows(f"select distinct has_unpriced_usage {TOTAL.partition(' order')[0]}") == [(True,)]
    assert found.problems() == []


def test_from_six_weeks_on_there_is_a_forecast_and_from_seven_an_interval(sql: dict[str, str]) -> None:
    for count, method, level in (
        (42, "3 weeks", None),
        (49, "3 weeks", Decimal("0.5")),
        (56, "4 weeks", Decimal("0.666667")),
    ):
        found = Days(sql, FORECAST, [Use(day, 10) for day in days(MONDAY, count)])
        ((status, words, interval, lower),) = found.rows(
            "select status, method, interval_level, lower_usd from llm_spend_forecast"
            " where member_type = 'total' and horizon_months = 0"
        )
        assert (status, interval, lower is None) == ("forecast", level, level is None)
        assert method in words


def test_a_member_that_is_gone_for_eight_weeks_has_no_forecast(sql: dict[str, str]) -> None:
    uses = [Use(day, 10, team="a") for day in days(MONDAY, 150)]
    found = Days(sql, FORECAST, [*uses, *(Use(day, 10, team="gone") for day in days(MONDAY, 60))])
    assert found.rows("select distinct member_id from llm_spend_forecast where member_type = 'team'") == [("a",)]


def test_of_one_day_nothing_is_forecast(sql: dict[str, str]) -> None:
    found = Days(sql, FORECAST, [Use(MONDAY, 1)])
    assert found.rows("select distinct status from llm_spend_forecast") == [("refused",)]


# --- statistics -----------------------------------------------------------------------------------


def test_the_interval_holds_as_often_as_it_says(sql: dict[str, str]) -> None:
    """120 customers whose level wanders and whose days vary: the interval of 80 % has the truth in 75 % to 97 %."""
    chance = Random(8)
    known, ahead = 150, 123
    uses, truth = [], {}
    first = date(2026, 10, 1) - timedelta(days=known)
    for customer in range(120):
        level, noise = chance.uniform(5, 500), chance.uniform(0.1, 0.8)
        for number, day in enumerate(days(first, known + ahead)):
            level *= exp(chance.gauss(0, 0.02))
            cost = level * (1 if workday(day) else 0.25) * exp(chance.gauss(0, noise))
            if number < known:
                uses.append(Use(day, cost, customer=f"c{customer}"))
            else:
                month = (f"c{customer}", day.replace(day=1))
                truth[month] = truth.get(month, 0.0) + cost
    found = Days(sql, FORECAST, uses).rows(
        "select member_id, billing_period, horizon_months, lower_usd, upper_usd, interval_level from llm_spend_forecast"
        " where member_type = 'customer'"
    )
    assert {row[5] for row in found} == {Decimal("0.800000")}
    for horizon in range(4):
        months = [row for row in found if row[2] == horizon]
        within = sum(float(low) <= truth[member, month] <= float(high) for member, month, _, low, high, _ in months)
        assert 0.75 <= within / len(months) <= 0.97, (horizon, within)


def test_the_demo_has_a_forecast_and_a_month_that_was_held_back(demo: Demo) -> None:
    rows = query(
        demo.database,
        "select billing_period, status, back_test_months, back_test_mape, lower_usd <= forecast_usd, interval_level"
        " from llm_spend.llm_spend_forecast where member_type = 'total' order by 1",
    )
    assert len(rows) == 4 and {row[1:3] for row in rows} == {("forecast", 1)}
    assert all(row[3] < Decimal("0.25") and row[4] and row[5] >= Decimal("0.8") for row in rows)
