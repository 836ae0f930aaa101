"""What an emulator lets pass: the SQL that dbt compiled, checked without one, in both branches of is_incremental().

The last test leaves a wrong table behind: what reads live tables is in files that run before this one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import long
from tests.warehouses.compare import differences
from tests.warehouses.conftest import History, dbt
from tests.warehouses.servers import VENVS
from tests.warehouses.static import check_googlesql, check_sqlglot
from tests.warehouses.static.constants import unpruned
from tests.warehouses.static.project import compiled_nodes
from tests.warehouses.test_matrix import ARRIVAL

pytestmark = pytest.mark.slow

# The step that builds everything from nothing and runs the tests; the second one finds tables.
FIRST, INCREMENTAL = {"in_snowflake": "refreshed", "in_bigquery": "first"}, "second"
# On BigQuery `llm-spend build` tells dates as constants; dbt alone finds them in its queries.
WITHOUT_CONSTANTS = "rerun"
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
    assert check(manifests[FIRST[fixture]], manifests[INCREMENTAL]) == []


@pytest.mark.parametrize("route", ["bigquery, sqlglot", pytest.param("bigquery, GoogleSQL", marks=long)])
def test_so_is_the_sql_without_constants(route: str, in_bigquery: History) -> None:
    check, manifests = ROUTES[route][1], in_bigquery.manifests
    fact = "model.llm_spend.fct_llm_requests"
    has_constants = {step: "in (date '" in compiled_nodes(manifests[step])[fact]["compiled_code"] for step in manifests}
    assert [step for step, has in has_constants.items() if has] == ["second"]
    assert check(manifests[FIRST["in_bigquery"]], manifests[WITHOUT_CONSTANTS]) == []


def test_a_day_looks_for_its_dates_in_new_loads(in_bigquery: History) -> None:
    """test_bigquery_dates looks at what is then built of the dates."""
    first, second = (compiled_nodes(in_bigquery.manifests[step]) for step in ("first", "second"))
    reads_all = {
        name: [
            bool(unpruned(nodes[f"model.llm_spend.{name}"]["compiled_code"], {"int_requests_unioned": {"load_id"}}))
            for nodes in (first, second)
        ]
        for name in ("int_load_contents", "int_seen_requests", "int_moved_requests", "int_usage_dates")
    }
    assert reads_all == {
        "int_load_contents": [True, False],
        "int_seen_requests": [True, False],
        "int_moved_requests": [False, False],
        "int_usage_dates": [False, False],
    }


@long
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("sum(cost_usd)", "sum(team_id)", id="type"),
        pytest.param("max(started_at)", "max(started)", id="column"),
    ],
)
def test_a_broken_model_fails_the_static_checks(
    route: str, right: str, wrong: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture, check = ROUTES[route]
    whole: Path = request.getfixturevalue(fixture).manifests[FIRST[fixture]]
    broken = shutil.copytree(whole.parent, tmp_path / "broken") / whole.name
    model = f"model.llm_spend.{MODEL}"
    compiled = compiled_nodes(whole)[model]["compiled_code"]
    assert right in compiled
    content = json.loads(broken.read_text())
    content["nodes"][model]["compiled_code"] = compiled.replace(right, wrong)
    broken.write_text(json.dumps(content))
    assert any(MODEL in problem for problem in check(broken, None))


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
    """Run one model alone, on all dates, with a word of its macro replaced, in a copy of the project."""
    destination = history.destination
    project = destination.work_dir / "changed"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(destination.work_dir / "dbt_project", project)
    macro = project / "macros" / "usage" / "usage_measures.sql"
    content = macro.read_text()
    assert right in content
    macro.write_text(content.replace(right, wrong))
    return dbt(destination, "run", "--full-refresh", "--select", MODEL, project=project)
