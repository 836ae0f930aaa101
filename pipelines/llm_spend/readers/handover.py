"""The rows of a SELECT on their way into a raw table: they never pass through Python."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dlt
import duckdb

from llm_spend.readers.records import json_lines_sql
from llm_spend.schema import Kind


def hand_over(kinds: Mapping[str, Kind], select: str, path: Path) -> Iterator[Any]:
    """What a dlt resource yields for the rows of a DuckDB SELECT with the columns `kinds`.

    Files are written to `path`, which has no suffix and does not exist, and are read when the package is extracted.
    """
    if dlt.current.pipeline().destination.destination_name == "duckdb":
        yield _model(select, path)
    else:
        yield from _json_lines(kinds, select, path)


def _model(select: str, path: Path) -> Any:
    """One statement that the destination runs."""
    model = path.with_suffix(".model")
    model.write_text(f"dialect: duckdb\n{select}\n", encoding="utf-8")
    return dlt.mark.with_file_import(str(model), "model")


def _json_lines(kinds: Mapping[str, Kind], select: str, path: Path) -> Iterator[Any]:
    """Files that a warehouse copies in. Not Parquet: there a JSON column is text to both warehouses."""
    plain = dlt.config.get("normalize.data_writer.disable_compression", bool)
    with duckdb.connect(config={"preserve_insertion_order": False}) as connection:
        rows = connection.execute(json_lines_sql(kinds, select, str(path), compressed=not plain)).fetchall()[0][0]
    for lines in sorted(path.iterdir()):
        if not rows:  # what DuckDB leaves of a file without rows is no whole gzip file
            lines.write_bytes(b"" if plain else gzip.compress(b""))
        yield dlt.mark.with_file_import(str(lines), "jsonl")
