"""The one place that runs a dlt pipeline: which files are new, the load itself, what could not be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from llm_spend.destinations import Destination
from llm_spend.destinations.base import Connection
from llm_spend.errors import UserError, first_line
from llm_spend.readers.api.source import Api, ApiSource, url_of
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.files import LogFile, below_scheme, find_files, staged
from llm_spend.readers.quarantine import unreadable_lines
from llm_spend.readers.records import LogFormat
from llm_spend.schema import BOOKKEEPING_TABLES, FILES_TABLE, QUARANTINE_TABLE
from llm_spend.sources import API_SOURCES, LOG_SOURCES, log_format
from llm_spend.sources.generic import Mapping
from llm_spend.windows import LoadedWindow, Window, in_force, plan

Observer = Callable[[str], None]

# A file of another kind is unreadable in every line: these tell it as well.
_LINES_NOTED = 1000
_NAMES_SHOWN = 10


@dataclass(frozen=True)
class LoadReport:
    """What one load did. `rows` counts every row written, `quarantined` what could not be read: of them, or instead.

    `windows`: how many windows of time an API was asked for. `warnings`: what somebody should look at.
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


@contextmanager
def open_pipeline(destination: Destination) -> Iterator[Any]:
    """A dlt pipeline into the raw schema of a destination, with a working folder of its own.

    No state outlives a run: what has been loaded is read from the destination, so a run that was killed leaves
    nothing behind that could be loaded later or twice.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    # What fails here fails again: a file that changed while it was read, a full disk.
    os.environ.setdefault("LOAD__RAISE_ON_MAX_RETRIES", "1")
    import dlt  # takes seconds: commands that don't load shall not wait for it
    from dlt.pipeline.exceptions import PipelineStepFailed

    with TemporaryDirectory(prefix="llm_spend_") as folder:
        pipeline = dlt.pipeline(
            "llm_spend",
            destination=destination.dlt_destination(),
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
    observe: Observer = lambda message: None,
) -> LoadReport:
    """Load log files. A file that has not changed since it was loaded is skipped.

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
    bring_tables_up_to_date(destination)
    loaded = _loaded_files(destination, source, name)
    new = [file for file in found if file.fingerprint not in loaded]
    unnoted = _unnoted(destination, fmt, system, name)
    if not new and not unnoted:
        return LoadReport(source, name, 0, len(found), 0, 0, monotonic() - started)
    with open_pipeline(destination) as pipeline:
        noted_late = {entry.fingerprint for entry in unnoted}
        again = [file for file in found if file.fingerprint in noted_late]
        megabytes = sum(file.size_bytes for file in new) / 1e6
        observe(f"{source} ({name}): reading {len(new)} files, {megabytes:,.1f} MB")
        rows = quarantined = 0
        with staged(new + again) as (files, _):
            if new:
                arguments = {"mapping": mapping} if source == "generic" else {}
                info = pipeline.run(LOG_SOURCES[source].read(files[: len(new)], name, **arguments))
                rows, quarantined = _counts(destination, fmt, info.loads_ids[-1])
            unnoted = _unnoted(destination, fmt, system, name)
            _note_unreadable(pipeline, fmt, system, name, unnoted, files, keep_raw_text)
    return LoadReport(source, name, len(new), len(found) - len(new), rows, quarantined, monotonic() - started)


def load_api(
    source: str,
    destination: Destination,
    *,
    instance: str | None = None,
    since: date | None = None,
    again: bool = False,
    keep_raw_text: bool = False,
    observe: Observer = lambda message: None,
    now: datetime | None = None,
) -> LoadReport:
    """Load what an API has, window by window: what was not loaded yet, and what may have changed since.

    Each window is a load of its own, so a run that ends early keeps what it loaded. `since`: the first day that is
    wanted, that of the first load if not given; `again`: also what was loaded from then on. `now` is a naive UTC time.

    Raises UserError for a source without an API, without credentials, and when a window can't be had in full.
    """
    if source not in API_SOURCES:
        raise UserError(f"{source!r} has no API that is read.", f"Those that have one: {', '.join(API_SOURCES)}.")
    api_source, name, started = API_SOURCES[source](), instance or "default", monotonic()
    fmt, at = api_source.format, now or datetime.now(UTC).replace(tzinfo=None)
    rows = quarantined = 0
    unknown: set[str] = set()
    warnings: list[str] = []
    with (
        api_source.open(name) as api,
        open_pipeline(destination) as pipeline,
        TemporaryDirectory(prefix="llm_spend_") as folder,
    ):
        create_missing_tables(pipeline, destination)
        _note_unreadable(pipeline, fmt, source, name, _unnoted(destination, fmt, source, name), [], keep_raw_text)
        loaded = in_force(_loaded_windows(destination, source, name))
        first_day = since or min((each.window.start for each in loaded), default=at - api_source.first).date()
        first, settle, look_back = datetime.combine(first_day, time()), api_source.settle, api_source.look_back
        windows = plan(loaded, first, at, settle=settle, look_back=look_back, again=again)
        for number, window in enumerate(windows, start=1):
            observe(f"{source} ({name}): {window}, window {number} of {len(windows)}")
            url = url_of(source, name, window)
            spool = _spooled(api, window, url, folder)
            unknown |= spool.names - set(fmt.fields)
            if not spool.rows and any(old.size_bytes and window.contains(old.window) for old in loaded):
                warnings.append(
                    f"{window}: there were rows, and now there are none. Kept as loaded: the log may have forgotten"
                    " them, or the key may see less than before."
                )
                continue
            file = LogFile(url, str(spool.path), spool.size, at, window)
            written, unreadable = _load_window(pipeline, destination, api_source, name, file, keep_raw_text)
            rows, quarantined = rows + written, quarantined + unreadable
    if unknown:
        names = ", ".join(sorted(each[:40] for each in unknown)[:_NAMES_SHOWN])
        warnings.append(f"Fields that are not known, and not kept: {names}.")
    return LoadReport(source, name, 0, 0, rows, quarantined, monotonic() - started, len(windows), tuple(warnings))


