"""Extracts for Tableau: the rows of a table in a `.hyper` file, with exact decimals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from llm_spend.answers.marts import MARTS, Marts
from llm_spend.bi.manifest import Column
from llm_spend.bi.semantics import Table, condition_sql
from llm_spend.bi.tableau import EXTRACT_SCHEMA, extracted
from llm_spend.errors import UserError

# So many rows are in memory at a time, or those of one day if it has more.
_ROWS = 50_000
# The first version of the file that has decimals of more than 18 digits; Tableau reads it since 2023.1.
_VERSION = "3"


class ExtractWriter:
    """A running Hyper, which writes files."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def write(self, table: Table, marts: Marts, path: Path) -> int:
        """Write a table into a new file; how many rows it has."""
        from tableauhyperapi import Connection, CreateMode, TableDefinition, TableName, escape_string_literal

        columns = extracted(table)
        definition = TableDefinition(
            TableName(EXTRACT_SCHEMA, table.name),
            [TableDefinition.Column(column.name, _type(column)) for column in columns],
        )
        with TemporaryDirectory(prefix="llm_spend_") as folder:
            # Hyper copies a file three times as fast as it takes rows from Python.
            rows = Path(folder) / "rows.csv"
            with rows.open("w", encoding="utf-8", newline="") as file:
                for found in _rows(table, columns, marts):
                    file.writelines(f"{','.join(map(_as_csv, row))}\n" for row in found)
            with Connection(self._process.endpoint, str(path), CreateMode.CREATE_AND_REPLACE) as connection:
                connection.catalog.create_schema(EXTRACT_SCHEMA)
                connection.catalog.create_table(definition)
                copied: int = connection.execute_command(
                    f"COPY {definition.table_name} FROM {escape_string_literal(str(rows))}"
                    " WITH (FORMAT csv, NULL '', DELIMITER ',')"
                )
        return copied


@contextmanager
def extract_writer() -> Iterator[ExtractWriter]:
    """Start Hyper for as long as the context lasts; it tells nobody. Raises UserError when it is not installed."""
    try:
        from tableauhyperapi import HyperException, HyperProcess, Telemetry
    except ImportError as error:
        raise UserError(
            "Extracts need Tableau's Hyper, which is not installed.", "Install it: pip install 'llm-spend[tableau]'."
        ) from error
    # Without a place for its log it writes none.
    parameters = {"log_config": "", "default_database_version": _VERSION}
    try:
        with HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=parameters) as process:
            yield ExtractWriter(process)
    except HyperException as error:
        raise UserError(
            f"Hyper could not write the extract: {error.main_message}.", "Free space on the disk, then export again."
        ) from error


def select(table: Table, columns: tuple[Column, ...]) -> str:
    """The rows of a table with the names of its members, in DuckDB's SQL."""
    place = {dimension.name: join.model.name for join in table.joins for dimension in join.dimensions}
    listed = ", ".join(f"{place.get(column.name, table.name)}.{column.name}" for column in columns)
    joins = ""
    for join in table.joins:
        there = join.model.name
        on = [f"{table.name}.{name} = {there}.{name}" for name in join.by]
        if join.valid_on:
            at = f"{table.name}.{join.valid_on}"
            on += [f"{at} >= {there}.valid_from", f"{at} < {there}.valid_to"]
        joins += f" left join {MARTS}.{there} on {' and '.join(on)}"
    where = [condition_sql(f"{table.name}.{name}", value) for name, value in table.always_where.items()]
    condition = f" where {' and '.join(where)}" if where else ""
    return f"select {listed} from {MARTS}.{table.name}{joins}{condition}"


def _rows(table: Table, columns: tuple[Column, ...], marts: Marts) -> Iterator[list[Any]]:
    sql = select(table, columns)
    if not table.time:
        yield marts.rows(sql)
        return
    day = f"{table.name}.{table.time}"
    if table.model.columns[table.time].kind == "timestamp":
        day = f"cast({day} as date)"
    counts = marts.rows(f"select {day}, count(*) from {MARTS}.{table.name} group by 1 order by 1")
    joined = "and" if " where " in sql else "where"
    if any(at is None for at, _ in counts):
        yield marts.rows(f"{sql} {joined} {day} is null")
    for first, last in spans([(at, count) for at, count in counts if at is not None], _ROWS):
        yield marts.rows(f"{sql} {joined} {day} >= ? and {day} <= ?", first, last)


def spans(counts: Iterable[tuple[date, int]], most: int) -> Iterator[tuple[date, date]]:
    """First and last day of parts with at most so many rows, or of one day; `counts` are in the order of days."""
    first = last = None
    held = 0
    for day, count in counts:
        if first and last and held + count > most:
            yield first, last
            first, held = None, 0
        first, last, held = first or day, day, held + count
    if first and last:
        yield first, last


def _as_csv(value: Any) -> str:
    """Text always in quotes, so that nothing at all is what is not known."""
    match value:
        case None:
            return ""
        case str():
            return '"' + value.replace('"', '""') + '"'
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _type(column: Column) -> Any:
    from tableauhyperapi import SqlType

    return {
        "text": SqlType.text(),
        "json": SqlType.text(),
        "integer": SqlType.big_int(),
        "decimal": SqlType.numeric(38, 12),
        "boolean": SqlType.bool(),
        "date": SqlType.date(),
        "timestamp": SqlType.timestamp(),
    }[column.kind]
