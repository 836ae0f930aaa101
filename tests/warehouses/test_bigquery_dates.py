"""On BigQuery dates are replaced by constants: those that changed, those that became empty, and no others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_spend.build import BuildReport, build
from llm_spend.build_constants import can_be_asked, stale_dates
from llm_spend.destinations import BigQuery
from llm_spend.load import load_logs
from llm_spend.sources import generic
from tests.conftest import long
from tests.warehouses.conftest import Organisation, build_by_dbt_alone, set_environment
from tests.warehouses.servers import bigquery_server
from tests.warehouses.static.constants import unpruned

pytestmark = [
    pytest.mark.slow,
    long,  # five minutes for what the matrix shows but for emptied and moved dates
]

MAPPING = generic.Mapping.model_validate(
    {
        "source": "InHouse",
        "columns": {"source_record_id": "id", "started_at": "ts", "input_tokens": "ctx", "output_tokens": "gen"},
        "defaults": {"provider": "openai", "raw_model": "gpt-4o"},
        "metadata": ["squad"],
    }
)
Rows = list[tuple[Any, ...]]


class Installation:
    """A BigQuery that gets one small log after the other."""

    def __init__(self, folder: Path, seeds: Path) -> None:
        self.destination = BigQuery(folder=folder)
        self._logs, self._seeds = folder / "logs", seeds
        self._logs.mkdir()

    def load(self, *rows: tuple[str, str, int]) -> None:
        """A log of (id, time, output tokens)."""
        lines = [f"{key},2026-11-{at},100,{tokens},ads\n" for key, at, tokens in rows]
        path = self._logs / f"{len(list(self._logs.iterdir()))}.csv"
        path.write_text("id,ts,ctx,gen,squad\n" + "".join(lines), encoding="utf-8")
        load_logs("generic", str(self._logs), self.destination, mapping=MAPPING)

    def build(self) -> BuildReport:
        return build(self.destination, seeds=self._seeds, test=False)

    def facts(self) -> Rows:
        """Id, day and output tokens of every request."""
        day = "extract(day from usage_date)"
        return self.query(f"select source_record_id, {day}, output_tokens from llm_spend.fct_llm_requests order by 1")

    def days(self) -> Rows:
        """Day, requests and output tokens of every mart row."""
        day = "extract(day from usage_date)"
        return self.query(f"select {day}, requests, output_tokens from llm_spend.llm_usage_by_team_daily order by 1")

    def query(self, sql: str) -> Rows:
        return [tuple(row) for row in self.destination.query(sql)]


@pytest.fixture
def installation(organisation: Organisation, tmp_path: Path) -> Iterator[Installation]:
    seeds = shutil.copytree(organisation.few_prices, tmp_path / "seeds")
    (seeds / "attribution_rules.csv").write_text(
        "dimension,source_system,metadata_key,priority\nteam,InHouse,squad,1\n", encoding="utf-8"
    )
    with bigquery_server(tmp_path / "server.log") as server, pytest.MonkeyPatch.context() as patch:
        set_environment(patch, server.environment)
        yield Installation(tmp_path, seeds)


def test_dates_are_replaced_and_emptied(installation: Installation) -> None:
    """By `llm-spend build`; test_matrix builds by dbt alone, too."""
    destination = installation.destination
    installation.load(
        ("v", "03 10:00:00", 20), ("a", "03 11:00:00", 10), ("alone", "04 09:00:00", 7), ("other", "01 09:00:00", 1)
    )
    assert installation.build().ok
    assert installation.days() == [(1, 1, 1), (3, 2, 30), (4, 1, 7)]
    assert can_be_asked(destination)

    # Two requests move to another day, and leave one day empty.
    installation.load(("v", "05 10:00:00", 40), ("alone", "05 09:00:00", 8))
    report = installation.build()
    assert report.ok, (report.failures, report.failed_tests)
    assert installation.facts() == [("a", 3, 10), ("alone", 5, 8), ("other", 1, 1), ("v", 5, 40)]
    assert installation.days() == [(1, 1, 1), (3, 1, 10), (5, 2, 48)]
    assert set(map(len, stale_dates(destination).values())) == {0}

    # A day is built again that a request has left: its other version stands on a day that is not built. The build
    # before this one ended when it had found the dates.
    wrong = "update llm_spend.llm_usage_by_team_daily set output_tokens = 1000 where usage_date = date '2026-11-{}'"
    destination.execute(wrong.format("01"), wrong.format("03"))
    installation.load(("z", "03 12:00:00", 10))
    build_by_dbt_alone(destination, "+int_usage_dates")
    built, moved = ["2026-11-03"], ["2026-11-05"]
    assert stale_dates(destination) == {"date_version": built, "quota_version": built, "moved_from": moved}
    report = installation.build()
    assert report.ok, (report.failures, report.failed_tests)
    assert installation.facts() == [("a", 3, 10), ("alone", 5, 8), ("other", 1, 1), ("v", 5, 40), ("z", 3, 10)]
    assert installation.days() == [(1, 1, 1000), (3, 2, 20), (5, 2, 48)], "the 3rd was replaced, and no other date"

    # What a build of one day asks of the warehouse.
    day = ["2026-11-03"]
    constants = {"date_version": day, "quota_version": day, "moved_from": [], "new_loads": []}
    assert read_all(destination, {}) != {}, "without constants history is read"
    assert read_all(destination, constants) == {}


# Views and tables with a row a request, or nearly, and the columns that must be told to skip what is not to build.
LARGE = {
    "int_requests_unioned": {"usage_date", "started_at"},
    "fct_llm_requests": {"usage_date"},
    "int_quota_matches": {"usage_date"},
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
    "int_quota_breach_ledger": {"int_quota_matches": {"usage_date"}},
}
# One column of a summary.
NOT_LOOKED_AT = {"accepted_values_llm_quota_usage_status__ok__warning__breached"}


def read_all(destination: BigQuery, constants: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Models and tests that read large tables whole once all is there, with what they read."""
    project = destination.work_dir / "dbt_project"
    subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "compile", "--profiles-dir", str(project)],
        cwd=project,
        env={**os.environ, **destination.dbt_environment(), "LLM_SPEND_CONSTANTS": json.dumps(constants)},
        check=True,
    )
    nodes = json.loads((project / "target" / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    compiled = {
        node["name"]: node["compiled_code"]
        for node in nodes.values()
        if node["resource_type"] == "test" or node["config"]["materialized"] in ("incremental", "table")
        if node.get("compiled_code") and node["name"] not in NOT_LOOKED_AT
    }
    reads = {name: unpruned(sql, ELSE.get(name, LARGE)) for name, sql in compiled.items()}
    return {name: found for name, found in reads.items() if found}