def _load_window(
    pipeline: Any,
    destination: Destination,
    source: ApiSource,
    instance: str,
    file: LogFile,
    keep_raw_text: bool,
) -> tuple[int, int]:
    """Load what an API said about a window, and delete the file; rows that were written, and rows in quarantine."""
    from llm_spend.readers.resources import log_source

    assert file.window
    fmt = source.format_of(file.window)
    info = pipeline.run(log_source(fmt, [file], instance))
    written, unreadable = _counts(destination, fmt, info.loads_ids[-1])
    if unreadable:
        unnoted = _unnoted(destination, fmt, fmt.source, instance)
        _note_unreadable(pipeline, fmt, fmt.source, instance, unnoted, [file], keep_raw_text)
    Path(file.local_path).unlink()
    return written, unreadable


def _loaded_windows(destination: Destination, source: str, instance: str) -> list[LoadedWindow]:
    """The windows that an API was asked for, in the order in which they were loaded."""
    raw = destination.schemas.raw
    committed = (
        f"select window_start, window_end, modified_at, size_bytes from {raw}.{FILES_TABLE}"
        f" where source = %s and source_instance = %s and window_start is not null"
        f" and _dlt_load_id in (select load_id from {raw}._dlt_loads where status = 0) order by _dlt_load_id"
    )
    found = destination.query(committed, [source, instance])
    return [LoadedWindow(Window(start, end), asked_at, size) for start, end, asked_at, size in found]


def _spooled(api: Api, window: Window, url: str, folder: str) -> Spool:
    """What an API has of a window, in a file. Raises UserError."""
    try:
        with Spool(Path(folder) / below_scheme(url)) as spool:
            api.fetch(window, spool)
    except OSError as error:
        raise UserError(
            f"The answer of the API can't be kept in {folder}: {error.strerror}.",
            "Make room there, or name another folder in TMPDIR.",
        ) from None
    return spool


def _counts(destination: Destination, fmt: LogFormat, load_id: str) -> tuple[int, int]:
    raw = destination.schemas.raw
    loaded = f"select count(*), count(_problem) from {raw}.{fmt.table} where _dlt_load_id = %s"
    left_out = f"select count(*) from {raw}.{QUARANTINE_TABLE} where _dlt_load_id = %s"
    with destination.reading() as connection:
        rows, unreadable = connection.rows(loaded, [load_id])[0]
        return rows, unreadable + connection.rows(left_out, [load_id])[0][0]


@dataclass(frozen=True)
class _Unnoted:
    """A loaded file with `records` that could not be read and that the quarantine table lacks; the first `reasons`."""

    load_id: str
    fingerprint: tuple[str, int, Any]
    records: int
    reasons: list[str]


def _unnoted(destination: Destination, fmt: LogFormat, source_system: str, instance: str) -> list[_Unnoted]:
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
        _Unnoted(load_id, (path, size, at), problems, [row[5] for row in records])
        for (load_id, path, size, at, problems), records in groupby(found, key=lambda row: row[:5])
    ]


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


def bring_tables_up_to_date(destination: Destination) -> None:
    """Create raw tables and columns that an earlier version did not write, for the models read them."""
    if outdated := _outdated_sources(destination):
        with open_pipeline(destination) as pipeline:
            _create_tables(pipeline, outdated)


def create_missing_tables(pipeline: Any, destination: Destination) -> None:
    """Create what is missing of the raw tables of every source, without rows."""
    if outdated := _outdated_sources(destination):
        _create_tables(pipeline, outdated)


def _create_tables(pipeline: Any, sources: Iterable[str]) -> None:
    pipeline.run([LOG_SOURCES[name].read([], "default") for name in sources])


def _outdated_sources(destination: Destination) -> list[str]:
    """The sources whose raw table, or a column of it, is missing."""
    raw = destination.schemas.raw
    formats = {name: log_format(name, None) for name in LOG_SOURCES}
    existing = destination.tables(raw)
    missing = {name for name, fmt in formats.items() if fmt.table not in existing}
    if len(missing) < len(formats):
        with destination.reading() as connection:
            if BOOKKEEPING_TABLES[FILES_TABLE].keys() - set(_columns(connection, f"{raw}.{FILES_TABLE}")):
                return list(formats)
            for name in formats.keys() - missing:
                if formats[name].kinds.keys() - set(_columns(connection, f"{raw}.{formats[name].table}")):
                    missing.add(name)
    return [name for name in formats if name in missing]


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
