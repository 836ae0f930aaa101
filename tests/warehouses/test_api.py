"""An API's windows in a warehouse: what was loaded is known there, and the rows are those that DuckDB gets."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.destinations import Destination, DuckDb
from llm_spend.load_api import load_api
from llm_spend.sources import portkey_api
from tests.conftest import long
from tests.sources.fake_portkey import FakePortkey, serving, source_of
from tests.sources.test_portkey_api import log
from tests.warehouses.compare import read_duckdb
from tests.warehouses.conftest import set_environment
from tests.warehouses.test_transfer import Read, a_bigquery, a_snowflake, rows_by_column

pytestmark = pytest.mark.slow

FIRST, SECOND = datetime(2026, 11, 2, 12, 15), datetime(2026, 11, 3, 12, 15)
OF_THE_LOAD = {"_dlt_load_id", "_dlt_id"}


def take_through(portkey: FakePortkey, destination: Destination) -> list[tuple[int, int, int]]:
    """Windows, rows and quarantined rows of three runs; the last finds nothing to ask for."""
    portkey.logs = [log("a"), log("b", cost=0.000000000123), log("unreadable", cost="dear")]
    reports = [load_api("portkey", destination, since=date(2026, 11, 2), now=FIRST)]
    portkey.logs = [log("a", cost=3), log("late", at="2026-11-02T11:59:59.999Z")]
    reports += [load_api("portkey", destination, since=date(2026, 11, 2), now=SECOND) for _ in range(2)]
    return [(report.windows, report.rows, report.quarantined) for report in reports]


@long
@pytest.mark.parametrize("start", [a_snowflake, a_bigquery])
def test_windows_are_loaded_into_a_warehouse(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(FakePortkey(polls=0)) as portkey, start() as (environment, destination, read):
        monkeypatch.setattr(portkey_api, "api_source", lambda instance: source_of(portkey))
        set_environment(monkeypatch, environment)
        local = DuckDb(tmp_path / "spend.duckdb")
        expected = take_through(portkey, local)
        assert expected == [(1, 3, 1), (2, 2, 0), (0, 0, 0)]
        assert take_through(portkey, destination) == expected
        for table in ("portkey__logs", "llm_spend__files"):
            assert_same(read, local, f"llm_spend_raw.{table}")


def assert_same(read: Read, local: DuckDb, table: str) -> None:
    with duckdb.connect(str(local.database), read_only=True) as connection:
        expected = read_duckdb(connection, table)
    columns = tuple(name for name in expected.columns if name not in OF_THE_LOAD)
    assert rows_by_column(read(table), columns) == rows_by_column(expected, columns) != []
