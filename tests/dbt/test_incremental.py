"""Incremental, rerun and full refresh end in the same tables, row for row."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import duckdb
import pytest

from llm_spend.build import build
from llm_spend.demo import run_demo
from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.sources import generic
from tests.conftest import Demo, load_sources, long, query
from tests.few_prices import few_prices

pytestmark = pytest.mark.slow

# When a row arrived is the one thing that the number of loads changes.
ARRIVAL = {"loaded_at", "load_id", "date_version", "last_loaded_at", "last_listed_at", "detected_at"}
# A build before midnight, and one after it.
ARRIVAL |= {"organisation_date"}
# What comes in files is known up to its load.
ARRIVAL_OF_TABLE = {"llm_source_health": {"known_to"}}
NOT_COMPARED = {"llm_load_history"}


def public_tables(database: Path) -> dict[str, list[str]]:
    """Comparable columns by table."""
    tables: dict[str, list[str]] = {}
    for table, column in query(
        database,
        "select table_name, column_name from information_schema.columns where table_schema = 'llm_spend' order by all",
    ):
        if table not in NOT_COMPARED and column not in ARRIVAL | ARRIVAL_OF_TABLE.get(table, set()):
            tables.setdefault(table, []).append(column)
    return tables


def assert_same(first: Path, second: Path, but: Collection[str] = ()) -> None:
    """Every public table of one database has exactly the rows of the other's, `but` for some columns."""
    tables = public_tables(first)
    assert tables == public_tables(second)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{first}' as a (read_only)")
        connection.execute(f"attach '{second}' as b (read_only)")
        for table, columns in tables.items():
            names = ", ".join(column for column in columns if column not in but)
            for left, right in (("a", "b"), ("b", "a")):
                odd = connection.execute(
                    f"select {names} from {left}.llm_spend.{table}"
                    f" except all select {names} from {right}.llm_spend.{table}"
                ).fetchall()
                assert not odd, (table, left, odd[:3])


def snapshot(database: Path, folder: Path) -> Path:
    """A copy of a database as it is now."""
    return Path(shutil.copy(database, folder / f"{database.stem}-{len(list(folder.iterdir()))}.duckdb"))


# tests/warehouses takes a smaller organisation through such steps, in DuckDB as well.
@long
def test_days_loaded_one_after_the_other_give_the_same_tables(demo: Demo, tmp_path: Path) -> None:
    database, seeds = tmp_path / "steps.duckdb", few_prices(tmp_path / "seeds", demo.seeds)
    first = [
        each.model_copy(update={"path": each.path.replace("/*.jsonl.gz", "/*2026-0[89]*.jsonl.gz")})
        for each in run_demo.sources(demo.folder)
        if each.source != "litellm"
    ]
    load_sources(first, DuckDb(database))
    assert build(DuckDb(database), seeds=seeds, test=False).ok
    before = query(database, "select count(*) from llm_spend.fct_llm_requests")

    # The rest overlaps: late rows, rows exported again, grown versions of rows that are already priced.
    load_sources(run_demo.sources(demo.folder), DuckDb(database))
    assert build(DuckDb(database), seeds=seeds).ok
    assert query(database, "select count(*) from llm_spend.fct_llm_requests") > before
    # It has more prices, of models that nobody used: only their fingerprint tells.
    assert_same(database, demo.database, but={"pricing_basis"})

    built = snapshot(database, tmp_path)
    again = load_sources(run_demo.sources(demo.folder), DuckDb(database))
    assert sum(report.rows for report in again) == 0
    assert build(DuckDb(database), seeds=seeds, test=False).ok
    assert_same(database, built)
    arrival = "select request_key, load_id, loaded_at from llm_spend.fct_llm_requests order by all"
    assert query(database, arrival) == query(built, arrival)

    members = (seeds / "org_members.csv").read_text(encoding="utf-8").splitlines()
    (seeds / "org_members.csv").write_text("\n".join(members[:-40]) + "\n", encoding="utf-8")
    assert build(DuckDb(database), seeds=seeds, test=False).ok
    incremental = snapshot(database, tmp_path)
    assert build(DuckDb(database), seeds=seeds, full_refresh=True, test=False).ok
    assert_same(database, incremental)
    teams = "select team_id, count(*) from llm_spend.fct_llm_requests group by all order by all"
    assert query(database, teams) != query(built, teams), "a changed organisation changes the owners"


# All that the tests below read, and what it is made of.
DAYS_ONLY = ("+llm_usage_by_team_daily",)


def write_log(folder: Path, name: str, rows: list[tuple[str, str, int, str]]) -> None:
    """A log of (id, time, output tokens, squad)."""
    lines = [f"{key},{at},100,{tokens},{squad}\n" for key, at, tokens, squad in rows]
    (folder / name).write_text("id,ts,ctx,gen,squad\n" + "".join(lines), encoding="utf-8")


