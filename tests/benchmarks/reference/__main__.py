"""Runs the SQL of this folder in one DuckDB connection and prints what each file took, as JSON.

python -m tests.benchmarks.reference load DATABASE 'FILES'    files into one table of a new database
python -m tests.benchmarks.reference build DATABASE SOURCE    the public tables in a new database
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic, process_time

import duckdb

FOLDER = Path(__file__).parent
BUILD = (
    "requests",
    "usage",
    "quotas",
    "chargeback",
    "health",
    "gateways",
    "providers",
    "customers",
    "economics",
    "optimization",
    "tags",
    "forecast",
    "anomalies",
    "focus",
)


def connect(database: Path) -> duckdb.DuckDBPyConnection:
    """A new database with the settings that the package uses."""
    database.unlink(missing_ok=True)
    connection = duckdb.connect(str(database))
    connection.execute("set memory_limit = '4GB'; set preserve_insertion_order = false; set timezone = 'UTC'")
    return connection


def load(database: Path, files: str) -> dict[str, dict[str, float]]:
    """Every record of `files` (a wildcard) as a row of `portkey__logs`; values that can't be read are NULL."""
    with connect(database) as connection:
        # Not as a parameter: the driver would import pandas to look at its type.
        connection.execute(f"set variable files = '{files}'")
        return {"load": _run(connection, "load")}


def build(database: Path, source: Path) -> dict[str, dict[str, float]]:
    """The public tables, in the schema `llm_spend`, from the loaded rows and small tables of `source`."""
    with connect(database) as connection:
        connection.execute(f"attach '{source}' as source (read_only)")
        connection.execute("create schema llm_spend")
        return {name: _run(connection, name) for name in BUILD}


def _run(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, float]:
    wall, cpu = monotonic(), process_time()
    connection.execute((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    return {"wall_seconds": monotonic() - wall, "cpu_seconds": process_time() - cpu}


if __name__ == "__main__":
    work, database, source = sys.argv[1:]
    steps = load(Path(database), source) if work == "load" else build(Path(database), Path(source))
    print(json.dumps(steps))
