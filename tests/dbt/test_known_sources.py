"""Up to when the usage of each source is known, which is waited for, and that the screens say what the models do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from llm_spend.answers.known import KNOWN_SQL, Known, known_usage
from llm_spend.answers.marts import MARTS
from llm_spend.destinations import DuckDb
from tests.conftest import Demo
from tests.dbt.compiled import compiled_sql

pytestmark = pytest.mark.slow

LAST = date(2026, 3, 20)
TABLES = """
    create table stg_loads__packages (load_id varchar, loaded_at timestamp);
    create table stg_loads__files (
        source varchar, source_instance varchar, entity varchar, window_end timestamp, load_id varchar
    );
    create table stg_loads__quarantine (load_id varchar);
    create table int_load_contents (load_id varchar, source_system varchar, source_instance varchar);
    create table int_requests_daily (
        source_system varchar, source_instance varchar, usage_date date, is_of_record boolean, last_loaded_at timestamp
    );
"""
Sources = dict[str, tuple[datetime, bool]]


class Loads:
    """int_known_sources over made-up loads."""

    def __init__(self, sql: str, of_all: str) -> None:
        self.sql, self.of_all = sql, of_all
        self.database = duckdb.connect()
        self.database.execute(TABLES)
        self.count = 0

    def load(
        self,
        loaded: str,
        *uses: str,
        source: str = "portkey",
        instance: str = "ws",
        of: str | None = None,
        asked_to: str | None = None,
        entity: str = "requests",
        **states: bool,
    ) -> None:
        """A load at a time of March, `20 03:00`, that brought `uses`, days of March, of a source instance (`of`).

        `asked_to`: the end of a window of an API. `states`: is_unreadable, is_counted_elsewhere, is_unbuilt; has_files.
        """
        self.count += 1
        load_id, at, system = str(self.count), _march(loaded), "own" if source == "generic" else source
        self._insert("stg_loads__packages", load_id, at)
        if states.get("has_files", True):
            to = _march(asked_to) if asked_to else None
            self._insert("stg_loads__files", source, instance, entity, to, load_id)
        if states.get("is_unreadable"):
            self._insert("stg_loads__quarantine", load_id)
        if states.get("is_unbuilt"):
            return
        self._insert("int_load_contents", load_id, *((system, of or instance) if uses else (None, None)))
        for day in uses:
            counts = not states.get("is_counted_elsewhere")
            self._insert("int_requests_daily", system, of or instance, _march(f"{day} 00:00").date(), counts, at)

    def known(self) -> Sources:
        """Of each source instance up to when it is known, and whether it is waited for."""
        self.database.execute(f"create or replace table int_known_sources as {self.sql}")
        columns = "source_instance, known_to, is_waited_for"
        rows = self.database.execute(f"select {columns} from int_known_sources").fetchall()
        return {instance: (to, waited) for instance, to, waited in rows}

    def screens(self) -> Known:
        """What the screens make of the public tables; the models make the same of theirs."""
        self.database.execute(
            """
            create table llm_source_health as from int_known_sources;
            create table llm_usage_by_team_daily as select usage_date from int_requests_daily
            """
        )
        row = self.database.execute(KNOWN_SQL.replace(f"{MARTS}.", "")).fetchone()
        assert row
        found = known_usage(row)
        assert found
        models = self.database.execute(f"select as_of, known_to from ({self.of_all})").fetchall()
        assert models == [(found.as_of, found.to)]
        return found

    def _insert(self, table: str, *values: Any) -> None:
        self.database.execute(f"insert into {table} values ({', '.join('?' * len(values))})", list(values))


def _march(text: str) -> datetime:
    """A time of March; days before it count on from 0 backwards."""
    day, clock = text.split()
    at = datetime.strptime(clock, "%H:%M")
    return datetime(2026, 2, 28) + timedelta(days=int(day), hours=at.hour, minutes=at.minute)


@pytest.fixture(scope="module")
def sql(demo: Demo) -> tuple[str, str]:
    """The query of the model, and what `known_usage()` makes of it."""
    target = DuckDb(demo.database).work_dir / "dbt_project" / "target"
    of_all = re.search(r"known as \(\n(.*?)\n\)", compiled_sql(target, "int_forecast_bases"), re.DOTALL)
    assert of_all
    return compiled_sql(target, "int_known_sources"), of_all[1]


def _api_without_calls(loads: Loads) -> None:
    loads.load("18 03:00", "17", instance="api", asked_to="18 02:45")
    loads.load("21 03:00", instance="api", asked_to="21 02:45")


def _workspace_without_calls(loads: Loads) -> None:
    """One key of Portkey sees all workspaces."""
    loads.load("10 03:00", "9", instance="default", of="quiet", asked_to="10 02:45")
    loads.load("21 03:00", "20", instance="default", of="busy", asked_to="21 02:45")


def _files_of_workspaces(loads: Loads) -> None:
    """What one folder of files brings says nothing of the other."""
    loads.load("10 03:00", "9", instance="default", of="a")
    loads.load("21 03:00", "20", instance="default", of="b")


def _stopped(loads: Loads) -> None:
    loads.load("8 03:00", "6", "7", instance="day 7", source="litellm")
    loads.load("7 03:00", "5", "6", instance="day 6", source="litellm")


def _counted_elsewhere(loads: Loads) -> None:
    loads.load("18 03:00", "17", instance="twice", source="otel", is_counted_elsewhere=True)


def _old_month_loaded_today(loads: Loads) -> None:
    loads.load("21 04:00", "9", instance="old", asked_to="10 00:00", source="litellm")


def _empty_and_unreadable_files(loads: Loads) -> None:
    for instance in ("empty", "unreadable"):
        loads.load("10 03:00", "9", instance=instance, source="kong")
    loads.load("19 03:00", instance="empty", source="kong")
    loads.load("19 03:00", instance="unreadable", source="kong", is_unreadable=True)


def _other_than_requests(loads: Loads) -> None:
    loads.load("18 03:00", "17", instance="limits", source="litellm")
    loads.load("20 03:00", instance="limits", source="litellm", entity="limits")


def _arrives_while_it_is_built(loads: Loads) -> None:
    loads.load("18 03:00", "17", instance="api", asked_to="18 02:45")
    loads.load("21 03:00", instance="api", asked_to="21 02:45", is_unbuilt=True)


def _mapped_and_own(loads: Loads) -> None:
    loads.load("18 03:00", "17", instance="mapped", source="generic")
    loads.load("17 03:00", "16", instance="model", source="generic", has_files=False)


def _wrong_clock(loads: Loads) -> None:
    loads.load("19 03:00", "40", instance="ahead", source="kong")


@pytest.mark.parametrize(
    ("given", "expected", "known_to", "late"),
    [
        (_api_without_calls, {"api": ("21 02:45", True)}, "21 00:00", None),
        (
            _workspace_without_calls,
            {"quiet": ("21 02:45", True), "busy": ("21 02:45", True)},
            "21 00:00",
            None,
        ),
        (_files_of_workspaces, {"a": ("10 03:00", True), "b": ("21 03:00", True)}, "10 00:00", "portkey (a)"),
        # 14 days with usage are waited: 7 to 20 March.
        (_stopped, {"day 7": ("8 03:00", True), "day 6": ("7 03:00", False)}, "8 00:00", "litellm (day 7)"),
        (_counted_elsewhere, {"twice": ("18 03:00", False)}, "21 00:00", None),
        (_old_month_loaded_today, {"old": ("10 00:00", True)}, "10 00:00", "litellm (old)"),
        (
            _empty_and_unreadable_files,
            {"empty": ("19 03:00", True), "unreadable": ("10 03:00", True)},
            "10 00:00",
            "kong (unreadable)",
        ),
        (_other_than_requests, {"limits": ("18 03:00", True)}, "18 00:00", "litellm (limits)"),
        (_arrives_while_it_is_built, {"api": ("18 02:45", True)}, "18 00:00", "portkey (api)"),
        (_mapped_and_own, {"mapped": ("18 03:00", True), "model": ("17 03:00", True)}, "17 00:00", "own (model)"),
        (_wrong_clock, {"ahead": ("19 03:00", False)}, "21 00:00", None),
    ],
)
def test_what_is_known_of_each_source_and_of_all(
    sql: tuple[str, str],
    given: Callable[[Loads], None],
    expected: dict[str, tuple[str, bool]],
    known_to: str,
    late: str | None,
) -> None:
    """Beside a gateway that was loaded on 21 March, with usage up to the 20th."""
    loads = Loads(*sql)
    loads.load("21 03:00", "1", "20", instance="main", source="truefoundry")
    given(loads)
    found = loads.known()
    assert found.pop("main") == (_march("21 03:00"), True)
    assert found == {name: (_march(to), waited) for name, (to, waited) in expected.items()}
    screens = loads.screens()
    assert (screens.to, screens.late, screens.as_of) == (_march(known_to), late, LAST)


def test_sources_that_are_known_to_the_same_day_are_not_late(sql: tuple[str, str]) -> None:
    """The day that runs is known to where the newest load was, if some minutes of another source are missing."""
    loads = Loads(*sql)
    loads.load("20 12:00", "19", "20", instance="first")
    loads.load("20 12:04", "20", instance="second", source="litellm")
    assert {to for to, _ in loads.known().values()} == {_march("20 12:00"), _march("20 12:04")}
    screens = loads.screens()
    assert (screens.to, screens.late, screens.late_words) == (_march("20 12:04"), None, "")
