"""Incremental, rerun and full refresh end in the same tables, row for row."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from llm_spend.build import build
from llm_spend.demo import run_demo

from tests.conftest import Demo, load_sources, query

pytestmark = pytest.mark.slow

# When a row arrived is the one thing that the number of loads changes.
ARRIVAL = {"loaded_at", "load_id", "basis_id", "last_loaded_at", "detected_at"}
NOT_COMPARED = {"llm_load_history"}


def public_tables(database: Path) -> dict[str, list[str]]:
    """Comparable columns by table."""
    tables: dict[str, list[str]] = {}
    for table, column in query(
        database,
        "select table_name, column_name from information_schema.columns where table_schema = 'llm_spend' order by all",
    ):
        if table not in NOT_COMPARED and column not in ARRIVAL:
            tables.setdefault(table, []).append(column)
    return tables


def assert_same(first: Path, second: Path) -> None:
    """Every public table of one database has exactly the rows of the other's."""
    tables = public_tables(first)
    assert tables == public_tables(second)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{first}' as a (read_only)")
        connection.execute(f"attach '{second}' as b (read_only)")
        for table, columns in tables.items():
            names = ", ".join(columns)
            for left, right in (("a", "b"), ("b", "a")):
                odd = connection.execute(
                    f"select {names} from {left}.llm_spend.{table}"
                    f" except all select {names} from {right}.llm_spend.{table}"
                ).fetchall()
                assert not odd, (table, left, odd[:3])


def snapshot(database: Path, folder: Path) -> Path:
    """A copy of a database as it is now."""
    return Path(shutil.copy(database, folder / f"{database.stem}-{len(list(folder.iterdir()))}.duckdb"))


def test_days_loaded_one_after_the_other_give_the_same_tables(demo: Demo, tmp_path: Path) -> None:
    database = tmp_path / "steps.duckdb"
    first = [
        each.model_copy(update={"path": each.path.replace("/*.jsonl.gz", "/*2026-0[89]*.jsonl.gz")})
        for each in run_demo.sources(demo.folder)
        if each.source != "litellm"
    ]
    load_sources(first, database)
    assert build(database, seeds=demo.seeds, test=False).ok
    before = query(database, "select count(*) from llm_spend.fct_llm_requests")

    # The rest overlaps: late rows, rows exported again, grown versions of rows that are already priced.
    load_sources(run_demo.sources(demo.folder), database)
    assert build(database, seeds=demo.seeds).ok
    assert query(database, "select count(*) from llm_spend.fct_llm_requests") > before
    assert_same(database, demo.database)

    built = snapshot(database, tmp_path)
    again = load_sources(run_demo.sources(demo.folder), database)
    assert sum(report.rows for report in again) == 0
    assert build(database, seeds=demo.seeds, test=False).ok
    assert_same(database, built)
    arrival = "select request_key, load_id, loaded_at from llm_spend.fct_llm_requests order by all"
    assert query(database, arrival) == query(built, arrival)

    seeds = tmp_path / "seeds"
    shutil.copytree(demo.seeds, seeds)
    members = (seeds / "org_members.csv").read_text(encoding="utf-8").splitlines()
    (seeds / "org_members.csv").write_text("\n".join(members[:-40]) + "\n", encoding="utf-8")
    assert build(database, seeds=seeds, test=False).ok
    incremental = snapshot(database, tmp_path)
    assert build(database, seeds=seeds, full_refresh=True, test=False).ok
    assert_same(database, incremental)
    teams = "select team_id, count(*) from llm_spend.fct_llm_requests group by all order by all"
    assert query(database, teams) != query(built, teams), "a changed organisation changes the owners"
