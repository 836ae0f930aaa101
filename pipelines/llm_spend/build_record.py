"""What a destination says about its last build, and so how much the next one may leave out.

The record is a row in the destination, beside the tables that it speaks of: a file that was replaced brings its own,
and a machine that builds with other seeds overwrites it. It is removed while a build runs and written when that passed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from hashlib import sha256

from llm_spend.destinations import Destination
from llm_spend.destinations.base import Connection
from llm_spend.schema import Schemas

RECORD_TABLE = "llm_spend__last_build"
_COLUMNS = {"project", "tables", "loads", "built_at", "warnings"}
_BASIS = "int_basis"


class Extent(Enum):
    """What a build has to do."""

    EVERYTHING = "everything"
    NEW_LOADS = "new loads"
    """Project, seeds and settings are those of the last build: only what follows from loads can change."""
    NOTHING = "nothing"


@dataclass(frozen=True)
class _Standing:
    """What is there: loads that are complete, and names of tables with the basis they were built on."""

    loads: str
    tables: str


@dataclass(frozen=True)
class LastBuild:
    """The last build that passed its tests, as seen from a project at a time."""

    extent: Extent
    """Of a build now."""
    loads: str
    """What is loaded now."""
    built_at: str | None = None
    """In UTC, to the second; None when no record counts."""
    warnings: tuple[str, ...] = ()
    """What it warned of."""


def last_build(destination: Destination, project: str, now: datetime) -> LastBuild:
    """How the project (its fingerprint) and what is loaded compare to the last build.

    On another UTC date there is always something to build: what a table says may depend on the date.
    """
    schemas = destination.schemas
    with destination.reading() as connection:
        standing = _standing(connection, schemas)
        if RECORD_TABLE not in connection.tables(schemas.internal):
            return LastBuild(Extent.EVERYTHING, standing.loads)
        names, rows = connection.table(f"select * from {_table(schemas)}")
    record = dict(zip(names, rows[0], strict=True)) if len(rows) == 1 else {}
    if set(record) != _COLUMNS or (record["project"], record["tables"]) != (project, standing.tables):
        return LastBuild(Extent.EVERYTHING, standing.loads)
    built_at, warnings = record["built_at"], json.loads(bytes.fromhex(record["warnings"]))
    is_current = record["loads"] == standing.loads and built_at[:10] == now.date().isoformat()
    extent = Extent.NOTHING if is_current else Extent.NEW_LOADS
    return LastBuild(extent, standing.loads, built_at, tuple(warnings))


def is_up_to_date(destination: Destination) -> bool:
    """Whether the tables are those of a build that passed and knew all that is loaded now, whatever its seeds were."""
    with destination.reading() as connection:
        passed = _passed(connection, destination.schemas)
    return passed is not None and passed[1]


def passed_at(destination: Destination) -> str | None:
    """When what is there was built, in UTC; None when no build that passed its tests left it so."""
    with destination.reading() as connection:
        passed = _passed(connection, destination.schemas)
    return passed[0] if passed else None


def _passed(connection: Connection, schemas: Schemas) -> tuple[str, bool] | None:
    """Of a build that passed and whose tables are still there: when, and whether it knew all that is loaded now."""
    if RECORD_TABLE not in connection.tables(schemas.internal):
        return None
    standing = _standing(connection, schemas)
    for built_at, loads, tables in connection.rows(f"select built_at, loads, tables from {_table(schemas)}"):
        if tables == standing.tables:
            return built_at, loads == standing.loads
    return None


def forget(destination: Destination) -> None:
    """Remove the record: from now on nobody knows what the tables hold."""
    if RECORD_TABLE in destination.tables(destination.schemas.internal):
        destination.execute(f"drop table {_table(destination.schemas)}")


def note(destination: Destination, project: str, loads: str, started: datetime, warnings: Sequence[str]) -> None:
    """Write that a build passed: that of a project on what was loaded when it started."""
    with destination.reading() as connection:
        tables = _standing(connection, destination.schemas).tables
    values = {
        "project": project,
        "tables": tables,
        "loads": loads,
        "built_at": f"{started:%Y-%m-%d %H:%M:%S}",
        # As hexadecimal digits: what a backslash in a literal means depends on the warehouse.
        "warnings": json.dumps(warnings).encode().hex(),
    }
    columns = ", ".join(f"'{value}' as {name}" for name, value in values.items())
    destination.execute(f"create or replace table {_table(destination.schemas)} as select {columns}")


def _table(schemas: Schemas) -> str:
    return f"{schemas.internal}.{RECORD_TABLE}"


def _standing(connection: Connection, schemas: Schemas) -> _Standing:
    complete = f"select count(*), max(load_id) from {schemas.raw}._dlt_loads where status = 0"
    ((count, newest),) = connection.rows(complete)
    names = {
        f"{schema}.{name}"
        for schema in (schemas.seeds, schemas.internal, schemas.public)
        for name in connection.tables(schema)
    }
    is_built = f"{schemas.internal}.{_BASIS}" in names
    basis = connection.rows(f"select * from {schemas.internal}.{_BASIS}") if is_built else []
    told = repr((sorted(names - {_table(schemas)}), basis))
    return _Standing(f"{count} {newest}", sha256(told.encode()).hexdigest())
