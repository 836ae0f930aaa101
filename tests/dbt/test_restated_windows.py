"""What an API says later about a window counts instead: changed, late and vanished rows reach fact and marts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from llm_spend.build import build
from llm_spend.destinations import DuckDb
from llm_spend.load_api import load_api
from llm_spend.sources import portkey_api
from tests.conftest import long, query
from tests.dbt.test_incremental import assert_same
from tests.few_prices import few_prices
from tests.sources.fake_portkey import FakePortkey, serving, source_of
from tests.sources.test_portkey_api import log

pytestmark = pytest.mark.slow

FACT = "select source_record_id, usage_date::varchar, total_tokens from llm_spend.fct_llm_requests order by all"
HEALTH = "select attempts, duplicate_rows, lines_quarantined from llm_spend.llm_source_health"
DAYS = "select usage_date::varchar, requests from llm_spend.llm_usage_by_model_daily order by all"


@pytest.fixture
def portkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePortkey]:
    with serving(FakePortkey(polls=0)) as portkey:
        monkeypatch.setattr(portkey_api, "api_source", lambda instance: source_of(portkey))
        yield portkey


def load(database: Path, now: datetime) -> int:
    return load_api("portkey", DuckDb(database), since=date(2026, 11, 2), now=now).rows


def forget_day(database: Path, day: str) -> None:
    """A load that found nothing on a day that had rows; our loader asks a person first."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            f"""
            insert into llm_spend_raw.llm_spend__files by name
            select * replace ('9999999999.9' as _dlt_load_id, 0 as size_bytes) from llm_spend_raw.llm_spend__files
            where window_start = timestamp '{day}';
            insert into llm_spend_raw._dlt_loads by name
            select * replace ('9999999999.9' as load_id) from llm_spend_raw._dlt_loads limit 1;
            """
        )


def ask_for_totals(database: Path, day: str) -> None:
    """Another thing that the API was asked for, of a day whose requests are there."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            f"""
            insert into llm_spend_raw.llm_spend__files by name
            select * replace ('9999999998.9' as _dlt_load_id, 'totals' as entity) from llm_spend_raw.llm_spend__files
            where window_start = timestamp '{day}' limit 1;
            insert into llm_spend_raw._dlt_loads by name
            select * replace ('9999999998.9' as load_id) from llm_spend_raw._dlt_loads limit 1;
            """
        )


@long
def test_a_window_that_was_asked_for_again_replaces_what_it_had(portkey: FakePortkey, tmp_path: Path) -> None:
    database, seeds = tmp_path / "restated.duckdb", few_prices(tmp_path / "seeds")
    portkey.logs = [
        log("kept"),
        log("vanishes"),
        log("shrinks", total_units=15),
        log("moves"),
        log("next day", at="2026-11-03T08:00:00.000Z"),
        log("unreadable", cost="dear"),
    ]
    assert load(database, datetime(2026, 11, 3, 9, 15)) == 6
    assert build(DuckDb(database), seeds=seeds, test=False).ok
    assert len(query(database, FACT)) == 5

    portkey.logs = [
        log("kept"),
        log("shrinks", req_units=4, total_units=9),
        log("moves", at="2026-11-03T08:30:00.000Z"),
        log("late", at="2026-11-02T23:00:00.000Z"),
        log("unreadable", cost="dear"),
        log("next day", at="2026-11-03T08:00:00.000Z"),
    ]
    load(database, datetime(2026, 11, 4, 10))
    ask_for_totals(database, "2026-11-02 00:00:00")
    assert build(DuckDb(database), seeds=seeds).ok
    assert query(database, FACT) == [
        ("kept", "2026-11-02", 15),
        ("late", "2026-11-02", 15),
        ("moves", "2026-11-03", 15),
        ("next day", "2026-11-03", 15),
        ("shrinks", "2026-11-02", 9),
    ]
    assert query(database, HEALTH) == [(5, 0, 1)]
    whole = Path(shutil.copy(database, tmp_path / "whole.duckdb"))
    assert build(DuckDb(whole), seeds=seeds, full_refresh=True, test=False).ok
    assert_same(database, whole)

    forget_day(database, "2026-11-02 00:00:00")
    assert build(DuckDb(database), seeds=seeds, test=False).ok
    assert [row[1] for row in query(database, FACT)] == ["2026-11-03", "2026-11-03"]
    assert query(database, DAYS) == [("2026-11-03", 2)]
