"""Whether two databases hold the same rows: each table by name, each column by name and type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

VERSION_COLUMNS = frozenset({"basis_id", "date_version"})
"""What only an incremental build needs: on which seeds and rows a date was built."""

_MANY_ROWS = 500_000
"""From here on equal checksums do: taking millions of wide rows from each other takes longer than the benchmark."""


def differences(ours: Path, reference: Path) -> list[str]:
    """What differs between the public tables of two databases; empty when they are equal.

    Every table of either must be in both, with the same columns, types and rows, however often a row occurs.
    """
    with _open(ours, reference) as connection:
        tables = {side: _tables(connection, side) for side in ("ours", "reference")}
        missing = sorted(tables["ours"].symmetric_difference(tables["reference"]))
        found = [f"{table}: only in one of both" for table in missing]
        for table in sorted(tables["ours"] & tables["reference"]):
            found += _table_differences(connection, table)
        return found


@contextmanager
def _open(ours: Path, reference: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with TemporaryDirectory(dir=ours.parent) as folder, duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '4GB'; set temp_directory = '{folder}'")
        connection.execute(f"attach '{ours}' as ours (read_only); attach '{reference}' as reference (read_only)")
        yield connection


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> set[str]:
    rows = connection.execute(
        "select table_name from information_schema.tables where table_catalog = ? and table_schema = 'llm_spend'",
        [database],
    ).fetchall()
    return {name for (name,) in rows}


def _table_differences(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    columns = {side: _columns(connection, f"{side}.llm_spend.{table}") for side in ("ours", "reference")}
    if columns["ours"] != columns["reference"]:
        different = sorted(set(columns["ours"].items()) ^ set(columns["reference"].items()))
        return [f"{table}: columns differ: {different}"]
    names = ", ".join(columns["ours"])
    return [
        f"{table}: {rows:,} rows only in {side}, such as {example}"
        for side, other in (("ours", "reference"), ("reference", "ours"))
        for rows, example in [_rows_only_in(connection, _select(side, table, names), _select(other, table, names))]
        if rows
    ]


def _select(side: str, table: str, names: str) -> str:
    return f"select {names} from {side}.llm_spend.{table}"


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    rows = connection.execute(f"describe {table}").fetchall()
    return {row[0]: row[1] for row in rows if row[0] not in VERSION_COLUMNS}


def _rows_only_in(connection: duckdb.DuckDBPyConnection, query: str, other: str) -> tuple[int, str]:
    """How many rows `query` has more than `other`, and one of them as text."""
    sums = [_checksum(connection, each) for each in (query, other)]
    if sums[0] == sums[1] and sums[0][0] > _MANY_ROWS:
        return 0, ""
    extra = f"from ({query} except all {other})"
    rows = connection.execute(f"select count(*) {extra}").fetchone()
    count = int(rows[0]) if rows else 0
    return (count, str(connection.execute(f"select * {extra} limit 1").fetchone())) if count else (0, "")


def _checksum(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, int]:
    """Rows, and the sum of their 64-bit hashes: equal for equal rows in any order."""
    rows, total = connection.execute(f"select count(*), sum(hash(t)) from ({query}) as t").fetchall()[0]
    return rows, total or 0


def load_differences(ours: Path, reference: Path) -> list[str]:
    """What differs between rows that `llm-spend load` wrote and those that DuckDB alone read; empty when equal.

    Metadata is compared where it came as a plain object: DuckDB keeps the shapes that Portkey writes, we bring them
    into one. Lines that can't be read are NULL in one and in quarantine in the other.
    """
    with _open(ours, reference) as connection:
        typed = _columns(connection, "reference.portkey__logs")
        del typed["filename"]
        kept = _columns(connection, "ours.llm_spend_raw.portkey__logs")
        found = [
            f"{name}: {typed[name]}, loaded as {kept.get(name)}" for name in typed if typed[name] != kept.get(name)
        ]
        if found:
            return found
        connection.execute(_READABLE)
        names = ", ".join(name for name in typed if name != "metadata")
        queries = {
            "rows": [f"select {names} from {side}" for side in ("loaded", "read_alone")],
            "metadata": [
                f"select id, {_TAGS} from {side} where id in (select id from plain)"
                for side in ("loaded", "read_alone")
            ],
            "unreadable lines": [
                "select count(*) from ours.llm_spend_raw.llm_spend__quarantine",
                "select (select count(*) from reference.portkey__logs) - (select count(*) from read_alone)",
            ],
        }
        return [
            f"{what}: {rows:,} only in {side}, such as {example}"
            for what, (loaded, alone) in queries.items()
            for side, query, other in (("ours", loaded, alone), ("reference", alone, loaded))
            for rows, example in [_rows_only_in(connection, query, other)]
            if rows
        ]


_READABLE = """
    create temp view loaded as select * from ours.llm_spend_raw.portkey__logs where _problem is null;
    create temp view read_alone as
    select * from reference.portkey__logs
    where id is not null and id not in (
        select id from ours.llm_spend_raw.portkey__logs where _problem is not null and id is not null
    );
    create temp table plain as
    select id from read_alone
    where json_type(metadata) = 'OBJECT' and json_type(metadata, '$.key') is null;
"""
_TAGS = "replace(cast(cast(metadata as map(varchar, varchar)) as varchar), '\\\\''', '''')"
