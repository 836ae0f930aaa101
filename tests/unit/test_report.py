"""The report's figures: exact sums however much is collapsed, the forecast, what a name can't do to the page."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from llm_spend.answers.insights import Kpi, ModelCost, with_total
from llm_spend.answers.known import Known, forecast, known_usage
from llm_spend.answers.marts import open_marts
from llm_spend.answers.quota_words import subject_words, unit_words
from llm_spend.destinations import DuckDb
from llm_spend.months import back, last_day
from llm_spend.report import headline, insight_tables
from llm_spend.report.cube import DIMENSIONS, MEASURES, USAGE, Cube, Detail, Dimension, Usage, read_usage
from llm_spend.report.figures import Sums, parts
from llm_spend.report.found import Budget
from llm_spend.report.page import limits
from llm_spend.report.payload import encoded, pico
from llm_spend.report.periods import Periods
from llm_spend.report.tags import OTHER_VALUES, TAGS, Tags, read_tags

MONTH, FIRST = date(2026, 10, 1), date(2025, 10, 1)
_COLUMNS = ("environment", "team_id", "user_id", "feature_id", "customer_id", "provider", "model_id")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of usage by chance: 40 users with names of every kind, some without a cost, some unallocated."""
    chance = random.Random(5)
    users = [f"u{number:02d}" for number in range(38)] + ["(unallocated)", "o'neill"]
    rows = []
    for _ in range(3_000):
        day = FIRST + timedelta(days=chance.randrange(396))
        member = (
            chance.choice(["prod", "dev", "(unallocated)"]),
            chance.choice(["alpha", "beta", "gamma"]),
            users[min(int(chance.expovariate(0.15)), 39)],
            chance.choice(["f1", "f2"]),
            f"c{chance.randrange(25)}",
            "openai",
            chance.choice(["gpt", "mini", "(unresolved)"]),
        )
        cost = None if chance.random() < 0.05 else Decimal(chance.randrange(10**13)).scaleb(-12)
        rows.append([day, *member, "as-logged", *(chance.randrange(1000) for _ in MEASURES), cost])
    file = tmp_path_factory.mktemp("usage") / "spend.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create schema llm_spend")
        texts, numbers = (
            ", ".join(f"{name} text" for name in _COLUMNS),
            ", ".join(f"{name} bigint" for name in MEASURES),
        )
        columns = f"usage_date date, {texts}, resolved_model text, {numbers}, cost_usd decimal(38, 12)"
        connection.execute(f"create table llm_spend.{USAGE} ({columns})")
        connection.execute(f"copy llm_spend.{USAGE} from '{_csv(file.parent / 'usage.csv', rows)}'")
        connection.execute(
            f"create table llm_spend.{TAGS} as select usage_date, unnest(['who', 'what']) as tag_key,"
            f" unnest([user_id, feature_id]) as tag_value, requests, total_tokens, unpriced_requests, cost_usd"
            f" from llm_spend.{USAGE}"
        )
    return file


