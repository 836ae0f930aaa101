"""Into which parts a long history is cut, and when a build looks for them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from llm_spend.build_parts import Part, environment_of, may_need_parts, parts_to_build
from llm_spend.build_record import Extent
from llm_spend.destinations import BigQuery, DuckDb, Snowflake

BEGAN = datetime(2026, 11, 20, 12, 0, 0, 900_000, tzinfo=UTC)


class Tables:
    """What is asked, in a DuckDB file: days of November, each with its rows and the hour of its version."""

    def __init__(self, folder: Path, rows_at_once: int) -> None:
        self.destination = DuckDb(folder / "asked.duckdb")
        self.destination.rows_at_once = rows_at_once  # type: ignore[misc]  # of this one alone
        self.execute(
            "create schema llm_spend_raw",
            "create schema llm_spend_internal",
            "create schema llm_spend",
            "create table llm_spend_internal.int_load_contents (usage_date date, rows_loaded bigint)",
            "create table llm_spend_internal.int_usage_dates"
            " (usage_date date, date_version text, versioned_at timestamp)",
        )

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.destination.database)) as connection:
            for statement in statements:
                connection.execute(statement)

    def day(self, day: int, *rows: int, hour: int = 12) -> None:
        """A day with the rows that its loads brought."""
        self.execute(
            "insert into llm_spend_internal.int_usage_dates"
            f" values ('2026-11-{day:02}', 'v{day}', '2026-11-20 {hour}:00:00')",
            *(f"insert into llm_spend_internal.int_load_contents values ('2026-11-{day:02}', {n})" for n in rows),
        )

    def parts(self) -> list[tuple[int, int]]:
        """First and last day of each."""
        found = parts_to_build(self.destination, BEGAN)
        return [(part.first.day, part.before.day - 1) for part in found]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path, 10)


def test_only_duckdb_builds_in_parts() -> None:
    assert [each.rows_at_once is None for each in (BigQuery, Snowflake, DuckDb)] == [True, True, False]


def test_parts_hold_days_in_order_up_to_the_limit(tables: Tables) -> None:
    for day, rows in ((5, [6]), (1, [4, 2]), (2, [4]), (3, [1]), (7, [1])):
        tables.day(day, *rows)
    assert tables.parts() == [(1, 2), (3, 7)]


def test_a_day_above_the_limit_is_a_part_by_itself(tables: Tables) -> None:
    for day, rows in ((1, 3), (2, 99), (3, 3)):
        tables.day(day, rows)
    assert tables.parts() == [(1, 1), (2, 2), (3, 3)]


def test_a_day_of_loads_that_count_no_more_is_built_too(tables: Tables) -> None:
    for day, rows in ((1, [8]), (2, [8]), (3, [])):
        tables.day(day, *rows)
    assert tables.parts() == [(1, 1), (2, 3)]


def test_what_one_run_can_hold_is_not_cut(tables: Tables) -> None:
    assert tables.parts() == []
    tables.day(1, 5)
    tables.day(2, 5)
    assert tables.parts() == []


def test_days_are_built_that_the_fact_has_not_or_that_have_a_new_version(tables: Tables) -> None:
    for day in range(1, 6):
        tables.day(day, 8, hour=12 if day == 4 else 11)
    tables.execute("create table llm_spend.fct_llm_requests as select 'v' || n as date_version from range(6) as r (n)")
    assert tables.parts() == [], "a changed quota rule reaches one day"
    tables.execute("delete from llm_spend.fct_llm_requests where date_version = 'v2'")
    assert tables.parts() == [(2, 2), (4, 4)]


@pytest.mark.parametrize(("loaded", "needed"), [(10, False), (11, True)])
def test_parts_are_looked_for_where_more_rows_were_loaded(tables: Tables, loaded: int, needed: bool) -> None:
    tables.execute(f"create table llm_spend_raw.generic__records as select 1 as n from range({loaded - 3})")
    tables.execute("create table llm_spend_raw.portkey__logs as select 1 as n from range(3)")
    assert may_need_parts(tables.destination, Extent.EVERYTHING) == needed


def test_of_new_loads_only_their_rows_count(tables: Tables) -> None:
    tables.execute("create table llm_spend_raw.portkey__logs as select 1 as n from range(20)")
    assert may_need_parts(tables.destination, Extent.NEW_LOADS)
    tables.day(1, 12)
    assert not may_need_parts(tables.destination, Extent.NEW_LOADS)
    assert may_need_parts(tables.destination, Extent.EVERYTHING)


def test_a_part_is_told_by_its_first_day_and_the_one_after_its_last() -> None:
    assert environment_of(Part(date(2026, 11, 1), date(2026, 12, 1))) == {"LLM_SPEND_PART": "2026-11-01 2026-12-01"}
    assert environment_of(None) == {"LLM_SPEND_PART": ""}, "that of another run does not stay"
