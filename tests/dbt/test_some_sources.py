"""Each source alone, and none at all: nothing asks for what others would bring.

Of every source the raw tables are filled that it writes; all others are empty, as a first load leaves them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_spend.build import prepare_project
from llm_spend.dbt_process import DbtProcess
from llm_spend.demo import run_demo
from llm_spend.destinations import DuckDb
from llm_spend.schema import BOOKKEEPING_TABLES
from llm_spend.sources import SOURCES, raw_formats
from tests.conftest import Demo, load_sources, long, query
from tests.dbt.one_source import COPIED, MADE, OneSource, tables_of

pytestmark = pytest.mark.slow

MODELS = {
    "portkey": "stg_portkey__logs",
    "truefoundry": "stg_truefoundry__spans",
    "litellm": "stg_litellm__payloads",
    "generic": "stg_generic__requests",
}
SYSTEMS = {"generic": "self_hosted"}
REQUESTS = {"portkey__logs", "truefoundry__spans", "litellm__payloads", "generic__requests"}
# Bills, lists and no request: the one that is least like the demo.
QUICK = "openai"


@pytest.fixture(scope="module")
def one_source(demo: Demo) -> Iterator[OneSource]:
    with closing(OneSource(demo)) as database:
        yield database


def test_every_raw_table_that_models_read_is_there_after_the_first_load(one_source: OneSource) -> None:
    read = {source["name"] for source in one_source.manifest["sources"].values()}
    assert read == {*raw_formats(), *BOOKKEEPING_TABLES, "_dlt_loads"}
    assert set().union(*map(tables_of, SOURCES)) == {*raw_formats()} == {*COPIED, *MADE}


@pytest.mark.parametrize("source", [pytest.param(source, marks=() if source == QUICK else long) for source in SOURCES])
def test_all_models_of_a_source_alone(one_source: OneSource, source: str) -> None:
    assert one_source.build(source) == []
    systems = one_source.rows("select distinct source_system from llm_spend.fct_llm_requests")
    assert systems == ([(source,)] if tables_of(source) & REQUESTS else [])
    loaded = one_source.rows("select distinct source from llm_spend.llm_load_history where rows_loaded > 0")
    assert loaded == [(source,)]


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
