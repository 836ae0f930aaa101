"""Anomalies: what is planted in a quiet organisation is found and explained, and what is quiet is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from math import exp
from random import Random
from typing import Any

import pytest

from llm_spend.destinations import DuckDb
from tests.conftest import Demo
from tests.dbt.member_days import ANOMALIES, NOBODY, Days, Use, sql_of

pytestmark = pytest.mark.slow

MONDAY = date(2026, 1, 5)
WEEKS = 10
LAST = MONDAY + timedelta(days=7 * WEEKS - 1)
TEAMS = {"growth": ("ana", "bob", "cleo"), "search": ("dan", "eve", "finn"), "legal": ("gus",)}
FEATURES = {"growth": "emails", "search": "answers", "legal": "contracts"}
MODELS = ("m-1", "m-2", "m-3")
FOUND = "select kind, usage_date, member_type, member_id from llm_usage_anomalies order by 1, 2, 3, 4"


@pytest.fixture(scope="module")
def sql(demo: Demo) -> dict[str, str]:
    return sql_of(DuckDb(demo.database).work_dir / "dbt_project" / "target")


def days(count: int = 7 * WEEKS) -> Iterator[date]:
    return (MONDAY + timedelta(days=number) for number in range(count))


@cache
def even(count: int = 7 * WEEKS) -> list[Use]:
    """70 USD a day: each person 10 USD in 20 calls to the model of the team, half of the input cached."""
    return [
        Use(day, Decimal("0.5"), user, team, FEATURES[team], model=MODELS[number], cached=500)
        for day in days(count)
        for number, (team, users) in enumerate(TEAMS.items())
        for user in users
        for _ in range(20)
    ]


def changed(uses: Iterable[Use], chosen: Callable[[Use], bool], **changes: Any) -> list[Use]:
    """With some of the uses changed."""
    return [replace(use, **changes) if chosen(use) else use for use in uses]


def quiet(chance: Random, noise: float) -> Iterator[Use]:
    """60 people of 8 teams, 15 features and 6 models, with days off, weekends, growth, errors and caches that vary."""
    people = [
        (
            f"u{number}",
            f"t{chance.randrange(8)}",
            [f"f{chance.randrange(15)}" for _ in range(2)],
            exp(chance.gauss(0, 0.7)),
        )
        for number in range(60)
    ]
    for number, day in enumerate(days(7 * 16)):
        week = (0.25 if day.weekday() > 4 else 1) * (1 + number / 400) * exp(chance.gauss(0, 0.05))
        for user, team, features, size in people:
            if chance.random() < 0.1:
                continue
            for feature in features:
                for part in range(2):
                    tokens = int(1e6 * size * week * exp(chance.gauss(0, noise)))
                    yield Use(
                        day, 0.00001 * tokens * exp(chance.gauss(0, 0.1)), user, team, feature, f"c-{user}",
                        f"m{(int(feature[1:]) + part) % 6}", f"k-{user}" if size > 1.5 else None,
                        chance.random() < 0.03, tokens, int(tokens * min(0.9, max(0.1, chance.gauss(0.5, 0.1)))),
                    )  # fmt: skip


# --- quiet ----------------------------------------------------------------------------------------


def test_an_even_organisation_has_no_anomalies(sql: dict[str, str]) -> None:
    assert Days(sql, ANOMALIES, even()).rows(FOUND) == []


@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_in_quiet_months_there_are_few_false_alarms(sql: dict[str, str], noise: float) -> None:
    """What the description says: less than 2 in 100 judged days of members, and 1 in 1,000 above low severity."""
    found = Days(sql, ANOMALIES, quiet(Random(4), noise))
    ((judged,),) = found.rows(f"select count(*) from int_member_days where usage_date >= date '{MONDAY}' + 28")
    ((alarms, worse),) = found.rows("select count(*), count(*) filter (severity <> 'low') from llm_usage_anomalies")
    assert judged > 10_000, judged
    assert alarms < 0.02 * judged and worse < 0.001 * judged, (alarms, worse, judged)
    assert found.problems() == []


# --- planted --------------------------------------------------------------------------------------


def test_a_spike_is_told_with_who_did_it(sql: dict[str, str]) -> None:
    """On the last Wednesday ana's script costs 100 USD more."""
    day = LAST - timedelta(days=4)
    script = Use(day, 100, "ana", "growth", "emails", model="m-1", key="key-of-ana", cached=500)
    found = Days(sql, ANOMALIES, [*even(), script])
    assert found.rows(FOUND) == [
        ("blended_price", day, "customer", NOBODY),
        *[("blended_price", day, kind, member) for kind, member in (("feature", "emails"), ("model", "m-1"))],
        *[("blended_price", day, kind, member) for kind, member in (("team", "growth"), ("total", "(all)"))],
        ("cost_spike", day, "customer", NOBODY),
        *[("cost_spike", day, kind, member) for kind, member in (("feature", "emails"), ("model", "m-1"))],
        *[
            ("cost_spike", day, kind, member)
            for kind, member in (("team", "growth"), ("total", "(all)"), ("user", "ana"))
        ],
        ("new_api_key", day, "api_key", "key-of-ana"),
    ]
    columns = (
        "observed, expected, lower, upper, score, severity_usd, severity, usual_usd, baseline_days, contributor_1,"
        " unit, top_member_type, top_member_id, top_share_ratio, started_on"
    )
    ((*values,),) = found.rows(
        f"select {columns} from llm_usage_anomalies where kind = 'cost_spike' and member_type = 'total'"
    )
    assert values == [
        170, 70, 35, 105, 10, 100, "high", 70, 8, "user ana +100.00 USD (100 %)", "usd", "user", "ana", 1, day,
    ]  # fmt: skip
    assert found.rows(
        "select explanation from llm_usage_anomalies where kind = 'cost_spike' and member_type = 'total'"
    ) == [
        (
            f"All usage cost 170.00 USD on {day}, 100.00 USD more than the 70.00 USD that are usual (median of the 8"
            " same weekdays before). First of all: user ana +100.00 USD (100 %);"
            " API key key-of-ana +100.00 USD (100 %); feature emails +100.00 USD (100 %).",
        )
    ]
    # One alert, not six: the others are parts of the widest.
    told = "select member_type from llm_usage_anomalies where kind = 'cost_spike' and part_of_member_type is null"
    assert found.rows(told) == [("total",)]
    assert found.problems() == []


