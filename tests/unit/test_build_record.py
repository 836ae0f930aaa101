"""What a destination tells of its last build: anything else than what was noted means to build everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from llm_spend.build_record import RECORD_TABLE, Extent, LastBuild, forget, last_build, note
from llm_spend.destinations import DuckDb

NOW = datetime(2026, 11, 3, 23, 30, tzinfo=UTC)
WARNINGS = ("prices: Got 1 result\n  model=it's \\ new",)

TABLES = """
create schema llm_spend_raw; create schema llm_spend_seeds; create schema llm_spend_internal; create schema llm_spend;
create table llm_spend_raw._dlt_loads as select '1.5' as load_id, 0 as status;
create table llm_spend_seeds.org_members (user_id varchar);
create table llm_spend_internal.int_basis as select 'b1' as basis_id;
create table llm_spend.fct_llm_requests (request_key varchar);
"""


@pytest.fixture
def destination(tmp_path: Path) -> DuckDb:
    destination = DuckDb(tmp_path / "spend.duckdb")
    destination.execute(TABLES)
    assert last_build(destination, "p1", NOW) == LastBuild(Extent.EVERYTHING, "1 1.5"), "nothing was built yet"
    note(destination, "p1", "1 1.5", NOW, WARNINGS)
    return destination


def test_what_was_noted_is_found(destination: DuckDb) -> None:
    expected = LastBuild(Extent.NOTHING, "1 1.5", "2026-11-03 23:30:00", WARNINGS)
    assert last_build(destination, "p1", NOW + timedelta(minutes=29)) == expected


@pytest.mark.parametrize(
    ("change", "extent"),
    [
        ("insert into llm_spend_raw._dlt_loads values ('2.5', 0)", Extent.NEW_LOADS),
        ("insert into llm_spend_raw._dlt_loads values ('0.5', 0)", Extent.NEW_LOADS),
        ("insert into llm_spend_raw._dlt_loads values ('2.5', 1)", Extent.NOTHING),
        ("drop table llm_spend_seeds.org_members", Extent.EVERYTHING),
        ("alter table llm_spend.fct_llm_requests rename to other", Extent.EVERYTHING),
        ("update llm_spend_internal.int_basis set basis_id = 'b2'", Extent.EVERYTHING),
        ("drop table llm_spend_internal.int_basis", Extent.EVERYTHING),
        (f"alter table llm_spend_internal.{RECORD_TABLE} drop column warnings", Extent.EVERYTHING),
        (f"delete from llm_spend_internal.{RECORD_TABLE}", Extent.EVERYTHING),
    ],
)
def test_the_tables_are_asked_not_only_the_record(destination: DuckDb, change: str, extent: Extent) -> None:
    with duckdb.connect(str(destination.database)) as connection:
        connection.execute(change)
    assert last_build(destination, "p1", NOW).extent is extent


def test_another_project_builds_everything(destination: DuckDb) -> None:
    assert last_build(destination, "p2", NOW).extent is Extent.EVERYTHING


def test_another_utc_date_builds_what_follows_from_loads(destination: DuckDb) -> None:
    assert last_build(destination, "p1", NOW + timedelta(minutes=30)).extent is Extent.NEW_LOADS


def test_what_is_forgotten_is_unknown(destination: DuckDb) -> None:
    forget(destination)
    forget(destination)
    assert last_build(destination, "p1", NOW).extent is Extent.EVERYTHING