def _csv(file: Path, rows: list[list[Any]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows(rows)
    return file


def _usage(database: Path, *, most_rows: int, of_one: int = 10**6) -> Usage:
    with open_marts(DuckDb(database), frozenset({USAGE})) as marts:
        return read_usage(marts, FIRST, MONTH, most_rows=most_rows, most_rows_of_one=of_one)


def _sums(database: Path, column: str) -> dict[tuple[date, str], tuple[Any, ...]]:
    """Each member's measures and cost in each month."""
    sums = ", ".join(f"sum({measure})" for measure in MEASURES)
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute(
            f"select date_trunc('month', usage_date)::date, {column}, {sums}, sum(cost_usd) from llm_spend.{USAGE}"
            f" where usage_date <= '{last_day(MONTH)}' group by all"
        ).fetchall()
    return {(month, name): tuple(map(_plain, values)) for month, name, *values in found}


def _of_cube(cube: Cube, dimension: Dimension) -> dict[tuple[date, str], tuple[Any, ...]]:
    found: dict[tuple[date, str], Sums] = defaultdict(Sums)
    for row in cube.rows:
        found[row.day.replace(day=1), row.members[cube.place(dimension)]].add(row.measures, row.cost_usd)
    return {key: (*sums.measures, sums.cost_usd) for key, sums in found.items()}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, Decimal) else int(value)


@pytest.mark.parametrize(("most_rows", "of_one"), [(10**6, 10**6), (1_500, 500), (600, 120), (1, 1)])
def test_a_named_member_has_all_of_its_usage_in_every_month(database: Path, most_rows: int, of_one: int) -> None:
    usage = _usage(database, most_rows=most_rows, of_one=of_one)
    assert usage.joint.detail.is_whole == (most_rows == 10**6) == (not usage.single)
    for dimension in DIMENSIONS:
        expected = _sums(database, dimension.sql)
        months = {month for month, _ in expected}
        for cube in {id(each): each for each in (usage.joint, usage.by(dimension))}.values():
            found = _of_cube(cube, dimension)
            names = {name for _, name in found}
            assert {key: sums for key, sums in found.items() if key[1] != dimension.others} == {
                key: sums for key, sums in expected.items() if key[1] in names
            }
            for month in months:
                assert _total(found, month) == _total(expected, month)


def _total(found: dict[tuple[date, str], tuple[Any, ...]], month: date) -> tuple[Any, ...]:
    columns = zip(*(sums for key, sums in found.items() if key[0] == month), strict=True)
    return tuple(sum(value for value in column if value is not None) for column in columns)


def test_those_who_spent_most_in_the_month_stay_named(database: Path) -> None:
    usage = _usage(database, most_rows=2_000)
    assert usage.joint.detail.long and len(usage.joint.rows) <= 2_000
    user = DIMENSIONS[2]
    spent = {name: sums[-1] for (month, name), sums in _sums(database, "user_id").items() if month == MONTH}
    known = sorted(
        (name for name in spent if spent[name] is not None and name != "(unallocated)"), key=spent.__getitem__
    )
    named = {row.members[2] for row in usage.joint.rows}
    assert set(known[-usage.joint.detail.long :]) <= named
    assert {user.others, "(unallocated)"} <= named
    assert user.others not in {row.members[0] for row in usage.by(user).rows}


def test_tags_of_a_key_add_up_however_many_values_are_named(database: Path) -> None:
    with open_marts(DuckDb(database), frozenset({TAGS})) as marts:
        whole, few = (read_tags(marts, FIRST, MONTH, most) for most in (10**6, 100))
    assert len(few.rows) < len(whole.rows)
    assert OTHER_VALUES in {row.value for row in few.rows} and OTHER_VALUES not in {row.value for row in whole.rows}
    sums = [
        {
            key: sum((row.cost_usd or Decimal(0) for row in tags.rows if row.key == key), Decimal(0))
            for key in ("who", "what")
        }
        for tags in (whole, few)
    ]
    assert sums[0] == sums[1] and sums[0]["who"] == sums[0]["what"] > 0


@pytest.mark.parametrize(("daily", "weekly"), [(13, 0), (3, 10), (2, 0), (0, 1), (0, 0)])
def test_periods_lie_in_months_and_cover_every_day_once(daily: int, weekly: int) -> None:
    periods = Periods(MONTH, daily, weekly)
    first = back(MONTH, 12)
    found: dict[date, list[date]] = defaultdict(list)
    rows = duckdb.sql(
        f"select {periods.sql()}, usage_date from (select unnest(range(date '{first}', date '2026-11-01',"
        " interval 1 day))::date as usage_date)"
    ).fetchall()
    for start, day in rows:
        found[start].append(day)
    for start, days in found.items():
        assert sorted(days) == [start + timedelta(days=place) for place in range((periods.end(start) - start).days + 1)]
        assert periods.end(start).month == start.month
    # A week begins on Sunday in BigQuery: none is left to the warehouse.
    for dialect in ("snowflake", "bigquery"):
        (sql,) = sqlglot.transpile(periods.sql(), read="duckdb", write=dialect)
        assert "week" not in sql.lower()


@pytest.mark.parametrize(
    ("joint", "single", "said"),
    [
        (Detail(None, None, daily=13), None, []),
        (
            Detail(None, None, daily=3, weekly=10),
            None,
            ["Days before the last 3 months stand together as weeks. Every sum stays exact."],
        ),
        (
            Detail(20, 50, daily=1),
            Detail(1000, 1000, daily=2),
            [
                "With a filter, days before the last month stand together as months. Every sum stays exact.",
                "Without a filter, days before the last 2 months stand together as months.",
            ],
        ),
        (
            Detail(10, 30, daily=0, weekly=1),
            Detail(2000, 2000, daily=13),
            [
                "With a filter, days stand together as weeks, those before the last month as months."
                " Every sum stays exact."
            ],
        ),
        (Detail(2, 4, daily=0), None, ["Days stand together as months. Every sum stays exact."]),
    ],
)
def test_the_page_says_which_days_stand_together(joint: Detail, single: Detail | None, said: list[str]) -> None:
    singles = {} if single is None else {each.name: Cube((each,), (), single, {}) for each in DIMENSIONS}
    usage = Usage(Cube(DIMENSIONS, (), joint, {}), singles)
    found: Any = SimpleNamespace(usage=usage, tags=Tags((), {}, 0), series_left_out=0)
    assert list(limits(found)) == said


def known(loaded_at: datetime, last: date = date(2026, 10, 3), slowest: date | None = None) -> Known:
    found = known_usage((MONTH, last, last, loaded_at, slowest or loaded_at.date(), "litellm (proxy)"))
    assert found
    return found


def test_without_a_table_the_forecast_is_that_of_budgets() -> None:
    later = datetime(2026, 11, 2)
    assert forecast(Decimal("10"), MONTH, known(later)) == Decimal("103.33")
    assert forecast(Decimal("0.005"), MONTH, known(later, date(2026, 10, 31))) is None, "the month is over"
    assert forecast(None, MONTH, known(later)) is None
    # The last day is known until noon; of the first one less than a day.
    assert forecast(Decimal("10"), MONTH, known(datetime(2026, 10, 3, 12))) == Decimal("124.00")
    assert forecast(Decimal("10"), MONTH, known(datetime(2026, 10, 1, 12), MONTH)) is None
    # Of what is spent, days are part that a source is late with.
    assert forecast(Decimal("10"), MONTH, known(later, slowest=date(2026, 10, 3))) is None


def test_the_page_forecasts_as_the_table_does_and_without_it_by_the_known_days() -> None:
    def row(status: str, month: date = MONTH, lower: str | None = "100.5") -> Any:
        amounts = {"forecast_usd": Decimal("120"), "lower_usd": lower and Decimal(lower), "upper_usd": Decimal("140")}
        return SimpleNamespace(member_type="total", billing_period=month, status=status, **amounts)

    def found(*rows: Any, to: datetime = datetime(2026, 10, 4)) -> Any:
        return SimpleNamespace(month=MONTH, known=known(to), insights=SimpleNamespace(forecasts=rows))

    sums = Sums()
    sums.add([0] * len(MEASURES), Decimal("10"))
    assert headline.month_end(found(row("forecast")), sums) == Decimal("120")
    card = headline._forecast(found(row("forecast")), sums)
    assert (card.label, card.value, card.note) == ("Forecast", "$120.00", "By 2026-10-31: $100.50 to $140.00")
    assert headline._forecast(found(row("forecast", lower=None)), sums).note.endswith("no interval")
    # Refused, or of another month: the days to come cost what the known ones did.
    for rows in ((), (row("refused"),), (row("forecast", date(2026, 9, 1)),)):
        assert headline.month_end(found(*rows), sums) == Decimal("103.33")
        assert headline._forecast(found(*rows), sums).value == "$103.33"
    late = found()
    late.known = known(datetime(2026, 10, 4), slowest=date(2026, 10, 3))
    card = headline._forecast(late, sums)
    assert (card.value, headline.month_end(late, sums)) == ("-", None)
    assert card.note == "litellm (proxy) is late: 2026-10-02 is the last day of which its usage is known"
    # When the month is over, what the next will cost.
    over = found(row("forecast", date(2026, 11, 1)), to=datetime(2026, 11, 1))
    over.known = known(datetime(2026, 11, 1), date(2026, 10, 31))
    assert headline._forecast(over, sums).label == "Forecast, November"


def test_the_budget_of_the_month_is_everyones_else_those_of_a_rule() -> None:
    def budget(rule: str, kind: str, subject: str, usd: str, start: date = MONTH) -> Budget:
        at = datetime.combine(start, datetime.min.time())
        return Budget(rule, kind, subject, "cost_per_month", at, None, Decimal(usd), Decimal(1), None, None, "ok", True)

    teams = tuple(budget("teams", "team", name, "10.5") for name in "abc")
    found = headline.month_budget(teams, MONTH)
    assert found and not found.is_for_everyone and found.budget_usd == Decimal("31.5")
    everyone = (budget("wide", "*", "*", "90"), budget("tight", "*", "*", "50"))
    found = headline.month_budget((*teams, *everyone), MONTH)
    assert found and found.is_for_everyone and (found.rule_id, found.budget_usd) == ("tight", Decimal("50"))
    assert headline.month_budget((budget("old", "*", "*", "50", date(2026, 9, 1)),), MONTH) is None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2026, 10, 1), datetime(2026, 11, 1)),
        (datetime(2026, 9, 30, 22), datetime(2026, 10, 31, 23)),  # Berlin
        (datetime(2026, 10, 1, 4), datetime(2026, 11, 1, 4)),  # New York
        (datetime(2026, 9, 30, 10), datetime(2026, 10, 31, 10)),  # Kiritimati
    ],
)
def test_a_month_of_any_zone_is_one_month(start: datetime, end: datetime) -> None:
    budget = Budget("b", "*", "*", "cost_per_month", start, end, Decimal(9), Decimal(1), None, None, "ok", True)
    assert headline.month_budget((budget,), MONTH)
    months = [back(MONTH, number) for number in (1, 0, -1)]
    assert [budget.begins(month) for month in months] == [False, True, False]
    assert [budget.has_part_in(month) for month in months] == [False, True, False]


