"""A compiled dbt project as a checker needs it: relations with known columns, and statements in order."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

Columns = Mapping[str, str]


class Relation(tuple[str, str, str]):
    """Database, schema and name of a table or view."""

    def __str__(self) -> str:
        return ".".join(self)


@dataclass(frozen=True)
class Statement:
    """One compiled SELECT.

    `relation` is what a model becomes; None for a data test and for the second variant of a model. `contract` has the
    declared type of every column, None when dbt does not enforce one. `header` is a script that runs before the SELECT.
    """

    node: str
    label: str
    sql: str
    relation: Relation | None = None
    parents: frozenset[str] = frozenset()
    contract: Columns | None = None
    header: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    variant_of: str | None = None


@dataclass(frozen=True)
class Project:
    """`tables` are the relations that no statement builds; `problems` is what could not be read."""

    tables: Mapping[Relation, Columns]
    statements: list[Statement]
    problems: list[str]


def read_project(
    manifest: Path, incremental: Path | None, raw_tables: Mapping[str, Columns], text_type: str
) -> Project:
    """The project of a dbt `manifest.json`, with a `run_results.json` beside it or not.

    `incremental`: the manifest of a later run, from which the second variant of incremental models is taken.
    `raw_tables`: column types by name of the source table; `text_type`: type of every seed column.
    """
    nodes = compiled_nodes(manifest)
    problems: list[str] = []
    tables: dict[Relation, Columns] = {}
    used = {parent for node in nodes.values() for parent in _parents(node)}
    for key, node in nodes.items():
        if node["resource_type"] == "source":
            if columns := raw_tables.get(node["identifier"]):
                tables[_relation(node)] = columns
            elif key in used:
                problems.append(f"source {node['name']}: no column types are known for {node['identifier']}")
        elif node["resource_type"] == "seed":
            header = _seed_header(node)
            tables[_relation(node)] = dict.fromkeys(header, text_type)
            untyped = [name for name in header if name not in (node["config"].get("column_types") or {})]
            problems += [f"seed {node['name']}: dbt would guess the type of column {name}" for name in untyped]
    statements = [_statement(nodes[key]) for key in _in_order(nodes)]
    if incremental:
        statements += _second_variants(statements, compiled_nodes(incremental))
    empty = [statement for statement in statements if not statement.sql.strip()]
    problems += [f"{statement.label}: there is no compiled SQL" for statement in empty]
    return Project(tables, [statement for statement in statements if statement.sql.strip()], problems)


def not_checked(statements: Iterable[Statement]) -> list[str]:
    """The problem that statements were passed over; [] when there were none."""
    labels = [statement.label for statement in statements]
    return [f"not checked, because what they read has problems: {', '.join(labels)}"] if labels else []


def compiled_nodes(manifest: Path) -> dict[str, dict[str, Any]]:
    """Models, tests, seeds and sources by unique id, each with its compiled SQL, wherever dbt wrote it.

    What the last run did not build has the SQL of an earlier one, from the folder `compiled` beside the manifest.
    """
    content = json.loads(manifest.read_text(encoding="utf-8"))
    nodes = {**content["nodes"], **content.get("sources", {})}
    results = manifest.with_name("run_results.json")
    if results.exists():
        for result in json.loads(results.read_text(encoding="utf-8"))["results"]:
            node = nodes.get(result["unique_id"])
            if node and not node.get("compiled_code"):
                node["compiled_code"] = result.get("compiled_code")
    for node in nodes.values():
        if node["resource_type"] == "model" and not node.get("compiled_code"):
            file = manifest.parent / "compiled" / node.get("package_name", "") / node.get("original_file_path", "")
            if file.is_file():
                node["compiled_code"] = file.read_text(encoding="utf-8")
    return nodes


def _in_order(nodes: Mapping[str, dict[str, Any]]) -> list[str]:
    """Unique ids of models, each after what it reads, then of tests."""
    graph = {key: [parent for parent in _parents(node) if parent in nodes] for key, node in nodes.items()}
    order = list(TopologicalSorter(graph).static_order())
    models = [key for key in order if nodes[key]["resource_type"] == "model"]
    tables = [key for key in models if nodes[key]["config"].get("materialized") != "ephemeral"]
    return tables + [key for key in order if nodes[key]["resource_type"] == "test"]


def _parents(node: Mapping[str, Any]) -> list[str]:
    return list(node.get("depends_on", {}).get("nodes", []))


def _statement(node: Mapping[str, Any]) -> Statement:
    is_model = node["resource_type"] == "model"
    config = node["config"]
    enforced = is_model and (config.get("contract") or {}).get("enforced")
    return Statement(
        node=node["unique_id"],
        label=f"{node['resource_type']} {node['name']}",
        sql=node.get("compiled_code") or "",
        relation=_relation(node) if is_model else None,
        parents=frozenset(_parents(node)),
        # Unquoted names have no case, so it is no difference.
        contract={name.lower(): column.get("data_type") or "" for name, column in node["columns"].items()}
        if enforced
        else None,
        header=_header(node),
        config=config,
    )


def _header(node: Mapping[str, Any]) -> str:
    """The script that dbt runs before the SELECT: the model's own, and the variable that dbt-bigquery declares."""
    own = node["config"].get("sql_header") or ""
    if "_dbt_max_partition" not in (node.get("compiled_code") or ""):
        return own
    kind = (node["config"].get("partition_by") or {}).get("data_type", "date")
    return f"declare _dbt_max_partition {kind};\n{own}"


def _second_variants(statements: list[Statement], later: Mapping[str, dict[str, Any]]) -> list[Statement]:
    """What incremental models run once their table exists: they read it as well."""
    found = []
    for first in statements:
        configs = [first.config, later.get(first.node, {}).get("config", {})]
        if first.relation is None or all(config.get("materialized") != "incremental" for config in configs):
            continue
        second = _statement(later[first.node]) if first.node in later else replace(first, sql="")
        found.append(
            replace(
                second,
                node=f"{first.node} (incremental)",
                label=f"{first.label} (incremental)",
                relation=None,
                parents=second.parents | {first.node},
                variant_of=first.node,
            )
        )
    return found


def _relation(node: Mapping[str, Any]) -> Relation:
    return Relation((node["database"], node["schema"], node.get("alias") or node["identifier"]))


def _seed_header(node: Mapping[str, Any]) -> list[str]:
    path = Path(node.get("root_path") or ".") / node["original_file_path"]
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file, delimiter=node["config"].get("delimiter") or ","))