MAPPING = generic.Mapping.model_validate(
    {
        "source": "InHouse",
        "columns": {
            "source_record_id": "id",
            "started_at": "ts",
            "input_tokens": "ctx",
            "output_tokens": "gen",
        },
        "defaults": {"provider": "openai", "raw_model": "gpt-4o"},
        "metadata": ["squad"],
    }
)
FACTS = (
    "select source_record_id, usage_date::varchar, output_tokens, team_id from llm_spend.fct_llm_requests order by all"
)
DAYS = (
    "select usage_date::varchar, team_id, requests, output_tokens from llm_spend.llm_usage_by_team_daily order by all"
)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Seeds of an organisation whose logs name the team `squad`."""
    folder = few_prices(tmp_path / "seeds")
    (folder / "attribution_rules.csv").write_text(
        "dimension,source_system,metadata_key,priority\nteam,InHouse,squad,1\n", encoding="utf-8"
    )
    return folder


def test_a_corrected_record_stays_corrected(tmp_path: Path, seeds: Path) -> None:
    """A record that moved to another day must not come back when its old day is built again, nor leave a day behind."""
    logs, database = tmp_path / "logs", tmp_path / "moved.duckdb"
    logs.mkdir()
    steps = [
        [
            ("v", "2026-11-03 10:00:00", 20, "ads"),
            ("a", "2026-11-03 11:00:00", 10, "ads"),
            ("alone", "2026-11-04 09:00:00", 7, "ads"),
        ],
        [("v", "2026-11-05 10:00:00", 40, "ads"), ("alone", "2026-11-05 09:00:00", 8, "ads")],
        [("z", "2026-11-03 12:00:00", 10, "ads")],
        [("y", "2026-11-03 13:00:00", 5, "ads")],
    ]
    # What is kept of a DuckDB that made other hashes of the same texts.
    other_hashes = [
        f"update llm_spend_internal.{table} set request_hash = xor(request_hash, 1), place_hash = xor(place_hash, 1)"
        for table in ("int_seen_requests", "int_moved_requests")
    ]
    for number, rows in enumerate(steps):
        if number == 3:
            DuckDb(database).execute(*other_hashes)
        write_log(logs, f"{number}.csv", rows)
        load_logs("generic", str(logs), DuckDb(database), mapping=MAPPING)
        assert build(DuckDb(database), seeds=seeds, select=DAYS_ONLY, test=number == len(steps) - 1).ok
    facts = [
        ("a", "2026-11-03", 10, "ads"),
        ("alone", "2026-11-05", 8, "ads"),
        ("v", "2026-11-05", 40, "ads"),
        ("y", "2026-11-03", 5, "ads"),
        ("z", "2026-11-03", 10, "ads"),
    ]
    days = [("2026-11-03", "ads", 3, 25), ("2026-11-05", "ads", 2, 48)]
    assert (query(database, FACTS), query(database, DAYS)) == (facts, days)
    assert build(DuckDb(database), seeds=seeds, select=DAYS_ONLY, full_refresh=True, test=False).ok
    assert (query(database, FACTS), query(database, DAYS)) == (facts, days)


# tests/orchestration kills a build, too, and looks at all tables after the next one.
@long
def test_a_build_makes_up_for_one_that_failed_half_way(tmp_path: Path, seeds: Path) -> None:
    """Tables that have another version of a date, or lack the date, get it; the others are left alone."""
    logs, database = tmp_path / "logs", tmp_path / "failed.duckdb"
    logs.mkdir()
    write_log(logs, "0.csv", [("a", "2026-11-03 11:00:00", 10, "ads"), ("b", "2026-11-04 11:00:00", 20, "ads")])
    load_logs("generic", str(logs), DuckDb(database), mapping=MAPPING)
    assert build(DuckDb(database), seeds=seeds, select=DAYS_ONLY, test=False).ok
    facts, days = query(database, FACTS), query(database, DAYS)
    DuckDb(database).execute(
        "update llm_spend.fct_llm_requests set date_version = 'old', output_tokens = 0 where source_record_id = 'a'",
        "delete from llm_spend.llm_usage_by_team_daily where usage_date = '2026-11-04'",
        "update llm_spend.llm_usage_by_team_daily set requests = 99 where usage_date = '2026-11-03'",
    )
    assert build(DuckDb(database), seeds=seeds, select=DAYS_ONLY, full_refresh=False, test=False).ok
    assert query(database, FACTS) == facts
    assert query(database, DAYS) == [(day, team, 99 if day == "2026-11-03" else n, t) for day, team, n, t in days]


@long
def test_a_changed_quota_rule_reaches_old_days_and_leaves_requests_alone(tmp_path: Path, seeds: Path) -> None:
    logs, database = tmp_path / "logs", tmp_path / "rules.duckdb"
    logs.mkdir()
    write_log(logs, "0.csv", [("a", "2026-11-03 11:00:00", 10, "ads"), ("b", "2026-11-03 11:00:30", 20, "ads")])
    load_logs("generic", str(logs), DuckDb(database), mapping=MAPPING)
    versions = "select distinct date_version from llm_spend.fct_llm_requests"
    usage = "select rule_id, subject, used, limit_to, status from llm_spend.llm_quota_usage"
    header = (
        "rule_set,rule_id,rule_order,evaluation,subject_type,subject,models,metadata_key,metadata_value,applies_per,"
        "unit,limit_to,valid_from,valid_to\n"
    )
    found = []
    for limit in (2, 1):
        (seeds / "quota_rules.csv").write_text(
            f"{header}s,r,1,all_match,team,ads,,,,,requests_per_day,{limit},2026-01-01,\n", encoding="utf-8"
        )
        assert build(DuckDb(database), seeds=seeds).ok
        found.append((query(database, usage), query(database, versions)))
    (before, version), (after, same_version) = found
    assert before == [("r", "ads", 2, 2, "warning")]
    assert after == [("r", "ads", 2, 1, "breached")]
    assert same_version == version
