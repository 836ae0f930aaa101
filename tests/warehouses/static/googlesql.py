"""Static check of the compiled BigQuery SQL with Google's own analyser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.warehouses.static.project import Project, Statement, not_checked, read_project
from tests.warehouses.static.raw_types import TYPES, raw_tables

_WORKER = Path(__file__).with_name("googlesql_worker.py")

_SYNONYMS = {
    **dict.fromkeys(["INT", "SMALLINT", "INTEGER", "BIGINT", "TINYINT", "BYTEINT"], "INT64"),
    "BOOLEAN": "BOOL",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_NOT_FOR_CLUSTERING = {"JSON", "FLOAT64", "ARRAY", "STRUCT", "BYTES", "TIME", "INTERVAL"}
_PARTITIONS = {"DATE", "TIMESTAMP", "DATETIME", "INT64"}


def check_googlesql(
    first_manifest: Path,
    incremental_manifest: Path | None = None,
    *,
    python: Path,
    cache: Path,
    sources: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """Problems of a project that dbt compiled for BigQuery, each beginning with the node it is in; [] when it is fine.

    `first_manifest` is of a build with no tables there, `incremental_manifest` of one where they were. `python` is
    the interpreter of a virtual environment with `zetasql`; `cache` a folder that keeps the compiled analyser.
    `sources`: column types by source table; the product's own raw tables unless given. What reads a model that can't
    be analysed is not checked, which is a problem as well. Raises RuntimeError when the analyser breaks.
    """
    tables = raw_tables("bigquery") if sources is None else sources
    project = read_project(first_manifest, incremental_manifest, tables, TYPES["bigquery"]["text"])
    results = _analyse(project, python, cache)
    problems = list(project.problems)
    for statement in project.statements:
        result = results[statement.node]
        if "problem" in result:
            problems.append(f"{statement.label}: {result['problem']}")
        elif "columns" in result:
            expected = results[statement.variant_of]["columns"] if statement.variant_of else None
            problems += [f"{statement.label}: {x}" for x in _column_problems(statement, result["columns"], expected)]
    skipped = [statement for statement in project.statements if len(results[statement.node]) == 1]
    return problems + not_checked(skipped)


def _analyse(project: Project, python: Path, cache: Path) -> dict[str, dict[str, Any]]:
    job = {
        "tables": [{"relation": relation, "columns": columns} for relation, columns in project.tables.items()],
        "statements": [
            {
                "node": statement.node,
                "sql": statement.sql,
                "relation": statement.relation,
                "parents": sorted(statement.parents),
                "header": statement.header,
            }
            for statement in project.statements
        ],
    }
    done = subprocess.run(
        [str(python), str(_WORKER), str(cache)], input=json.dumps(job), capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"The analyser broke down:\n{done.stderr[-4000:]}")
    return {result["node"]: result for result in json.loads(done.stdout)}


def _column_problems(
    statement: Statement, columns: Mapping[str, str], first_columns: Mapping[str, str] | None
) -> list[str]:
    """What is wrong with the output columns: `columns` are those of this statement, by name."""
    problems = [
        f"column {name} is a whole {kind}: it may be called like a table"
        for name, kind in columns.items()
        if kind == "STRUCT"
    ]
    if statement.contract is not None:
        declared = {name: canonical_type(kind) for name, kind in statement.contract.items()}
        problems += differences("the contract", declared, columns)
    if first_columns is not None:
        problems += differences("the first build", first_columns, columns)
    return problems + _layout_problems(statement.config, columns)


def canonical_type(declared: str) -> str:
    """The one name of a type: no parameters, no synonym; what BigQuery does not know stays as it is."""
    bare = re.sub(r"\s*\(.*\)", "", declared).strip().upper()
    return _SYNONYMS.get(bare, bare)


def differences(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """How the columns that were found differ from those that `what` expects."""
    missing = [f"column {name} of {what} is missing" for name in expected if name not in found]
    added = [f"column {name} is not in {what}" for name in found if name not in expected]
    changed = [
        f"column {name} is {found[name]}, {what} has {kind}"
        for name, kind in expected.items()
        if name in found and found[name] != kind
    ]
    return missing + added + changed


def _layout_problems(config: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    """Partition and cluster columns that are not there or that BigQuery does not take."""
    problems = []
    partition = config.get("partition_by") or {}
    name = str(partition.get("field", "")).lower()
    if name and columns.get(name) not in _PARTITIONS:
        problems.append(f"partition column {name} is {columns.get(name, 'missing')}")
    elif name and canonical_type(partition.get("data_type", "DATE")) != columns[name]:
        problems.append(f"partition column {name} is {columns[name]}, its data_type says {partition.get('data_type')}")
    clusters = config.get("cluster_by") or []
    for name in [clusters] if isinstance(clusters, str) else clusters:
        kind = columns.get(name, "missing")
        if kind == "missing" or re.sub("<.*", "", kind) in _NOT_FOR_CLUSTERING:
            problems.append(f"cluster column {name} is {kind}")
    return problems
