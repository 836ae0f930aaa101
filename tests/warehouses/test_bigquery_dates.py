"""On BigQuery a build is told its dates as constants: those that changed, those that became empty, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from llm_spend.build_constants import can_be_asked, stale_dates
from tests.warehouses import moved
from tests.warehouses.conftest import History, dbt
from tests.warehouses.static.constants import unpruned

pytestmark = pytest.mark.slow


def test_the_dates_that_were_told(in_bigquery: History) -> None:
    """Of those of the log whose times were corrected; test_matrix looks at what became of them."""
    compiled = dict(compiled_sql(in_bigquery.manifests["second"]))
    to_build = {moved.BUILT, moved.EMPTIED, moved.MOVED_TO}
    assert told_of(compiled["llm_usage_by_team_daily"]) == to_build
    assert told_of(compiled["fct_llm_requests"]) == {*to_build, moved.MOVED_FROM}
    assert can_be_asked(in_bigquery.destination)
    assert set(map(len, stale_dates(in_bigquery.destination).values())) == {0}


def told_of(sql: str) -> set[date]:
    """The days of that log among the constants of a query."""
    return {date(2026, 7, int(day)) for day in re.findall(r"date '2026-07-(\d\d)'", sql)}


# Views and tables with a row a request, or nearly, and the columns that must be told to skip what is not to build.
LARGE = {
    "int_requests_unioned": {"usage_date", "started_at"},
    "fct_llm_requests": {"usage_date"},
    "int_quota_sums": {"usage_date"},
    "llm_quota_usage": {"usage_date"},
}
# What finds the dates reads new loads.
# Feedback of today can be about a request of any date.
# Windows that are longer than a day are added up from all their dates; a row a load, subject and date.
ELSE: dict[str, dict[str, set[str]]] = {
    "int_load_contents": {"int_requests_unioned": {"load_id"}},
    "int_seen_requests": {"int_requests_unioned": {"load_id"}},
    "llm_feedback": {},
    "int_quota_breach_ledger": {"fct_llm_requests": {"usage_date"}},
    "llm_budget_status": {"fct_llm_requests": {"usage_date"}},
}
# One column of a summary.
NOT_LOOKED_AT = {"accepted_values_llm_quota_usage_status__ok__warning__breached"}


def test_a_build_of_one_day_reads_that_day(in_bigquery: History) -> None:
    """What it asks of the warehouse, its tests included."""
    destination, day = in_bigquery.destination, [moved.BUILT.isoformat()]
    constants = {"date_version": day, "quota_version": day, "moved_from": [], "new_loads": []}
    done = dbt(destination, "compile", constants=constants)
    assert done.returncode == 0, done.stdout
    assert read_all(destination.work_dir / "dbt_project" / "target" / "manifest.json") == {}
    assert read_all(in_bigquery.manifests["rerun"]) != {}, "without constants history is read"


def read_all(manifest: Path) -> dict[str, list[str]]:
    """Models and tests that read large tables whole once all is there, with what they read."""
    reads = {name: unpruned(sql, ELSE.get(name, LARGE)) for name, sql in compiled_sql(manifest)}
    return {name: found for name, found in reads.items() if found}


def compiled_sql(manifest: Path) -> Iterator[tuple[str, str]]:
    """The tables and tests that were compiled, by name."""
    for node in json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values():
        is_asked = node["resource_type"] == "test" or node["config"]["materialized"] in ("incremental", "table")
        if is_asked and node.get("compiled_code") and node["name"] not in NOT_LOOKED_AT:
            yield node["name"], node["compiled_code"]
