"""All models and their data tests, as dbt compiled them for the demo, over the raw tables of one source alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

from llm_spend.destinations import DuckDb
from llm_spend.schema import BOOKKEEPING_TABLES, DUCKDB_TYPES, FILES_TABLE
from llm_spend.sources import SOURCES, raw_formats
from tests.conftest import Demo

RAW = "demo.llm_spend_raw"
PROVIDERS = {"copilot": "github_copilot"}
# Rows of these are those of a day of the demo.
COPIED = (
    *("portkey__logs", "truefoundry__spans", "litellm__payloads", "generic__requests"),
    *("provider__costs", "provider__usage"),
)
MADE = {
    "provider__focus": "'2026-10-01'::timestamp as charge_period_start, '2026-10-02'::timestamp as charge_period_end,"
    " '2026-10-01'::timestamp as billing_period_start, '2026-11-01'::timestamp as billing_period_end,"
    " 'Amazon Web Services' as provider_name, 'Usage' as charge_category, 'Amazon Bedrock' as service_name,"
    " 'Claude Sonnet 4.5 input tokens' as sku_meter, '1' as billing_account_id, 12.5 as billed_cost,"
    " 12.5 as effective_cost, 'USD' as billing_currency, 'focus' as export_format, 'a' as export_name,"
    " 'a' as file_name",
    "tracking__runs": "'2026-10-02'::timestamp as observed_at, 'run' as run_id, '2026-10-01'::timestamp as started_at,"
    ' \'{"team": "search"}\'::json as tags',
    "gateway__members": "'2026-10-02'::timestamp as observed_at, 'user' as member_type, 'ann' as member_id,"
    " 'ann@acme.example' as email",
    "gateway__limits": "'2026-10-02'::timestamp as observed_at, 'l' as limit_id, 'budget' as limit_kind,"
    " 'organization' as scope_type, 'cost' as measure, 100 as limit_value, 'usd' as limit_unit,"
    " 'month' as window_unit, 1 as window_length",
    "gateway__limit_usage": "'2026-10-02'::timestamp as observed_at, 'l' as limit_id, 50 as used_value,"
    " 'usd' as used_unit, 100 as limit_value",
    "gateway__totals": "'2026-10-01'::timestamp as bucket_start, '2026-10-02'::timestamp as bucket_end,"
    " 'all' as dimension, 3 as requests, 30 as input_tokens, 1.5 as cost_amount, 'usd' as cost_unit",
    "gateway__feedback": "'2026-10-01'::timestamp as given_at, 'r' as record_id, 1 as value, 1 as weight",
}


def tables_of(source: str) -> set[str]:
    """The raw tables that a source fills, by files or over its API."""
    known = SOURCES[source]
    tables = {known.files.table} if known.files else set()
    if known.has_api:
        api = import_module(f"llm_spend.sources.{source}_api").api_source("default")
        tables |= {each.format.table for each in (*api.streams, *api.listings)}
    return tables or {"generic__requests"}


class OneSource:
    """A database in memory with the seeds of the demo, and what was compiled for it."""

    def __init__(self, demo: Demo) -> None:
        target = DuckDb(demo.database).work_dir / "dbt_project" / "target"
        self.manifest: dict[str, Any] = json.loads((target / "manifest.json").read_text())
        self._sql = {path.stem: path for path in target.glob("compiled/llm_spend/**/*.sql") if path.is_file()}
        self._connection = duckdb.connect()
        self._connection.execute(f"attach ':memory:' as demo; attach '{demo.database}' as built (read_only); use demo")
        for schema in ("raw", "seeds", "internal"):
            self._connection.execute(f"create schema demo.llm_spend_{schema}")
        self._connection.execute(
            f"create schema demo.llm_spend; create table {RAW}._dlt_loads as from {_built('_dlt_loads')}"
        )
        kinds: dict[str, Mapping[str, Any]] = {table: fmt.kinds for table, fmt in raw_formats().items()}
        for table, columns in (
            kinds | {name: {**each, "_dlt_load_id": "text"} for name, each in BOOKKEEPING_TABLES.items()}
        ).items():
            typed = ", ".join(f'"{name}" {DUCKDB_TYPES[kind]}' for name, kind in columns.items())
            self._connection.execute(f"create table {RAW}.{table} ({typed})")
        for node in self._nodes("seed"):
            self._connection.execute(f"create table {node['relation_name']} as from {_of_built(node)}")
        self._build(seeds_alone=True)

    def build(self, source: str) -> list[str]:
        """Fill the tables of a source, empty those of others, make all models. Gives the data tests that fail."""
        for table in raw_formats():
            self._connection.execute(f"truncate {RAW}.{table}")
        self._connection.execute(f"truncate {RAW}.{FILES_TABLE}")
        for table in tables_of(source):
            self._fill(table, source)
        self._build(seeds_alone=False)
        return [node["name"] for node in self._nodes("test") if self._fails(node)]

    def close(self) -> None:
        """Give the files back."""
        self._connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def _fill(self, table: str, source: str) -> None:
        lineage = f"'{source}' as _source_system, 'default' as _source_instance, 'f' as _file"
        if table in COPIED:
            provider = f", '{PROVIDERS.get(source, source)}' as provider" if table.startswith("provider__") else ""
            rows = f"select * replace ({lineage}{provider}) from {_built(table)} where _problem is null limit 200"
        else:
            rows = f"select {MADE[table]}, {lineage}, (select min(load_id) from {RAW}._dlt_loads) as _dlt_load_id"
        self._connection.execute(f"insert into {RAW}.{table} by name {rows}")
        self._connection.execute(
            f"insert into {RAW}.{FILES_TABLE} by name"
            f" select distinct '{source}' as source, 'default' as source_instance, 'f' as path, 1 as size_bytes,"
            f" '2026-11-01'::timestamp as modified_at, '{table}' as entity, _dlt_load_id from {RAW}.{table}"
        )

    def _build(self, *, seeds_alone: bool) -> None:
        models = {node["unique_id"]: node for node in self._nodes("model")}
        of_raw: set[str] = set()
        for name in TopologicalSorter(
            {key: node["depends_on"]["nodes"] for key, node in models.items()}
        ).static_order():
            if name not in models:
                continue
            if any(parent.startswith("source.") or parent in of_raw for parent in models[name]["depends_on"]["nodes"]):
                of_raw.add(name)
            if (name not in of_raw) == seeds_alone:
                self._make(models[name])

    def _make(self, node: Mapping[str, Any]) -> None:
        relation, sql = node["relation_name"], self._sql[node["name"]].read_text()
        match node["config"]["materialized"]:
            case "view":
                self._connection.execute(f"create or replace view {relation} as {sql}")
            case "incremental":  # it may have been compiled to add to the table
                self._connection.execute(f"create or replace table {relation} as from {_of_built(node)} limit 0")
                self._connection.execute(f"insert into {relation} by name {sql}")
            case _:
                self._connection.execute(f"create or replace table {relation} as {sql}")

    def _fails(self, node: Mapping[str, Any]) -> bool:
        config, path = node["config"], self._sql.get(Path(node["path"]).stem)
        if config["severity"].lower() != "error" or path is None:
            return False
        return self.rows(f"select count(*) from ({path.read_text()})") != [(0,)]

    def _nodes(self, kind: str) -> Iterator[Mapping[str, Any]]:
        return (node for node in self.manifest["nodes"].values() if node["resource_type"] == kind)


def _built(table: str) -> str:
    return f"built.llm_spend_raw.{table}"


def _of_built(node: Mapping[str, Any]) -> str:
    return str(node["relation_name"]).replace('"demo"', "built", 1)