def test_a_budget_is_in_each_month_that_has_a_day_of_it() -> None:
    def months(start: datetime, end: datetime | None) -> list[int]:
        each = Budget("b", "*", "*", None, start, end, Decimal(9), Decimal(1), None, None, "ok", True)
        return [month.month for month in (back(MONTH, 1), MONTH, back(MONTH, -1)) if each.has_part_in(month)]

    assert months(datetime(2026, 10, 31), datetime(2026, 11, 1)) == [10]
    assert months(datetime(2026, 10, 31, 23), datetime(2026, 11, 1, 23)) == [11]
    assert months(datetime(2026, 10, 26), datetime(2026, 11, 2)) == [10, 11]
    assert months(datetime(2026, 10, 5), None) == [10, 11]


@pytest.mark.parametrize(
    ("subject_type", "subject", "words"),
    [
        ("*", "*", "everyone"),
        ("user", "*", "everyone"),
        ("team", "search", "team search"),
        ("virtualaccount", "ci", "virtual account ci"),
        ("cost_center", "50% | x", "cost center 50% | x"),
        ("metadata.project_id", "7", "project id 7"),
        ("user|metadata.project_id", "ann|7%7C50%25", "user ann, project id 7|50%"),
        ("rule", "both-teams", "all that the rule names"),
    ],
)
def test_a_counter_in_words(subject_type: str, subject: str, words: str) -> None:
    assert subject_words(subject_type, subject) == words


