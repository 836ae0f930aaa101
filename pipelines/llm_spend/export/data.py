"""A table for programs: CSV, and Parquet with exact types."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import orjson

from llm_spend.export.document import Kind, Table, Value
from llm_spend.export.names import as_csv_text
from llm_spend.readers.records import json_lines_table
from llm_spend.readers.sql import identifier, quote

_TYPES: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "usd": "DECIMAL(38, 2)",
    "exact_usd": "DECIMAL(38, 12)",
    "count": "BIGINT",
    "share": "DECIMAL(18, 6)",
    "month": "DATE",
    "day": "DATE",
    "moment": "TIMESTAMP",
    "flag": "BOOLEAN",
}


def as_csv(table: Table) -> bytes:
    """UTF-8, RFC 4180; unknown is empty. Text that a spreadsheet would take for a formula gets an apostrophe."""
    content = StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(column.name for column in table.columns)
    for row in table.rows:
        writer.writerow(as_csv_text(value) if isinstance(value, str) else _as_text(value) for value in row)
    return content.getvalue().encode()


def as_parquet(table: Table) -> bytes:
    """Amounts are decimals, unknown is NULL, text is as it is."""
    names = [column.name for column in table.columns]
    with TemporaryDirectory(prefix="llm_spend_") as work:
        rows, written = Path(work) / "rows.jsonl", Path(work) / "rows.parquet"
        rows.write_bytes(
            b"".join(orjson.dumps(dict(zip(names, map(_as_text, row), strict=True))) + b"\n" for row in table.rows)
        )
        selected = ", ".join(
            f"CAST({identifier(column.name)} AS {_TYPES[column.kind]}) AS {identifier(column.name)}"
            for column in table.columns
        )
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT {selected} FROM {json_lines_table(str(rows), names)})"
                f" TO {quote(str(written))} (FORMAT parquet)"
            )
        return written.read_bytes()


def _as_text(value: Value) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case _:
            return str(value)