def test_a_drop_is_told_also_of_a_day_without_any_usage(sql: dict[str, str]) -> None:
    day = LAST - timedelta(days=2)
    found = Days(sql, ANOMALIES, [use for use in even() if use.day != day or use.team != "search"])
    assert found.rows("select member_type, member_id, observed, severity_usd, severity from llm_usage_anomalies"
                      " where kind = 'cost_drop' order by 1") == [
        ("feature", "answers", 0, 30, "medium"), ("model", "m-2", 0, 30, "medium"), ("team", "search", 0, 30, "medium"),
    ]  # fmt: skip
    ((explanation,),) = found.rows(
        "select explanation from llm_usage_anomalies where kind = 'cost_drop' and part_of_member_id is null"
    )
    assert explanation == (
        f"Team search cost 0.00 USD on {day}, 30.00 USD less than the 30.00 USD that are usual (median of the 8 same"
        " weekdays before). First of all: feature answers -30.00 USD (100 %); model m-2 -30.00 USD (100 %);"
        " user dan -10.00 USD (33 %)."
    )


def test_a_cost_that_is_not_known_is_no_drop(sql: dict[str, str]) -> None:
    uses = changed(even(), lambda use: use.day == LAST and use.team == "search", cost=None)
    assert Days(sql, ANOMALIES, uses).rows(FOUND) == []


def test_what_had_no_price_before_is_no_spike(sql: dict[str, str]) -> None:
    """Calls of dan and eve cost 1 USD each, and have a price in the last week only; the usage is the same."""
    week = LAST - timedelta(days=6)

    def theirs(use: Use) -> bool:
        return use.user in ("dan", "eve")

    uses = changed(changed(even(), theirs, cost=1), lambda use: theirs(use) and use.day < week, cost=None)
    assert Days(sql, ANOMALIES, uses).rows(FOUND) == []


def test_a_few_tokens_without_a_price_hide_no_spike(sql: dict[str, str]) -> None:
    unknown = [Use(day, None, model="m-2", team="search", user="dan", cached=500) for day in days()]
    found = Days(sql, ANOMALIES, [*even(), *unknown, Use(LAST, 100)]).rows(FOUND)
    assert ("cost_spike", LAST, "total", "(all)") in found


