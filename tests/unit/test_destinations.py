"""Which destination the settings name, and what a user is told who has not set it up."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from llm_spend.answers.marts import Marts
from llm_spend.destinations import BigQuery, DuckDb, Schemas, Snowflake, destination_of
from llm_spend.destinations.base import Connection, Destination, Row
from llm_spend.destinations.duckdb import STORAGE_VERSION
from llm_spend.errors import UserError
from llm_spend.settings import Settings, read_settings


def test_the_settings_name_the_destination() -> None:
    assert isinstance(destination_of(Settings(destination="duckdb")), DuckDb)
    assert isinstance(destination_of(Settings(destination="snowflake")), Snowflake)
    warehouse = destination_of(Settings(destination="bigquery", schema_name="finance"))
    assert isinstance(warehouse, BigQuery)
    assert warehouse.schemas.all == ("finance_raw", "finance_seeds", "finance_internal", "finance")


@pytest.mark.parametrize("wrong", [{"destination": "oracle"}, {"schema_name": "a-b"}, {"schema_name": "x; drop"}])
def test_wrong_settings_are_named(wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        read_settings(**wrong)


def test_two_schemas_of_a_warehouse_do_not_share_a_work_folder(tmp_path: Path) -> None:
    folders = {Snowflake(Schemas(name), tmp_path).work_dir for name in ("dev", "prod")}
    assert len(folders | {BigQuery(Schemas("dev"), tmp_path).work_dir}) == 3


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTINATION__SNOWFLAKE__CREDENTIALS__PASSWORD", "hunter2")
    with pytest.raises(UserError, match="Snowflake is not configured") as error:
        Snowflake(folder=tmp_path).query("select 1")
    assert "destination.snowflake.credentials" in (error.value.remedy or "")
    assert "hunter2" not in f"{error.value}{error.value.remedy}"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BigQuery, "modules", ("google.cloud.no_such_module", "no.such.package"))
    with pytest.raises(UserError, match=r"no_such_module, no\.such\.package") as error:
        BigQuery().query("select 1")
    assert "llm-spend[bigquery]" in (error.value.remedy or "")


class Recorded(Connection):
    """A connection that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    def table(self, sql: str, parameters: object = ()) -> tuple[list[str], list[Row]]:
        self.asked.append((sql, tuple(parameters)))  # type: ignore[call-overload]
        return [], []

    def tables(self, schema: str) -> frozenset[str]:
        return frozenset()


@pytest.mark.parametrize(
    ("destination", "every"),
    [(Snowflake(Schemas("dev")), "BOOLAND_AGG(is_closed)"), (BigQuery(Schemas("dev")), "LOGICAL_AND(is_closed)")],
    ids=["snowflake", "bigquery"],
)
def test_the_screens_ask_in_the_dialect_and_the_schemas_of_the_warehouse(destination: Destination, every: str) -> None:
    connection = Recorded()
    Marts(destination, connection).rows(
        "select bool_and(is_closed) from llm_spend.llm_chargeback_lines where billing_period = ?"
        " and line_id not in (select a from llm_spend_raw.t)",
        "2026-10-01",
    )
    ((sql, parameters),) = connection.asked
    assert every in sql
    assert "FROM dev.llm_chargeback_lines" in sql and "FROM dev_raw.t" in sql
    assert "= %s" in sql and parameters == ("2026-10-01",)


def test_a_new_database_is_stored_as_duckdb_1_3_does(tmp_path: Path) -> None:
    for by in (DuckDb(tmp_path / "loaded.duckdb"), DuckDb(tmp_path / "executed.duckdb")):
        by.dlt_destination() if by.database.stem == "loaded" else by.execute("create table t as select 1 as a")
        with duckdb.connect(str(by.database)) as connection:
            stored = connection.execute("select tags from duckdb_databases() where not internal").fetchall()
        assert stored == [({"storage_version": f"{STORAGE_VERSION}+"},)]


def test_an_old_database_stays_as_it_is(tmp_path: Path) -> None:
    old = DuckDb(tmp_path / "old.duckdb")
    duckdb.connect(str(old.database)).close()
    before = old.database.read_bytes()
    old.dlt_destination()
    assert old.database.read_bytes() == before
    old.execute("create table t as select 1 as a")
    assert old.query("select a from t") == [(1,)]
