"""Each gateway alone, and none at all: what llm_spend_request_models leaves out is not missed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_spend.build import prepare_project
from llm_spend.dbt_process import DbtProcess
from llm_spend.demo import run_demo
from llm_spend.destinations import DuckDb
from tests.conftest import load_sources, long, query

pytestmark = pytest.mark.slow

MODELS = {
    "portkey": "stg_portkey__logs",
    "truefoundry": "stg_truefoundry__spans",
    "litellm": "stg_litellm__payloads",
    "generic": "stg_generic__requests",
}
SYSTEMS = {"generic": "self_hosted"}


@long
@pytest.mark.parametrize("source", [None, *MODELS])
def test_the_project_builds_with_one_gateway_or_none(source: str | None, tmp_path: Path) -> None:
    destination = DuckDb(tmp_path / "some.duckdb")
    inputs = run_demo.write(tmp_path / "organisation", 1000, seed=7)
    wanted = source or "portkey"
    load_sources([each for each in inputs.sources if each.source == wanted], destination)
    project = prepare_project(destination.work_dir, inputs.seeds)
    variables = {
        "llm_spend_raw_schema": destination.schemas.raw,
        "llm_spend_request_models": [MODELS[source]] if source else [],
    }
    arguments = ["build", "--project-dir", str(project), "--profiles-dir", str(project)]
    arguments += ["--exclude-resource-type", "unit_test", "--vars", json.dumps(variables)]
    with DbtProcess(destination.name) as dbt:
        results = dbt.run(arguments, project, destination.dbt_environment(), lambda *progress: None)
    assert {result["status"] for result in results} <= {"success", "pass", "warn"}
    systems = query(destination.database, "select distinct source_system from llm_spend.fct_llm_requests")
    assert systems == ([(SYSTEMS.get(source, source),)] if source else [])