def test_a_day_that_is_not_wholly_known_is_not_judged(sql: dict[str, str]) -> None:
    uses = [use for use in even() if use.day != LAST or use.user == "ana"]
    assert Days(sql, ANOMALIES, uses, known_to=f"{LAST} 07:00:00").rows(FOUND) == []
    assert Days(sql, ANOMALIES, uses).rows(FOUND) != []


def test_of_days_that_a_source_is_late_with_only_what_it_can_not_take_back_is_told(sql: dict[str, str]) -> None:
    """Of the last nine days the gateway of growth is not loaded; one of search spends twice as much on the last."""
    late = LAST - timedelta(days=8)
    uses = [replace(use, cost=1) if use.user == "dan" and use.day == LAST else use for use in even()]
    there = [use for use in uses if use.team != "growth" or use.day < late]
    kinds = "select distinct kind from llm_usage_anomalies order by 1"
    assert Days(sql, ANOMALIES, there).rows(kinds) == [("blended_price",), ("cost_drop",), ("cost_spike",)]
    found = Days(sql, ANOMALIES, there, slow_to=f"{late} 03:00")
    assert found.rows(kinds) == [("cost_spike",)]
    # All but the weekday before, which is not wholly known.
    assert found.rows("select distinct usage_date, baseline_days from llm_usage_anomalies") == [(LAST, 7)]
    assert found.problems() == []


def test_a_model_that_fails_is_told(sql: dict[str, str]) -> None:
    """The model of search fails 30 of its 60 calls; one failure a day is usual."""
    seen: dict[date, int] = {}

    def fails(use: Use) -> bool:
        if use.model != "m-2":
            return False
        seen[use.day] = seen.get(use.day, 0) + 1
        return seen[use.day] <= (30 if use.day == LAST else 1)

    found = Days(sql, ANOMALIES, changed(even(), fails, failed=True))
    rows = found.rows("select kind, usage_date, member_type, member_id, observed, expected, severity_usd, explanation"
                      " from llm_usage_anomalies where member_type = 'model'")  # fmt: skip
    assert rows == [
        (
            "error_rate", LAST, "model", "m-2", Decimal("0.5"), Decimal("0.016667"), Decimal("14.49999"),
            f"Model m-2: 50 % of the calls of {LAST} failed, where 2 % is usual (median of the 28 days before)."
            " First of all: feature answers +29 failed calls (100 %); team search +29 failed calls (100 %);"
            " user dan +19 failed calls (66 %).",
        )
    ]  # fmt: skip
    assert {row[0] for row in found.rows("select distinct kind from llm_usage_anomalies")} == {"error_rate"}


def test_a_cache_that_is_no_longer_read_is_told(sql: dict[str, str]) -> None:
    found = Days(sql, ANOMALIES, changed(even(), lambda use: use.day == LAST and use.model == "m-1", cached=0))
    rows = "select member_type, member_id, observed, expected, severity_usd from llm_usage_anomalies order by 1"
    assert found.rows(rows) == [
        (kind, member, 1, Decimal("0.5"), 15)
        for kind, member in (("feature", "emails"), ("model", "m-1"), ("team", "growth"))
    ] + [("total", "(all)", Decimal("0.714286"), Decimal("0.5"), Decimal("15.00002"))]
    ((explanation,),) = found.rows("select explanation from llm_usage_anomalies where member_type = 'model'")
    assert explanation.startswith(
        f"Model m-1: 100 % of the input tokens of {LAST} were in no cache of the provider, where 50 % is usual"
    )


def test_a_dearer_price_is_told_beside_the_spike(sql: dict[str, str]) -> None:
    """The feature of search moves to a model more than twice as dear, with as many tokens, for three days."""
    since = LAST - timedelta(days=2)
    uses = changed(even(), lambda use: use.day >= since and use.team == "search", cost=Decimal("1.2"), model="m-9")
    found = Days(sql, ANOMALIES, uses)
    prices = found.rows(
        "select usage_date, observed, expected, severity_usd, unit, started_on from llm_usage_anomalies"
        " where kind = 'blended_price' and member_type = 'feature' order by 1"
    )
    assert prices == [(since + timedelta(days=number), 1200, 500, 42, "usd_per_million", since) for number in range(3)]
    assert found.rows("select usage_date, observed, explanation from llm_usage_anomalies where kind = 'new_model'") == [
        (
            since, 216,
            f"Model m-9 was first used on {since}, and cost 216.00 USD in the seven days from then. First of all:"
            " feature answers +216.00 USD (100 %); team search +216.00 USD (100 %); user dan +72.00 USD (33 %).",
        )
    ]  # fmt: skip
    assert found.problems() == []


