"""From a DuckDB file into every destination: the same rows of the same loads, and the same tables built from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend import transfer
from llm_spend.answers import status
from llm_spend.build import build
from llm_spend.destinations import BigQuery, Destination, DuckDb, Snowflake
from llm_spend.errors import UserError
from llm_spend.transfer import EXPORTED, LOADS_TABLE, export_tables, import_tables
from tests.conftest import load_sources, long
from tests.warehouses.compare import Table, read_bigquery, read_duckdb, read_snowflake
from tests.warehouses.conftest import History, Organisation, set_environment
from tests.warehouses.servers import bigquery_server, snowflake_server

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22)
Read = Callable[[str], Table]


@pytest.fixture(scope="module")
def export(in_duckdb: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a database with loads of several days, one of which restates an earlier one."""
    folder = tmp_path_factory.mktemp("export")
    export_tables(in_duckdb.destination, folder)
    return folder


def read_file(destination: Destination, table: str) -> Table:
    assert isinstance(destination, DuckDb)
    with duckdb.connect(str(destination.database), read_only=True) as connection:
        return read_duckdb(connection, table)


def test_tables_built_from_an_import_are_the_same(
    in_duckdb: History, export: Path, organisation: Organisation, tmp_path: Path
) -> None:
    moved = DuckDb(tmp_path / "moved.duckdb")
    import_tables(moved, export)
    assert build(moved, seeds=organisation.few_prices, test=False).ok
    tables = moved.tables("llm_spend")
    assert tables == in_duckdb.destination.tables("llm_spend")
    for table in tables:
        name = f"llm_spend.{table}"
        assert read_file(moved, name) == read_file(in_duckdb.destination, name), table

    found, expected = (replace(status(each, now=NOW), as_of=NOW) for each in (moved, in_duckdb.destination))
    assert found == expected
    assert found.loads_not_built == 0
    again = load_sources([*organisation.sources, organisation.restated_day], moved)
    assert sum(report.rows + report.files for report in again) == 0
    assert sum(report.skipped_files for report in again) > 0


@contextmanager
def a_snowflake() -> Iterator[tuple[dict[str, str], Destination, Read]]:
    import snowflake.connector

    with snowflake_server() as server, snowflake.connector.connect(**server.connection) as connection:
        yield server.environment, Snowflake(), lambda table: read_snowflake(connection, table)


@contextmanager
def a_bigquery() -> Iterator[tuple[dict[str, str], Destination, Read]]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    with bigquery_server() as server:
        options = {"api_endpoint": server.url}
        client = bigquery.Client(server.project, AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]
        yield server.environment, BigQuery(), lambda table: read_bigquery(client, table)


def rows_by_column(table: Table, columns: tuple[str, ...]) -> list[Any]:
    return sorted(table.of(columns), key=repr)


@pytest.mark.parametrize("start", [a_snowflake, pytest.param(a_bigquery, marks=long)])
def test_rows_and_loads_arrive_in_a_warehouse(
    start: Any, in_duckdb: History, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start() as (environment, destination, read):
        set_environment(monkeypatch, environment)
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(transfer, "_check_arrival", lambda *arguments: 1 / 0)
            import_tables(destination, export)
        import_tables(destination, export)
        for table in EXPORTED:
            expected = read_file(in_duckdb.destination, f"llm_spend_raw.{table}")
            found = read(f"llm_spend_raw.{table}")
            assert set(found.columns) == set(expected.columns)
            before, after = (rows_by_column(each, expected.columns) for each in (expected, found))
            if table == LOADS_TABLE:
                assert set(before) < set(after)
            else:
                assert before and before == after, table
        with pytest.raises(UserError, match="has loads of this export already"):
            import_tables(destination, export)
