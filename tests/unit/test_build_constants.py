"""Which dates a build tells dbt as constants, and what dbt builds before and after it knows them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from llm_spend.build_constants import (
    BUILT_TABLE,
    can_be_asked,
    in_environment,
    new_loads,
    note_built,
    stale_dates,
)
from llm_spend.build_runs import Selection
from llm_spend.destinations import BigQuery, DuckDb, Snowflake


class Tables:
    """The small tables that are asked, in a DuckDB file."""

    def __init__(self, folder: Path) -> None:
        self.destination = DuckDb(folder / "asked.duckdb")
        self.execute(
            "create schema llm_spend_internal",
            "create table llm_spend_internal.int_loads (load_id text)",
            "create table llm_spend_internal.int_moved_requests (load_id text, request_hash text, usage_date date)",
            "create table llm_spend_internal.int_usage_dates"
            " (usage_date date primary key, date_version text, quota_version text, versioned_at timestamp)",
        )

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.destination.database)) as connection:
            for statement in statements:
                connection.execute(statement)

    def version(self, day: int, date_version: str, quota_version: str, hour: int = 0) -> None:
        """What int_usage_dates has of a day in November."""
        at = f"timestamp '2026-11-20' + interval {hour} hour"
        self.execute(
            "insert or replace into llm_spend_internal.int_usage_dates"
            f" values ('2026-11-{day:02}', '{date_version}', '{quota_version}', {at})"
        )

    def move(self, key: str, *days: int) -> None:
        """A request with versions on several days."""
        for day in days:
            self.execute(f"insert into llm_spend_internal.int_moved_requests values ('1', '{key}', '2026-11-{day:02}')")

    def stale(self) -> dict[str, list[int]]:
        """Days by the name of their list."""
        found = stale_dates(self.destination)
        return {name: [date.fromisoformat(day).day for day in days] for name, days in found.items()}


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    found = Tables(tmp_path)
    for day in (1, 2, 3):
        found.version(day, f"d{day}", f"q{day}")
    note_built(found.destination)
    return found


def test_only_bigquery_needs_constants() -> None:
    assert [each.prunes_by_constants for each in (BigQuery, Snowflake, DuckDb)] == [True, False, False]


def test_nothing_can_be_asked_before_a_build_was_noted(tables: Tables) -> None:
    assert can_be_asked(tables.destination)
    tables.execute(f"drop table llm_spend_internal.{BUILT_TABLE}")
    assert not can_be_asked(tables.destination)


def test_dates_are_stale_whose_version_is_another(tables: Tables) -> None:
    assert tables.stale() == {"date_version": [], "quota_version": [], "moved_from": []}
    tables.version(2, "other", "other", 1)
    tables.version(4, "new", "new", 1)
    assert tables.stale() == {"date_version": [2, 4], "quota_version": [2, 4], "moved_from": []}


def test_a_changed_quota_rule_leaves_requests_alone(tables: Tables) -> None:
    tables.version(2, "d2", "other", 1)
    assert tables.stale() == {"date_version": [], "quota_version": [2], "moved_from": []}


def test_a_version_that_came_back_is_not_trusted(tables: Tables) -> None:
    """What was built while it was another, by dbt alone, is not known."""
    tables.version(2, "d2", "q2", 2)
    assert tables.stale()["date_version"] == [2]


def test_dates_with_other_versions_of_requests_are_told_too(tables: Tables) -> None:
    tables.move("moved", 1, 2)
    tables.move("elsewhere", 1, 3)
    tables.version(2, "other", "other", 1)
    assert tables.stale() == {"date_version": [2], "quota_version": [2], "moved_from": [1]}


def test_loads_are_new_that_no_model_has_looked_at(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    contents, moved = "llm_spend_internal.int_load_contents", "llm_spend_internal.int_moved_requests"
    tables.execute(
        f"create table {contents} (load_id text, usage_date date)",
        "insert into llm_spend_internal.int_loads values ('new'), ('half'), ('looked at'), ('without requests')",
    )
    # One of the loads that were looked at counts no more.
    for load in ("half", "looked at", "counts no more"):
        tables.execute(f"insert into {contents} values ('{load}', '2026-11-01'), ('{load}', '2026-11-02')")
        tables.execute(f"insert into {moved} values ('{load}', null, '2026-11-01')")
    tables.execute(f"insert into {contents} values ('without requests', null)")
    tables.execute(f"insert into {moved} values ('looked at', null, '2026-11-02')")
    assert new_loads(tables.destination) == {"new_loads": ["half", "new"]}
    tables.execute(
        f"insert into {moved} values ('half', null, '2026-11-02')", f"insert into {contents} values ('new', null)"
    )
    assert new_loads(tables.destination) == {"new_loads": []}
    monkeypatch.setattr("llm_spend.build_constants._MOST_LOADS", -1)
    assert new_loads(tables.destination) == {}, "of too many no list is made"


def test_of_too_many_dates_no_list_is_made(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (2, 3):
        tables.version(day, "other", "other", 1)
    monkeypatch.setattr("llm_spend.build_constants._MOST_DATES", 1)
    assert tables.stale() == {}


def test_constants_of_another_build_do_not_stay() -> None:
    assert in_environment({}) == {"LLM_SPEND_CONSTANTS": "{}"}
    assert json.loads(in_environment({"moved_from": ["2026-11-01"]})["LLM_SPEND_CONSTANTS"]) == {
        "moved_from": ["2026-11-01"]
    }


@pytest.mark.parametrize(
    ("selection", "first", "second"),
    [
        (
            Selection(),
            "--select +m --indirect-selection empty",
            "--exclude +m --indirect-selection empty",
        ),
        (
            Selection(("a+", "b"), ("v",)),
            "--select a+,+m b,+m --exclude v --indirect-selection empty",
            "--select a+ b --exclude v +m --indirect-selection empty",
        ),
    ],
)
def test_two_runs_build_what_one_would(selection: Selection, first: str, second: str) -> None:
    assert " ".join(selection.up_to("m").arguments()) == first
    assert " ".join(selection.after("m").arguments()) == second
    assert Selection().arguments() == []
