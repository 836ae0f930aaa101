"""The one place that runs a dlt pipeline: which files are new, the load itself, what could not be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import duckdb

from llm_spend.errors import UserError
from llm_spend.readers.files import LogFile, find_files, staged
from llm_spend.readers.quarantine import unreadable_lines
from llm_spend.readers.records import LogFormat
from llm_spend.schema import FILES_TABLE, QUARANTINE_TABLE, RAW_DATASET
from llm_spend.sources import LOG_SOURCES, log_format
from llm_spend.sources.generic import Mapping

Observer = Callable[[str], None]


@dataclass(frozen=True)
class LoadReport:
    """What one load did. `rows` counts every row written, `quarantined` those of them that could not be read."""

    source: str
    instance: str
    files: int
    skipped_files: int
    rows: int
    quarantined: int
    seconds: float


@contextmanager
def _pipeline(database: Path, memory_limit: str) -> Iterator[Any]:
    """A dlt pipeline into a DuckDB file, with a working folder of its own.

    No state outlives a run: what has been loaded is read from the destination, so a run that was killed leaves
    nothing behind that could be loaded later or twice.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")
    import dlt  # takes seconds: commands that don't load shall not wait for it

    database.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="llm_spend_") as folder:
        credentials = dlt.destinations.impl.duckdb.configuration.DuckDbCredentials(str(database))
        credentials.global_config = {"memory_limit": memory_limit, "preserve_insertion_order": False}
        yield dlt.pipeline(
            "llm_spend",
            destination=dlt.destinations.duckdb(credentials),
            dataset_name=RAW_DATASET,
            pipelines_dir=folder,
        )


def load_logs(
    source: str,
    path: str,
    database: Path,
    *,
    instance: str | None = None,
    mapping: Mapping | None = None,
    memory_limit: str = "4GB",
    keep_raw_text: bool = False,
    observe: Observer = lambda message: None,
) -> LoadReport:
    """Load log files into a DuckDB file. A file that has not changed since it was loaded is skipped.

    Raises UserError for an unknown source, no matching file or a missing mapping.
    """
    if source not in LOG_SOURCES:
        raise UserError(f"There is no source {source!r}.", f"Known sources: {', '.join(LOG_SOURCES)}.")
    if source == "generic" and mapping is None:
        raise UserError("The generic source needs a mapping file.", "Give it with --mapping FILE.")
    name = instance or (mapping.instance if mapping else "default")
    fmt = log_format(source, mapping)
    started = monotonic()
    found = find_files(path)
    with _pipeline(database, memory_limit) as pipeline:
        _create_missing_tables(pipeline, database)
        loaded = _loaded_files(database, source, name)
        new = [file for file in found if file.fingerprint not in loaded]
        megabytes = sum(file.size_bytes for file in new) / 1e6
        observe(f"{source} ({name}): reading {len(new)} files, {megabytes:,.1f} MB")
        rows = quarantined = 0
        if new:
            with staged(new) as (files, _):
                rows, quarantined = _load(pipeline, database, fmt, source, name, mapping, files, keep_raw_text)
    return LoadReport(
        source, name, len(new), len(found) - len(new), rows, quarantined, monotonic() - started
    )


def _load(
    pipeline: Any,
    database: Path,
    fmt: LogFormat,
    source: str,
    instance: str,
    mapping: Mapping | None,
    files: list[LogFile],
    keep_raw_text: bool,
) -> tuple[int, int]:
    arguments = {"mapping": mapping} if source == "generic" else {}
    info = pipeline.run(LOG_SOURCES[source](files, instance, **arguments))
    load_id = info.loads_ids[-1]
    counted = f"select count(*), count(_problem) from {RAW_DATASET}.{fmt.table} where _dlt_load_id = ?"
    rows, problems = _query(database, counted, [load_id])[0]
    if problems:
        _quarantine(pipeline, database, fmt, source, instance, files, load_id, keep_raw_text)
    return rows, problems


def _quarantine(
    pipeline: Any,
    database: Path,
    fmt: LogFormat,
    source: str,
    instance: str,
    files: list[LogFile],
    load_id: str,
    keep_raw_text: bool,
) -> None:
    """Find the lines that could not be read and write them, with file, line and reason."""
    from llm_spend.readers.resources import quarantine_records

    marked = f"select distinct _file from {RAW_DATASET}.{fmt.table} where _dlt_load_id = ? and _problem is not null"
    affected = {row[0] for row in _query(database, marked, [load_id])}
    records = [
        {
            "source": source,
            "source_instance": instance,
            "table_name": fmt.table,
            "file": file.url,
            "line": line.number,
            "reason": line.reason,
            "raw_text": line.text if keep_raw_text else None,
            "found_in_load_id": load_id,
        }
        for file in files
        if file.url in affected
        for line in unreadable_lines(fmt, file)
    ]
    pipeline.run(quarantine_records(records))


def _create_missing_tables(pipeline: Any, database: Path) -> None:
    """Create the raw tables of every source, empty, so that the models build whatever was loaded."""
    existing = set(_tables(database))
    for name, source in LOG_SOURCES.items():
        if log_format(name, None).table not in existing:
            pipeline.run(source([], "default"))


def _loaded_files(database: Path, source: str, instance: str) -> set[tuple[str, int, Any]]:
    committed = (
        f"select path, size_bytes, modified_at from {RAW_DATASET}.{FILES_TABLE}"
        f" where source = ? and source_instance = ?"
        f" and _dlt_load_id in (select load_id from {RAW_DATASET}._dlt_loads where status = 0)"
    )
    return {(path, size, modified_at) for path, size, modified_at in _query(database, committed, [source, instance])}


def _tables(database: Path) -> list[str]:
    if not database.exists():
        return []
    listed = "select table_name from information_schema.tables where table_schema = ?"
    return [row[0] for row in _query(database, listed, [RAW_DATASET])]


def has_raw_tables(database: Path) -> bool:
    """Whether anything was ever loaded into the database."""
    return QUARANTINE_TABLE in _tables(database)


def _query(database: Path, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql, parameters).fetchall()