def test_a_cheaper_price_is_told_with_who_made_it_so_though_it_cost_more(sql: dict[str, str]) -> None:
    """Dan and eve use three times the tokens of a cheap model, 4 USD more in all; finn goes on as he was."""
    uses = changed(
        even(), lambda use: use.day == LAST and use.user in ("dan", "eve"), cost=Decimal("0.6"), tokens=3_000,
        cached=1_500, model="m-9",
    )  # fmt: skip
    found = Days(sql, ANOMALIES, uses)
    columns = "observed, expected, round(severity_usd, 2), contributor_1, contributor_2, contributor_3"
    assert found.rows(
        f"select {columns} from llm_usage_anomalies where kind = 'blended_price' and member_type = 'feature'"
    ) == [
        (
            Decimal("242.857143"), 500, 36, "model m-9 -36.00 USD (100 %)", "team search -36.00 USD (100 %)",
            "user dan -18.00 USD (50 %)",
        )
    ]  # fmt: skip
    assert found.problems() == []


def test_a_dearer_price_of_a_quiet_day_is_told_with_who_made_it_so(sql: dict[str, str]) -> None:
    """Eve and finn have a day off, and dan calls as often for more: 26 USD in place of 30."""
    uses = changed(even(), lambda use: use.day == LAST and use.user == "dan", cost=Decimal("1.3"))
    uses = [use for use in uses if use.day != LAST or use.user not in ("eve", "finn")]
    found = Days(sql, ANOMALIES, uses)
    columns = "severity_usd, contributor_1, contributor_2, contributor_3"
    assert found.rows(
        f"select {columns} from llm_usage_anomalies where kind = 'blended_price' and member_type = 'team'"
    ) == [(16, "user dan +16.00 USD (100 %)", "feature answers +16.00 USD (100 %)", "model m-2 +16.00 USD (100 %)")]


def test_a_severity_that_is_not_of_its_amount_is_found(sql: dict[str, str]) -> None:
    found = Days(sql, ANOMALIES, [*even(), Use(LAST, 100)])
    assert found.problems() == []
    found.connection.execute("update llm_usage_anomalies set severity = 'low' where kind = 'cost_spike'")
    assert {row[1] for row in found.problems()} == {"cost_spike"}


def test_a_spread_is_multiplied_once(sql: dict[str, str]) -> None:
    """Snowflake rounds each product to 12 digits: 1.4826 times the sensitivity is one number."""
    assert "5.1891" in sql["int_anomalies"] and "1.4826'" not in sql["int_anomalies"]


def test_a_new_key_counts_from_an_amount_on_and_a_new_model_always(sql: dict[str, str]) -> None:
    news = [
        Use(LAST, Decimal("3.5"), key="large"), Use(LAST, Decimal("0.1"), key="small"), Use(LAST, None, key="unknown"),
        Use(LAST, Decimal("0.01"), model="cheap"), Use(LAST, None, model="unpriced"),
    ]  # fmt: skip
    early = [Use(MONDAY + timedelta(days=20), 5, key="early", model="early")]
    found = Days(sql, ANOMALIES, [*even(), *early, *news])
    assert found.rows(
        "select member_id, severity, severity_usd from llm_usage_anomalies where kind like 'new%' order by 1"
    ) == [
        ("cheap", "low", Decimal("0.01")), ("large", "low", Decimal("3.5")), ("unknown", "medium", None),
        ("unpriced", "medium", None),
    ]  # fmt: skip


def test_a_newcomer_is_judged_after_four_of_its_weekdays(sql: dict[str, str]) -> None:
    """Hal begins with 10 USD a day and costs 40 on one Monday: his third, then his fifth."""
    first = LAST - timedelta(days=6) - timedelta(weeks=5)
    for week, judged in ((2, False), (4, True)):
        hal = [
            Use(day, 40 if day == first + timedelta(weeks=week) else 10, "hal", "growth", "emails")
            for day in days()
            if day >= first
        ]
        found = Days(sql, ANOMALIES, [*even(), *hal]).rows("select 1 from llm_usage_anomalies where member_id = 'hal'")
        assert bool(found) == judged, week


def test_without_four_weeks_nothing_is_judged(sql: dict[str, str]) -> None:
    uses = even(28)
    assert Days(sql, ANOMALIES, [*uses, Use(MONDAY + timedelta(days=27), 10_000)]).rows(FOUND) == []
