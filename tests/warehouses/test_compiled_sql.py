"""What an emulator lets pass: the SQL that dbt compiled, checked without one, in both branches of is_incremental().

The last test leaves a wrong table behind: what reads live tables is in files that run before this one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.warehouses.compare import differences
from tests.warehouses.conftest import History
from tests.warehouses.servers import VENVS
from tests.warehouses.static import check_googlesql, check_sqlglot
from tests.warehouses.test_matrix import ARRIVAL

pytestmark = pytest.mark.slow

# The last step builds everything from nothing and runs the tests; the second one finds tables.
FIRST, INCREMENTAL = "refreshed", "second"
MODEL = "llm_usage_by_team_daily"


def googlesql(first: Path, incremental: Path | None) -> list[str]:
    python = VENVS / "googlesql" / "bin" / "python"
    return check_googlesql(first, incremental, python=python, cache=VENVS / "googlesql" / "cache")


ROUTES: dict[str, tuple[str, Callable[[Path, Path | None], list[str]]]] = {
    "bigquery, GoogleSQL": ("in_bigquery", googlesql),
    "bigquery, sqlglot": ("in_bigquery", lambda first, later: check_sqlglot(first, "bigquery", later)),
    "snowflake, sqlglot": ("in_snowflake", lambda first, later: check_sqlglot(first, "snowflake", later)),
}


@pytest.mark.parametrize("route", ROUTES)
def test_the_compiled_sql_is_that_of_the_warehouse(route: str, request: pytest.FixtureRequest) -> None:
    fixture, check = ROUTES[route]
    manifests = request.getfixturevalue(fixture).manifests
    assert check(manifests[FIRST], manifests[INCREMENTAL]) == []


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("right", "wrong"), [("sum(cost_usd)", "sum(team_id)"), ("max(started_at)", "max(started)")], ids=["type", "column"]
)
def test_a_broken_model_fails_the_static_checks(
    route: str, right: str, wrong: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture, check = ROUTES[route]
    manifest = tmp_path / "manifest.json"
    content = _compiled(request.getfixturevalue(fixture).manifests[FIRST])
    node = content["nodes"][f"model.llm_spend.{MODEL}"]
    assert right in node["compiled_code"]
    node["compiled_code"] = node["compiled_code"].replace(right, wrong)
    manifest.write_text(json.dumps(content))
    assert any(MODEL in problem for problem in check(manifest, None))


def _compiled(manifest: Path) -> dict[str, Any]:
    """A manifest with the compiled SQL of every node in it."""
    content: dict[str, Any] = json.loads(manifest.read_text())
    for result in json.loads(manifest.with_name("run_results.json").read_text())["results"]:
        if result["unique_id"] in content["nodes"]:
            content["nodes"][result["unique_id"]]["compiled_code"] = result["compiled_code"]
    return content


@pytest.mark.parametrize("fixture", ["in_snowflake", "in_bigquery"])
def test_a_broken_model_fails_on_the_emulator(fixture: str, request: pytest.FixtureRequest) -> None:
    history: History = request.getfixturevalue(fixture)
    failed = _run_changed(history, "is_final_attempt", "is_last_attempt")
    assert failed.returncode != 0
    assert "is_last_attempt" in failed.stdout.lower()


@pytest.mark.parametrize("fixture", ["in_snowflake", "in_bigquery"])
def test_a_wrong_number_fails_the_comparison(fixture: str, in_duckdb: History, request: pytest.FixtureRequest) -> None:
    history: History = request.getfixturevalue(fixture)
    assert _run_changed(history, "coalesce(is_gateway_cache_hit, false)", "false").returncode == 0
    found = differences(in_duckdb.tables["refreshed"][MODEL], history.read(MODEL), ARRIVAL)
    assert any(".total_tokens" in message for message in found)


def _run_changed(history: History, right: str, wrong: str) -> subprocess.CompletedProcess[str]:
    """Run one model alone, with a word of its macro replaced, in a copy of the project."""
    destination = history.destination
    project = destination.work_dir / "changed"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(destination.work_dir / "dbt_project", project)
    macro = project / "macros" / "usage" / "usage_measures.sql"
    content = macro.read_text()
    assert right in content
    macro.write_text(content.replace(right, wrong))
    return subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "run", "--select", MODEL, "--profiles-dir", project],
        cwd=project,
        env={**os.environ, **destination.dbt_environment()},
        capture_output=True,
        text=True,
    )
