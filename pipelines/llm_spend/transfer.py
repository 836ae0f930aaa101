"""Move what can't be loaded again to another destination: `llm-spend export raw` and `llm-spend import`.

An export is a folder: `manifest.json`, and a file of gzip JSON lines for every table, in which decimals and JSON
documents are text, so that not a digit changes. It has the rows of completed loads, with their load ids. An import
adds the record of these loads last, in one job: when it is killed before, it leaves rows that no model counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated, Any

import dlt
import duckdb
import orjson
from dlt.extract import DltResource
from pydantic import BaseModel, StringConstraints, ValidationError

from llm_spend.destinations import Destination
from llm_spend.destinations.base import Connection
from llm_spend.errors import UserError, first_line
from llm_spend.load import create_missing_tables, open_pipeline
from llm_spend.readers.handover import hand_over
from llm_spend.readers.records import json_lines_table
from llm_spend.readers.sql import identifier, quote
from llm_spend.schema import BOOKKEEPING_TABLES, DUCKDB_TYPES, Kind, hints
from llm_spend.sources import raw_formats

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
LOADS_TABLE = "_dlt_loads"
IMPORT = "llm_spend_import"

EXPORTED: Mapping[str, str] = {
    **dict.fromkeys(raw_formats(), "_dlt_load_id"),
    **{table: "_dlt_load_id" for table in BOOKKEEPING_TABLES},
    LOADS_TABLE: "load_id",
}
"""What an export holds: every table with its column that names the load of a row."""

Observer = Callable[[str], None]

# Of the types of raw columns, and of what dlt's own tables have beside them: an instant, exported as its time in UTC.
_KINDS: Mapping[str, Kind] = {
    **{name.replace(" ", ""): kind for kind, name in DUCKDB_TYPES.items()},
    "TIMESTAMPWITHTIMEZONE": "timestamp",
}
_LOAD_ID = re.compile(r"[0-9.]+")
# A statement may be 1 MB long.
_IDS_AT_ONCE = 1000
_IDS_SHOWN = 3

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$")]


class ExportedTable(BaseModel):
    """A table of an export; its rows are in `<name>.jsonl.gz`, columns in their order."""

    name: str
    rows: int
    columns: dict[_Name, Kind]


class Manifest(BaseModel):
    """What an export says about itself; written last, so an export that was interrupted has none."""

    format_version: int
    product_version: str
    exported_at: datetime
    tables: list[ExportedTable]


@dataclass(frozen=True)
class TransferReport:
    """Rows of every table that were moved."""

    rows: Mapping[str, int]
    loads: int
    seconds: float

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


def export_tables(destination: Destination, folder: Path, observe: Observer = lambda message: None) -> TransferReport:
    """Write the raw tables of a DuckDB file into an empty folder.

    Raises UserError for another destination, a folder that is not empty, and a file into which nothing was loaded.
    """
    if destination.name != "duckdb":
        raise UserError(
            f"Only a DuckDB file can be exported, and this is {destination.label}.",
            "Name the file: llm-spend export raw DIR --destination duckdb --database FILE.",
        )
    started = monotonic()
    with destination.reading() as connection:
        present = connection.tables(destination.schemas.raw)
        names = [name for name in EXPORTED if name in present]
        if LOADS_TABLE not in names:
            raise UserError(f"Nothing was loaded into {destination.label} yet.", "There is nothing to export.")
        _make_empty(folder)
        try:
            connection.rows("SET preserve_insertion_order = false")
            tables = []
            for number, name in enumerate(names, start=1):
                observe(f"exporting {name} (table {number} of {len(names)})")
                tables.append(_export(connection, destination.schemas.raw, name, folder))
        except duckdb.IOException as error:
            raise UserError(
                f"The export stopped: {first_line(error)}", f"Empty {folder} and export again when that is solved."
            ) from error
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        product_version=version("llm-spend"),
        exported_at=datetime.now(UTC),
        tables=tables,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return _report(manifest, started)


def import_tables(destination: Destination, folder: Path, observe: Observer = lambda message: None) -> TransferReport:
    """Load an export into a destination, with the load ids and load times that it has there.

    Raises UserError when the folder holds no whole export that this version can read, and when one of its loads is
    in the destination already. After an import that was interrupted the same export can be imported again.
    """
    started = monotonic()
    manifest = _read_manifest(folder)
    for table in manifest.tables:
        observe(f"checking {table.name}")
        _check(folder, table)
    load_ids = _load_ids(folder)
    _refuse_known_loads(destination, load_ids, folder)
    loads = next(table for table in manifest.tables if table.name == LOADS_TABLE)
    data = [table for table in manifest.tables if table.rows and table is not loads]
    # dlt would put its own load id in the place of the one that a row has.
    os.environ["NORMALIZE__MODEL_NORMALIZER__ADD_DLT_LOAD_ID"] = "false"
    with open_pipeline(destination) as pipeline:
        create_missing_tables(pipeline, destination)
        _delete_leftovers(destination, data, load_ids)
        # One after the other: a reader of JSON takes hundreds of megabytes, and all want theirs at the same time.
        for table in data:
            observe(f"importing {table.name} ({table.rows:,} rows)")
            pipeline.run(_source(folder, table))
        _check_arrival(destination, data, load_ids)
        observe(f"importing the record of {len(load_ids):,} loads")
        pipeline.run(_source(folder, loads))
    return _report(manifest, started)


def _report(manifest: Manifest, started: float) -> TransferReport:
    rows = {table.name: table.rows for table in manifest.tables}
    loads = rows.pop(LOADS_TABLE)
    return TransferReport(rows, loads, monotonic() - started)


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} can't be a folder: {error.strerror}.", "Give another folder.") from error
    if not is_empty:
        raise UserError(f"{folder} is not empty.", "Give an empty folder, or one that does not exist.")


def _export(connection: Connection, schema: str, name: str, folder: Path) -> ExportedTable:
    described = connection.rows(
        "select column_name, replace(data_type, ' ', '') from information_schema.columns"
        " where table_schema = %s and table_name = %s order by ordinal_position",
        [schema, name],
    )
    unknown = [f"{column} {kind}" for column, kind in described if kind not in _KINDS]
    if unknown:
        raise UserError(
            f"{schema}.{name} has columns that are none of ours: {', '.join(unknown)}.",
            "Only what llm-spend loads can be exported: remove them.",
        )
    columns = ", ".join(f"{_exported(column, kind)} AS {identifier(column)}" for column, kind in described)
    completed = f"SELECT load_id FROM {schema}.{LOADS_TABLE} WHERE status = 0"
    ((rows,),) = connection.rows(
        f"COPY (SELECT {columns} FROM {schema}.{name} WHERE {EXPORTED[name]} IN ({completed}))"
        f" TO {quote(str(_file(folder, name)))} (FORMAT json, COMPRESSION gzip)"
    )
    return ExportedTable(name=name, rows=rows, columns={column: _KINDS[kind] for column, kind in described})


def _exported(column: str, duckdb_type: str) -> str:
    value = identifier(column)
    if duckdb_type == "TIMESTAMPWITHTIMEZONE":
        return f"timezone('UTC', {value})"
    return f"CAST({value} AS VARCHAR)" if _KINDS[duckdb_type] in ("money", "decimal", "json") else value


def _file(folder: Path, table: str) -> Path:
    return folder / f"{table}.jsonl.gz"


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        content = orjson.loads(path.read_bytes())
        if content["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"{folder} is an export of format {content['format_version']}; this version reads {FORMAT_VERSION}.",
                f"It was written by llm-spend {content.get('product_version')}: use that or a later one.",
            )
        manifest = Manifest.model_validate(content)
    except OSError as error:
        raise UserError(
            f"{folder} holds no whole export: {path} can't be read ({error.strerror}).",
            "Give the folder that `llm-spend export raw` wrote. An export that was interrupted must be made again.",
        ) from error
    except (orjson.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path} is damaged: {first_line(error)}", "Export again.") from error
    names = {table.name for table in manifest.tables}
    if LOADS_TABLE not in names:
        raise UserError(f"{path} is damaged: {LOADS_TABLE} is not in it.", "Export again.")
    if unknown := sorted(names - EXPORTED.keys()):
        raise UserError(
            f"{path} lists tables that this version does not know: {', '.join(unknown)}.",
            f"It was written by llm-spend {manifest.product_version}: use that or a later one.",
        )
    return manifest


def _check(folder: Path, table: ExportedTable) -> None:
    path = _file(folder, table.name)
    if not path.exists():
        raise UserError(f"{path} is missing.", "Copy the whole folder of the export, or export again.")
    ((rows,),) = _query(f"SELECT count(*) FROM ({_select(folder, table)})", path)
    if rows != table.rows:
        raise UserError(
            f"{path} has {rows:,} rows and should have {table.rows:,}.",
            "Copy the folder of the export once more, or export again.",
        )


def _query(sql: str, path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        try:
            return connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise UserError(
                f"{path} is damaged: {first_line(error)}", "Copy the folder of the export once more, or export again."
            ) from error


def _select(folder: Path, table: ExportedTable) -> str:
    """The rows of a table of an export, typed. Times of loads are text with their zone: their columns are instants."""
    columns = {
        name: f"CAST({identifier(name)} AS {DUCKDB_TYPES[kind]})"
        if (table.name, kind) != (LOADS_TABLE, "timestamp")
        else f"{identifier(name)} || '+00:00'"
        for name, kind in table.columns.items()
    }
    selected = ", ".join(f"{value} AS {identifier(name)}" for name, value in columns.items())
    return f"SELECT {selected} FROM {json_lines_table(str(_file(folder, table.name)), columns)}"


def _load_ids(folder: Path) -> list[str]:
    path = _file(folder, LOADS_TABLE)
    found = _query(f"SELECT load_id FROM {json_lines_table(str(path), ['load_id'])} ORDER BY load_id", path)
    load_ids = [str(row[0]) for row in found]
    if strange := [load_id for load_id in load_ids if not _LOAD_ID.fullmatch(load_id)]:
        raise UserError(f"{path} is damaged: {strange[0]!r} is no load id.", "Export again.")
    return load_ids


def _refuse_known_loads(destination: Destination, load_ids: list[str], folder: Path) -> None:
    raw = destination.schemas.raw
    if LOADS_TABLE not in destination.tables(raw):
        return
    known = {row[0] for row in destination.query(f"select load_id from {raw}.{LOADS_TABLE}")}
    twice = [load_id for load_id in load_ids if load_id in known]
    if twice:
        more = f" and {len(twice) - _IDS_SHOWN:,} more" if len(twice) > _IDS_SHOWN else ""
        raise UserError(
            f"{destination.label} has loads of this export already: {', '.join(twice[:_IDS_SHOWN])}{more}.",
            f"{folder} was imported before, or comes from there. Nothing was changed.",
        )


def _delete_leftovers(destination: Destination, tables: list[ExportedTable], load_ids: list[str]) -> None:
    """Remove what an interrupted import left: rows of these loads, of which the destination has no record."""
    arrived = _arrived(destination, tables, load_ids)
    left = [table for table in tables if arrived[table.name]]
    if left:
        destination.execute(*(f"delete {rows}" for table in left for rows in _of_loads(destination, table, load_ids)))


def _check_arrival(destination: Destination, tables: list[ExportedTable], load_ids: list[str]) -> None:
    arrived = _arrived(destination, tables, load_ids)
    for table in tables:
        if arrived[table.name] != table.rows:
            raise UserError(
                f"Of {table.rows:,} rows of {table.name} {arrived[table.name]:,} arrived in {destination.label}.",
                "Nothing of this import counts: import again.",
            )


def _arrived(destination: Destination, tables: list[ExportedTable], load_ids: list[str]) -> dict[str, int]:
    """How many rows of these loads each table has."""
    with destination.reading() as connection:
        return {
            table.name: sum(
                connection.rows(f"select count(*) {rows}")[0][0] for rows in _of_loads(destination, table, load_ids)
            )
            for table in tables
        }


def _of_loads(destination: Destination, table: ExportedTable, load_ids: list[str]) -> Iterator[str]:
    """`from … where …`, as often as it takes to name all loads."""
    for start in range(0, len(load_ids), _IDS_AT_ONCE):
        listed = ", ".join(map(quote, load_ids[start : start + _IDS_AT_ONCE]))
        yield f"from {destination.schemas.raw}.{table.name} where {EXPORTED[table.name]} in ({listed})"


def _source(folder: Path, table: ExportedTable) -> Any:
    def rows() -> Iterator[Any]:
        with TemporaryDirectory(prefix="llm_spend_") as work:
            yield from hand_over(table.columns, _select(folder, table), Path(work) / table.name)

    @dlt.source(name=IMPORT)
    def source() -> DltResource:
        columns = {} if table.name == LOADS_TABLE else hints(table.columns)
        return dlt.resource(rows, name=table.name, columns=columns, write_disposition="append")

    return source()
