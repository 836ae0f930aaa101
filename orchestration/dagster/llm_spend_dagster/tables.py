"""Assets of what dbt builds: its seeds and models, with its tests as checks. They are built as the command builds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets

from llm_spend.build import build
from llm_spend.dbt_process import Result
from llm_spend.log import redact
from llm_spend.publish import republish

from .manifest import manifest_of
from .place import FRESHNESS, POOL, RETRIES, Place, told

_SHOWN = 5


class Translator(DagsterDbtTranslator):
    """Tables have the names that they have in the database; what reads a raw table comes after all that fill it."""

    def __init__(self, writers: Mapping[str, Sequence[dg.AssetKey]], public: str) -> None:
        super().__init__()
        self._writers = writers
        self._public = public

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        if dbt_resource_props["resource_type"] == "seed":
            return "seeds"
        _, layer, *folders = dbt_resource_props["fqn"][:-1]
        return f"{layer}_{folders[0]}" if layer == "marts" else str(layer)

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id.startswith("source."):
            return spec.replace_attributes(group_name="raw")
        deps = [key for dep in spec.deps for key in self._writers.get(dep.asset_key.path[-1], [dep.asset_key])]
        spec = spec.replace_attributes(deps=deps)
        is_public = unique_id.startswith("model.") and spec.key.path[0] == self._public
        return spec.replace_attributes(freshness_policy=FRESHNESS) if is_public else spec


def table_assets(place: Place, writers: Mapping[str, Sequence[dg.AssetKey]]) -> dg.AssetsDefinition:
    """All that dbt builds, as one step: `writers` are the assets that fill a raw table, by its name."""
    with told():
        manifest = manifest_of(place)
    translator = Translator(writers, place.destination.schemas.public)

    @dbt_assets(manifest=manifest, dagster_dbt_translator=translator, name="tables", pool=POOL, retry_policy=RETRIES)
    def tables(context: dg.AssetExecutionContext) -> Iterator[Any]:
        results: list[Result] = []
        settings, destination = place.settings, place.destination
        with told(), place.writing():
            report = build(
                destination,
                seeds=settings.seeds,
                threads=settings.threads,
                billing_timezone=settings.billing_timezone,
                select=_selected(context),
                progress=lambda done, total, name: context.log.debug(f"{done} of {total}: {name}"),
                told=results.append,
            )
        if report.nothing_new_since:
            context.log.info(f"Nothing new since the build of {report.nothing_new_since} UTC, which passed its tests.")
        yield from _events(results, context)
        if not report.ok:
            messages = [redact(message) for message in (*report.failures, *report.failed_tests)]
            # What a test finds is there again the next time.
            raise dg.Failure("\n".join(messages[:_SHOWN]), allow_retries=bool(report.failures or report.skipped))
        # A few tables are no build that readers could be given.
        if not context.is_subset:
            with told():
                republish(destination, settings.published_file, wait=settings.lock_timeout_seconds)

    return tables


def _selected(context: dg.AssetExecutionContext) -> tuple[str, ...]:
    """What dbt calls the chosen tables and checks; nothing when all are."""
    if not context.is_subset:
        return ()
    tables = (key.path[-1] for key in context.selected_asset_keys)
    return (*sorted(tables), *sorted(key.name for key in context.selected_asset_check_keys))


def _events(results: Sequence[Result], context: dg.AssetExecutionContext) -> Iterator[Any]:
    """What dbt said of each table and test, in Dagster's words."""
    definition = context.assets_def
    keys = {spec.metadata["dagster_dbt/unique_id"]: spec.key for spec in definition.specs}
    checks = {spec.metadata["dagster_dbt/unique_id"]: spec.key for spec in definition.check_specs}
    for result in results:
        unique_id, status = result["unique_id"], result["status"]
        said = {"dbt": redact(str(result["message"] or status))}
        if unique_id in keys and status == "success":
            yield dg.MaterializeResult(asset_key=keys[unique_id], metadata=said)
        elif checks.get(unique_id) in context.selected_asset_check_keys and status != "skipped":
            yield dg.AssetCheckResult(
                asset_key=checks[unique_id].asset_key,
                check_name=checks[unique_id].name,
                passed=status == "pass",
                severity=dg.AssetCheckSeverity.WARN if status == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata=said,
            )
