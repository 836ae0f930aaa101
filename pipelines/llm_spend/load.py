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

# A file of another kind is unreadable in every line: these tell it as well.
_LINES_NOTED = 1000


@dataclass(frozen=True)
class LoadReport:
    """What one load did. `rows` counts every row written, `quarantined` what could not be read: of them, or instead."""

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
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    # What fails here fails again: a file that changed while it was read, a full disk.
    os.environ.setdefault("LOAD__RAISE_ON_MAX_RETRIES", "1")
    import dlt  # takes seconds: commands that don't load shall not wait for it
    from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
    from dlt.pipeline.exceptions import PipelineStepFailed

    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder of {database} can't be made: {error.strerror}.", "Give another --database."
        ) from error
    with TemporaryDirectory(prefix="llm_spend_") as folder:
        credentials = DuckDbCredentials(str(database))
        credentials.global_config = {"memory_limit": memory_limit, "preserve_insertion_order": False}
        pipeline = dlt.pipeline(
            "llm_spend",
            destination=dlt.destinations.duckdb(credentials),
            dataset_name=RAW_DATASET,
            pipelines_dir=folder,
        )
        try:
            yield pipeline
        except PipelineStepFailed as error:
            raise UserError(
                f"The load stopped: {_root_cause(error)}",
                "Nothing of it counts: run it again when that is solved.",
            ) from error


def _root_cause(error: BaseException) -> str:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error).strip().splitlines()[0]


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
    system = mapping.source if mapping else source
    started = monotonic()
    found = find_files(path)
    with _pipeline(database, memory_limit) as pipeline:
        _create_missing_tables(pipeline, database)
        loaded = _loaded_files(database, source, name)
        new = [file for file in found if file.fingerprint not in loaded]
        noted_late = {entry.fingerprint for entry in _unnoted(database, fmt, system, name)}
        again = [file for file in found if file.fingerprint in noted_late]
        megabytes = sum(file.size_bytes for file in new) / 1e6
        observe(f"{source} ({name}): reading {len(new)} files, {megabytes:,.1f} MB")
        rows = quarantined = 0
        with staged(new + again) as (files, _):
            if new:
                arguments = {"mapping": mapping} if source == "generic" else {}
                info = pipeline.run(LOG_SOURCES[source].read(files[: len(new)], name, **arguments))
                rows, quarantined = _counts(database, fmt, info.loads_ids[-1])
            unnoted = _unnoted(database, fmt, system, name)
            _note_unreadable(pipeline, fmt, system, name, unnoted, files, keep_raw_text)
    return LoadReport(source, name, len(new), len(found) - len(new), rows, quarantined, monotonic() - started)


def _counts(database: Path, fmt: LogFormat, load_id: str) -> tuple[int, int]:
    counted = (
        f"select count(*), count(_problem) + (select count(*) from {RAW_DATASET}.{QUARANTINE_TABLE}"
        f" where _dlt_load_id = $1) from {RAW_DATASET}.{fmt.table} where _dlt_load_id = $1"
    )
    rows, unreadable = _query(database, counted, [load_id])[0]
    return rows, unreadable


@dataclass(frozen=True)
class _Unnoted:
    """A loaded file with `records` that could not be read and that the quarantine table lacks; the first `reasons`."""

    load_id: str
    fingerprint: tuple[str, int, Any]
    records: int
    reasons: list[str]


def _unnoted(database: Path, fmt: LogFormat, source_system: str, instance: str) -> list[_Unnoted]:
    """What the quarantine table lacks: of the load that just ended, or of one that was killed before it noted it."""
    query = f"""
        with committed as (select load_id from {RAW_DATASET}._dlt_loads where status = 0)
        select
            rows._dlt_load_id, files.path, files.size_bytes, files.modified_at,
            count(*), list(rows._problem)[:{_LINES_NOTED}]
        from {RAW_DATASET}.{fmt.table} as rows
        inner join {RAW_DATASET}.{FILES_TABLE} as files
            on rows._dlt_load_id = files._dlt_load_id and rows._file = files.path
        where rows._problem is not null and rows._source_system = ? and rows._source_instance = ?
            and rows._dlt_load_id in (select load_id from committed)
            and not exists (
                select * from {RAW_DATASET}.{QUARANTINE_TABLE} as noted
                where noted.found_in_load_id = rows._dlt_load_id and noted.file = rows._file
                    and noted._dlt_load_id <> rows._dlt_load_id
                    and noted._dlt_load_id in (select load_id from committed)
            )
        group by all
    """
    found = _query(database, query, [source_system, instance])
    return [_Unnoted(load_id, (path, size, at), *noted) for load_id, path, size, at, *noted in found]


def _note_unreadable(
    pipeline: Any,
    fmt: LogFormat,
    source_system: str,
    instance: str,
    unnoted: list[_Unnoted],
    files: list[LogFile],
    keep_raw_text: bool,
) -> None:
    """Write where records are that could not be read. A file that is gone can only tell the reasons."""
    from llm_spend.readers.checks import UnreadableLine
    from llm_spend.readers.resources import quarantine_record, quarantine_records

    at_hand = {file.fingerprint: file for file in files}
    records = []
    for entry in unnoted:
        file = at_hand.get(entry.fingerprint)
        lines = list(unreadable_lines(fmt, file, _LINES_NOTED)) if file else []
        if len(lines) < len(entry.reasons):
            lines = [UnreadableLine(None, reason) for reason in entry.reasons]
        if len(lines) < entry.records:
            lines.append(UnreadableLine(None, f"{entry.records - len(lines):,} more records of this file"))
        records += [
            quarantine_record(
                fmt, source_system, instance, entry.fingerprint[0], line, entry.load_id, keep_text=keep_raw_text
            )
            for line in lines
        ]
    if records:
        pipeline.run(quarantine_records(records))


def _create_missing_tables(pipeline: Any, database: Path) -> None:
    """Create the raw tables of every source, empty, so that the models build whatever was loaded."""
    existing = set(_tables(database))
    missing = [name for name in LOG_SOURCES if log_format(name, None).table not in existing]
    if missing:
        pipeline.run([LOG_SOURCES[name].read([], "default") for name in missing])


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
    try:
        connection = duckdb.connect(str(database), read_only=True)
    except duckdb.IOException as error:
        raise UserError(
            f"The database {database} can't be opened: {str(error).splitlines()[0]}",
            "Close it in other programs." if "lock" in str(error) else "Give a DuckDB file with --database.",
        ) from error
    with connection:
        return connection.execute(sql, parameters).fetchall()
