"""The one place that runs a dlt pipeline: which files are new, the load itself, what could not be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

from llm_spend.destinations import Destination
from llm_spend.destinations.base import Connection
from llm_spend.errors import UserError, first_line
from llm_spend.readers.files import LogFile, find_files, staged
from llm_spend.readers.quarantine import unreadable_lines
from llm_spend.readers.records import LogFormat
from llm_spend.readers.unknown import UnknownFields, said_of
from llm_spend.schema import BOOKKEEPING_TABLES, FILES_TABLE, QUARANTINE_TABLE
from llm_spend.sources import SOURCES, file_format, raw_formats
from llm_spend.sources.generic import Mapping

if TYPE_CHECKING:
    from llm_spend.readers.in_memory import FilesInMemory

Observer = Callable[[str], None]

# A file of another kind is unreadable in every line: these tell it as well.
_LINES_NOTED = 1000


@dataclass(frozen=True)
class LoadReport:
    """What one load did. `rows` counts every row written, `quarantined` what could not be read: of them, or instead.

    `windows`: how many windows of time an API was asked for. `warnings`: what somebody should look at. `left_out`:
    records that were read and are not what is loaded; a row of the table stands for many of them.
    """

    source: str
    instance: str
    files: int
    skipped_files: int
    rows: int
    quarantined: int
    seconds: float
    windows: int = 0
    warnings: tuple[str, ...] = ()
    left_out: int = 0


@contextmanager
def open_pipeline(destination: Destination, memory: FilesInMemory | None = None) -> Iterator[Any]:
    """A dlt pipeline into the raw schema of a destination, with a working folder of its own.

    `memory`: files that the destination reads; until the pipeline is closed nobody else can open it.

    No state outlives a run: what has been loaded is read from the destination, so a run that was killed leaves
    nothing behind that could be loaded later or twice.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    # What fails here fails again: a file that changed while it was read, a full disk.
    os.environ.setdefault("LOAD__RAISE_ON_MAX_RETRIES", "1")
    # There is no state to restore, and keeping it would add a load of its own to ours.
    os.environ.setdefault("RESTORE_FROM_DESTINATION", "0")
    import dlt  # takes seconds: commands that don't load shall not wait for it
    from dlt.pipeline.exceptions import PipelineStepFailed

    with TemporaryDirectory(prefix="llm_spend_") as folder, destination.opened(memory) as dlt_destination:
        pipeline = dlt.pipeline(
            "llm_spend",
            destination=dlt_destination,
            dataset_name=destination.schemas.raw,
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
    return first_line(error)


def load_logs(
    source: str,
    path: str,
    destination: Destination,
    *,
    instance: str | None = None,
    mapping: Mapping | None = None,
    keep_raw_text: bool = False,
    unknown_fields: UnknownFields = "numbers",
    observe: Observer = lambda message: None,
) -> LoadReport:
    """Load log files. A file that has not changed since it was loaded is skipped.

    `unknown_fields`: what is kept of fields that no column is for. Raises UserError for an unknown source, no matching
    file or a missing mapping.
    """
    name = instance or (mapping.instance if mapping else "default")
    fmt = file_format(source, mapping)
    system = mapping.source if mapping else source
    started = monotonic()
    found = find_files(path)
    bring_tables_up_to_date(destination)
    loaded = _loaded_files(destination, source, name)
    new = [file for file in found if file.fingerprint not in loaded]
    unnoted = find_unnoted(destination, fmt, system, name)
    if not new and not unnoted:
        return LoadReport(source, name, 0, len(found), 0, 0, monotonic() - started)
    from llm_spend.readers.resources import log_source  # dlt takes seconds to import: only what loads waits for it

    noted_late = {entry.fingerprint for entry in unnoted}
    again = [file for file in found if file.fingerprint in noted_late]
    megabytes = sum(file.size_bytes for file in new) / 1e6
    observe(f"{source} ({name}): reading {len(new)} files, {megabytes:,.1f} MB")
    rows = quarantined = left_out = 0
    unknown: set[str] = set()
    with staged(new + again) as (files, _):
        if new:
            entity = SOURCES[source].entity
            source_of_files = partial(log_source, fmt, files[: len(new)], name, system, entity, unknown_fields, unknown)
            load_id = _write(destination, fmt.table, source_of_files)
            rows, quarantined = count_rows(destination, fmt, load_id)
            left_out = _count_left_out(destination, fmt, load_id)
        if unnoted := find_unnoted(destination, fmt, system, name):
            with open_pipeline(destination) as pipeline:
                note_unreadable(pipeline, fmt, system, name, unnoted, files, keep_raw_text)
    counts = (len(new), len(found) - len(new), rows, quarantined, monotonic() - started)
    warnings = (said_of(unknown, unknown_fields),) if unknown else ()
    return LoadReport(source, name, *counts, warnings=warnings, left_out=left_out)


def _write(destination: Destination, table: str, source_of: Callable[..., Any]) -> str:
    """Load a dlt source, made for files that are read in memory; or without, if one of them can't. The load's id."""
    if destination.reads_files:
        from llm_spend.readers.in_memory import FilesInMemory  # with it comes fsspec

        memory = FilesInMemory()
        try:
            with open_pipeline(destination, memory) as pipeline:
                return str(pipeline.run(source_of(memory=memory)).loads_ids[0])
        except UserError as error:
            if not memory.refused:
                raise
            _forget(destination, table, error)
    with open_pipeline(destination) as pipeline:
        return str(pipeline.run(source_of()).loads_ids[0])


def _forget(destination: Destination, table: str, error: UserError) -> None:
    """Delete what a load that failed has written: it would not count, but it would stay."""
    raw = destination.schemas.raw
    if load_id := getattr(error.__cause__, "load_id", None):
        written = destination.tables(raw).intersection((table, *BOOKKEEPING_TABLES))
        destination.execute(*((f"delete from {raw}.{name} where _dlt_load_id = %s", [load_id]) for name in written))


def count_rows(destination: Destination, fmt: LogFormat, load_id: str) -> tuple[int, int]:
    """Rows that a load wrote, and how many of its records could not be read."""
    raw = destination.schemas.raw
    records = f"count(*) - count({fmt.left_out.count})" if fmt.left_out else "count(*)"
    loaded = f"select {records}, count(_problem) from {raw}.{fmt.table} where _dlt_load_id = %s"
    left_out = f"select count(*) from {raw}.{QUARANTINE_TABLE} where _dlt_load_id = %s"
    with destination.reading() as connection:
        rows, unreadable = connection.rows(loaded, [load_id])[0]
        return rows, unreadable + connection.rows(left_out, [load_id])[0][0]


def _count_left_out(destination: Destination, fmt: LogFormat, load_id: str) -> int:
    """Records of a load that its format leaves out, where the table keeps their number."""
    if not fmt.left_out:
        return 0
    table = f"{destination.schemas.raw}.{fmt.table}"
    query = f"select coalesce(sum({fmt.left_out.count}), 0) from {table} where _dlt_load_id = %s"
    return int(destination.query(query, [load_id])[0][0])


@dataclass(frozen=True)
class Unnoted:
    """A loaded file with `records` that could not be read and that the quarantine table lacks; the first `reasons`."""

    load_id: str
    fingerprint: tuple[str, int, Any]
    records: int
    reasons: list[str]


def find_unnoted(destination: Destination, fmt: LogFormat, source_system: str, instance: str) -> list[Unnoted]:
    """What the quarantine table lacks: of the load that just ended, or of one that was killed before it noted it."""
    raw = destination.schemas.raw
    query = f"""
        with committed as (select load_id from {raw}._dlt_loads where status = 0),

        noted as (
            select found_in_load_id, file
            from {raw}.{QUARANTINE_TABLE}
            where _dlt_load_id <> found_in_load_id and _dlt_load_id in (select load_id from committed)
        ),

        unreadable as (
            select
                records._dlt_load_id as load_id,
                records._file as path,
                records._problem as problem,
                count(*) over (partition by records._dlt_load_id, records._file) as problems,
                row_number() over (partition by records._dlt_load_id, records._file order by records._problem) as number
            from {raw}.{fmt.table} as records
            left join noted on noted.found_in_load_id = records._dlt_load_id and noted.file = records._file
            where
                records._problem is not null
                and records._source_system = %s and records._source_instance = %s
                and records._dlt_load_id in (select load_id from committed)
                and noted.file is null
        )

        select unreadable.load_id, files.path, files.size_bytes, files.modified_at, problems, problem
        from unreadable
        inner join {raw}.{FILES_TABLE} as files
            on unreadable.load_id = files._dlt_load_id and unreadable.path = files.path
        where number <= {_LINES_NOTED}
        order by 1, 2, number
    """
    found = destination.query(query, [source_system, instance])
    return [
        Unnoted(load_id, (path, size, at), problems, [row[5] for row in records])
        for (load_id, path, size, at, problems), records in groupby(found, key=lambda row: row[:5])
    ]


def note_unreadable(
    pipeline: Any,
    fmt: LogFormat,
    source_system: str,
    instance: str,
    unnoted: list[Unnoted],
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


def bring_tables_up_to_date(destination: Destination) -> None:
    """Create raw tables and columns that an earlier version did not write, for the models read them."""
    if outdated := _outdated_formats(destination):
        with open_pipeline(destination) as pipeline:
            _create_tables(pipeline, outdated)


def create_missing_tables(pipeline: Any, destination: Destination) -> None:
    """Create what is missing of all raw tables, without rows."""
    if outdated := _outdated_formats(destination):
        _create_tables(pipeline, outdated)


def _create_tables(pipeline: Any, formats: Iterable[LogFormat]) -> None:
    from llm_spend.readers.resources import empty_source

    pipeline.run(empty_source(formats))


def _outdated_formats(destination: Destination) -> list[LogFormat]:
    """Formats whose raw table, or a column of it, is missing."""
    raw = destination.schemas.raw
    formats = raw_formats()
    existing = destination.tables(raw)
    missing = formats.keys() - existing
    if len(missing) < len(formats):
        with destination.reading() as connection:
            if BOOKKEEPING_TABLES[FILES_TABLE].keys() - set(_columns(connection, f"{raw}.{FILES_TABLE}")):
                return list(formats.values())
            for table in formats.keys() - missing:
                if formats[table].kinds.keys() - set(_columns(connection, f"{raw}.{table}")):
                    missing.add(table)
    return [fmt for table, fmt in formats.items() if table in missing]


def _columns(connection: Connection, table: str) -> list[str]:
    return connection.table(f"select * from {table} where 1 = 0")[0]


def _loaded_files(destination: Destination, source: str, instance: str) -> set[tuple[str, int, Any]]:
    raw = destination.schemas.raw
    committed = (
        f"select path, size_bytes, modified_at from {raw}.{FILES_TABLE}"
        f" where source = %s and source_instance = %s"
        f" and _dlt_load_id in (select load_id from {raw}._dlt_loads where status = 0)"
    )
    return {(path, size, at) for path, size, at in destination.query(committed, [source, instance])}
