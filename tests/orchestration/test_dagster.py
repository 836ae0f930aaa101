"""Dagster's definitions: one graph from source to mart, in which every dbt test is a check."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from llm_spend.build import BuildReport
from llm_spend.build_record import Extent, last_build
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.load import LoadReport
from llm_spend.publish import PublishedFile, file_to_publish, publish
from llm_spend.settings import Settings, SourceSettings, read_settings

from .conftest import DAGSTER, Ran

pytestmark = pytest.mark.slow

DAY = datetime(2026, 11, 2, 4, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_the_site(dagster_run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dagster_run.site)


def key(*path: str) -> dg.AssetKey:
    return dg.AssetKey(list(path))


def test_the_daily_job_builds_every_table_and_tells_every_test(dagster_run: Ran) -> None:
    defs, result = dagster_run.module.defs, dagster_run.result
    dg.Definitions.validate_loadable(defs)
    manifest = json.loads(
        next(dagster_run.database.parent.rglob("dagster/dbt_project/target/manifest.json")).read_bytes()
    )
    nodes = [node for node in manifest["nodes"].values() if node["config"]["enabled"]]
    told = {each.check_name for each in result.get_asset_check_evaluations()}
    assert told >= {node["name"] for node in nodes if node["resource_type"] == "test"}

    made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert made >= {key(node["schema"], node["name"]) for node in nodes if node["resource_type"] in ("model", "seed")}
    rows = {
        event.asset_key: event.materialization.metadata["rows"].value
        for event in result.get_asset_materialization_events()
        if len(event.asset_key.path) == 2 and "rows" in event.materialization.metadata
    }
    assert set(rows) == {
        key("portkey", "portkey__logs"),
        key("truefoundry", "truefoundry__spans"),
        key("litellm", "litellm__payloads"),
        key("generic", "generic__requests"),
        key("bill_usage", "provider__usage"),
        key("bill_costs", "provider__costs"),
    }
    assert all(rows.values())

    specs = {spec.key: spec for spec in defs.resolve_all_asset_specs()}
    staging = specs[key("llm_spend_internal", "stg_portkey__logs")]
    assert key("portkey", "portkey__logs") in {dep.asset_key for dep in staging.deps}
    assert specs[key("llm_spend", "llm_quota_breaches")].freshness_policy
    assert {node.pool for node in defs.resolve_job_def("daily").all_node_defs} == {"llm_spend_writer"}


def test_a_few_tables_can_be_built_and_then_nobody_takes_all_for_built(dagster_run: Ran) -> None:
    loads = "select count(*) || ' ' || max(load_id) from llm_spend_raw._dlt_loads where status = 0"
    before = DuckDb(dagster_run.database).query(loads)
    file = file_to_publish(DuckDb(dagster_run.database), None)
    published = publish(DuckDb(dagster_run.database), file, wait=0)
    chosen = key("llm_spend", "llm_budget_status")
    with dg.DagsterInstance.ephemeral() as instance:
        job = dagster_run.module.defs.resolve_job_def("daily")
        result = job.execute_in_process(instance=instance, asset_selection=[chosen])
        assert [event.asset_key for event in result.get_asset_materialization_events()] == [chosen]
        assert {each.asset_key for each in result.get_asset_check_evaluations()} == {chosen}
    assert last_build(DuckDb(dagster_run.database), "any", datetime.now()).extent is Extent.EVERYTHING
    assert DuckDb(dagster_run.database).query(loads) == before
    # Readers keep the last whole build.
    readers = PublishedFile(file).publication()
    assert readers and readers.built_at == published.built_at
    file.unlink()


def test_the_schedule_asks_for_the_day_and_the_sensor_for_alerts(dagster_run: Ran, tmp_path: Path) -> None:
    defs = dagster_run.module.defs
    schedule = defs.get_schedule_def("every_day")
    ((request,), skipped) = _evaluated(schedule, dg.build_schedule_context(scheduled_execution_time=DAY))
    assert (request.run_key, request.partition_key, skipped) == ("2026-11-02", None, None)

    place = dagster_run.module.Place
    for settings, runs in ((Settings(), False), (Settings(metrics_file=tmp_path / "spend.prom"), True)):
        _, sensor = dagster_run.module.alerts_of(place(settings))
        with dg.DagsterInstance.ephemeral() as instance:
            instance.report_runless_asset_event(dg.AssetMaterialization(key("llm_spend", "llm_quota_breaches")))
            context = dg.build_sensor_context(instance=instance, definitions=defs)
            requests, skipped = _evaluated(sensor, context)
            assert (bool(requests), bool(skipped)) == (runs, not runs)


def _evaluated(definition: Any, context: Any) -> tuple[list[Any], str | None]:
    found = definition.evaluate_tick(context)
    return list(found.run_requests or []), found.skip_message


def test_alerts_are_those_of_the_command(dagster_run: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = tmp_path / "spend.prom"
    monkeypatch.setenv("LLM_SPEND_METRICS_FILE", str(metrics))
    result = dagster_run.module.defs.resolve_job_def("alerts").execute_in_process(raise_on_error=False)
    assert result.success and metrics.stat().st_size


@pytest.mark.parametrize(
    ("happened", "said", "retries"),
    [
        (UserError("spend.duckdb is being written by process 1.", "Try again."), "written by process 1. Try again.", 2),
        ({"failures": ("fct_llm_requests: out of memory",)}, "out of memory", 2),
        ({"failed_tests": ("assert_days_sum_to_month: 1 row",)}, "assert_days_sum_to_month", 0),
    ],
)
def test_what_may_get_better_is_tried_again_and_says_why(
    dagster_run: Ran, monkeypatch: pytest.MonkeyPatch, happened: Any, said: str, retries: int
) -> None:
    def build(*_: Any, **__: Any) -> BuildReport:
        if isinstance(happened, UserError):
            raise happened
        return replace(BuildReport(0, 0, 0, (), (), (), 0), **happened)

    tables = dagster_run.module.table_assets
    monkeypatch.setitem(tables.__globals__, "build", build)
    monkeypatch.setitem(tables.__globals__, "RETRIES", dg.RetryPolicy(max_retries=2))
    place = dagster_run.module.Place(read_settings(database=dagster_run.database))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([tables(place, {})], instance=instance, raise_on_error=False)
    assert not result.success
    assert sum(event.event_type is dg.DagsterEventType.STEP_RESTARTED for event in result.all_events) == retries
    (failure,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE]
    assert said in str(failure.event_specific_data)


def test_an_api_has_a_partition_a_day_and_earlier_ones_are_asked_again(
    dagster_run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load_source(entry: SourceSettings, destination: Any, **options: Any) -> LoadReport:
        asked.append((entry.since, options["until"], options["again"]))
        return LoadReport(entry.source, "default", 0, 0, rows=1, quarantined=0, seconds=0)

    monkeypatch.setitem(dagster_run.module.load_assets.__globals__, "load_source", load_source)
    since = date(2026, 9, 1)
    settings = Settings(
        sources=[
            SourceSettings(source="openai", api=True, since=since),
            SourceSettings(source="anthropic", api=True, since=date(2026, 10, 1)),
        ]
    )
    assets = dagster_run.module.load_assets(dagster_run.module.Place(settings))
    days = dagster_run.module.days_of(settings.sources)
    today = days.get_last_partition_key()
    assert (days.get_first_partition_key(), today) == ("2026-09-01", f"{datetime.now(UTC):%Y-%m-%d}")
    shared = dagster_run.module.writers(assets)["provider__costs"]
    assert shared == [key("anthropic", "provider__costs"), key("openai", "provider__costs")]

    openai = [each for each in assets if key("openai", "provider__costs") in each.keys]
    assert dg.materialize(openai, partition_key=today).success
    for end in ("2026-10-04", today):
        range_ = {"dagster/asset_partition_range_start": "2026-10-02", "dagster/asset_partition_range_end": end}
        assert dg.materialize(openai, tags=range_).success
    first = date(2026, 10, 2)
    assert asked == [(since, None, False), (first, date(2026, 10, 4), True), (first, None, True)]


def test_the_instance_tries_a_lost_run_again_and_none_that_failed(tmp_path: Path) -> None:
    shutil.copy(DAGSTER / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_retries_enabled and instance.run_monitoring_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