def test_a_unit_in_words() -> None:
    assert [unit_words(unit) for unit in ("tokens_per_day", "cost_per_30d", None)] == [
        "tokens per day",
        "cost per 30d",
        "",
    ]


def test_parts_add_up_and_the_unknown_come_last() -> None:
    def sums(cost: str | None, requests: int) -> Sums:
        found = Sums()
        found.add([requests, *[0] * (len(MEASURES) - 1)], None if cost is None else Decimal(cost))
        return found

    user = DIMENSIONS[2]
    members = {name: sums(cost, 1) for name, cost in (("a", None), ("b", "2"), ("c", "0"), ("d", "3"), ("e", "1"))}
    members |= {user.others: sums("9", 1), "(unallocated)": sums("8", 1)}
    found = parts(members, user, top=2)
    assert [(part.kind, part.name) for part in found] == [
        ("top", "d"), ("top", "b"), ("more", "3 more users"), ("others", "(other users)"), ("nobody", "(unallocated)"),
    ]  # fmt: skip
    assert sum(part.sums["requests"] for part in found) == len(members)
    assert found[2].sums.cost_usd == 1
    # One that is left over is better named than counted.
    assert [part.name for part in parts({name: members[name] for name in "abd"}, user, top=2)] == ["d", "b", "a"]


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False, allow_infinity=False))
def test_amounts_are_whole_pico_dollars(amount: Decimal) -> None:
    assert Decimal(pico(amount)).scaleb(-12) == amount


def test_the_packed_data_is_the_same_text_each_time() -> None:
    content = {"name": "</script><b>ü", "rows": [1, None]}
    text = encoded(content)
    assert text == encoded(content) and "<" not in text
    assert json.loads(gzip.decompress(base64.b64decode(text))) == content


@pytest.mark.parametrize(
    ("coverage", "unpriced", "is_whole", "wanted"),
    [
        ("0.95", 0, True, []),
        (None, 0, True, []),
        ("0.5", 0, True, ["Where events are known for less than 90%"]),
        ("1", 1234, False, ["The month is not over", "1,234 tokens have no price"]),
    ],
)
def test_what_makes_kpis_wrong_is_said(coverage: str | None, unpriced: int, is_whole: bool, wanted: list[str]) -> None:
    share = None if coverage is None else Decimal(coverage)
    amounts = ("cost_usd", Decimal(4), "tickets", Decimal(2), share, Decimal(4), unpriced, is_whole)
    row = Kpi(MONTH, "total", "(all)", "cost_per_ticket", "Cost per ticket", Decimal(2), "USD per ticket", *amounts)
    notes = insight_tables.kpi_notes(SimpleNamespace(kpis=(row,)))  # type: ignore[arg-type]
    assert len(notes) == len(wanted)
    assert all(note.startswith(words) for note, words in zip(notes, wanted, strict=True))


def test_models_beyond_the_dearest_are_one_row_and_in_the_total() -> None:
    costs = [ModelCost(name, *map(Decimal, (usd, 1, 0, 0, usd - 1, 0))) for name, usd in (("a", 9), ("b", 5), ("c", 2))]
    assert [(row.model, row.cost_usd, row.output_cost_usd) for row in with_total(costs, 1)] == [
        ("a", 9, 8), ("2 more models", 7, 5), ("Total", 16, 13),
    ]  # fmt: skip
    assert [row.model for row in with_total(costs, 3)] == ["a", "b", "c", "Total"]
    assert with_total([], 3) == []
