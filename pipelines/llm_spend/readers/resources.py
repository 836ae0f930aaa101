"""dlt resources for log files: the rows as a statement that the destination runs, and a record of each file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
from dlt.destinations.adapters import bigquery_adapter
from dlt.extract import DltResource, DltSource

from llm_spend.readers.checks import CheckedFiles, UnreadableLine, check_files
from llm_spend.readers.files import LogFile, below_scheme, documents_at_end, format_of, is_remote, layout_of
from llm_spend.readers.handover import hand_over
from llm_spend.readers.in_memory import FilesInMemory
from llm_spend.readers.records import UNPACKED, Layout, LogFormat, empty_sql, left_out_sql, select_sql
from llm_spend.readers.unknown import NewFields, UnknownFields, new_fields, new_in, with_column
from llm_spend.schema import BOOKKEEPING_TABLES, FILES_TABLE, QUARANTINE_TABLE, REQUESTS, hints

# Layout, folders of copies and originals, format.
_Shared = tuple[Layout, str, str, int]


def log_source(
    fmt: LogFormat,
    files: list[LogFile],
    instance: str,
    source_system: str | None = None,
    entity: str = REQUESTS,
    unknown_fields: UnknownFields = "none",
    unknown: set[str] | None = None,
    memory: FilesInMemory | None = None,
) -> DltSource:
    """The dlt source of a log format: its raw table and the record of its files, which hold rows of an `entity`.

    `unknown_fields`: what is kept of those that are only seen in the files; their names go into `unknown`, without
    which files are not looked into. `memory`: where the destination can read files with JSON lines, if it can.
    """

    @dlt.source(name=fmt.source)
    def resources() -> Iterable[DltResource]:
        system = source_system or fmt.source
        folder = Path(dlt.current.pipeline().working_dir) / "unpacked"
        folder.mkdir(parents=True, exist_ok=True)
        checked = check_files(fmt, files, folder, memory)
        new = NewFields() if unknown is None else new_fields(fmt, checked.readable)
        if unknown is not None:
            unknown.update(new.names)
            if memory:
                memory.expected = lambda end: new.covers(new_in(fmt, documents_at_end(end)))

        def path_of(file: LogFile) -> str:
            return memory.path_of(file) if memory and file.url in checked.in_memory else file.local_path

        yield _rows(fmt, checked.readable, instance, system, partial(new.kept_by, kept=unknown_fields), path_of)
        yield _file_records(fmt, files, instance, entity)
        yield _left_out(fmt, checked, instance, system)

    return resources()


def empty_source(formats: Iterable[LogFormat]) -> DltSource:
    """Creates the tables of formats, and the bookkeeping, without rows: the models read every raw table."""

    @dlt.source(name="llm_spend")
    def resources() -> Iterable[DltResource]:
        for fmt in formats:
            yield _rows(fmt, [], "", "")
        yield _bookkeeping(FILES_TABLE, [])
        yield quarantine_records([])

    return resources()


def _rows(
    fmt: LogFormat,
    files: list[LogFile],
    instance: str,
    source_system: str,
    keeping_more: Callable[[LogFormat], LogFormat] = lambda fmt: fmt,
    path_of: Callable[[LogFile], str] = lambda file: file.local_path,
) -> DltResource:
    base = keeping_more(fmt)

    def statements(load_id: str) -> Iterator[str]:
        if not files:
            yield empty_sql(base)
        # What files share is found by looking into each of them: once.
        groups: dict[_Shared, tuple[LogFormat, list[LogFile]]] = {}
        for file in files:
            of_file = format_of(fmt, file)
            placed = replace(file, local_path=path_of(file))
            groups.setdefault((layout_of(file), *_roots(placed), id(of_file)), (of_file, []))[1].append(placed)
        for (layout, staged_root, original_root, _), (read_as, members) in groups.items():
            is_table = layout in ("csv", "parquet")
            of_files = read_as if is_table else keeping_more(read_as)
            # What is loaded together has the same columns.
            of_files = with_column(of_files) if base.extra else of_files
            paths = [file.local_path for file in members]
            lineage = {
                "source_system": source_system,
                "instance": instance,
                "load_id": load_id,
                "staged_root": staged_root,
                "original_root": original_root,
            }
            yield select_sql(of_files, layout, paths, **lineage)
            if of_files.left_out:
                yield left_out_sql(of_files, of_files.left_out, layout, paths, **lineage)

    def rows() -> Iterator[Any]:
        load_id = dlt.current.load_package_state()["load_id"]
        with TemporaryDirectory(prefix="llm_spend_") as folder:
            for number, select in enumerate(statements(load_id)):
                yield from hand_over(base.kinds, select, Path(folder) / str(number))

    resource = dlt.resource(rows, name=fmt.table, columns=hints(base.kinds), write_disposition="append")
    # The models read whole days, and new loads: on BigQuery, where a query costs what it scans, these are found so.
    return bigquery_adapter(resource, partition=fmt.event_time, cluster=["_dlt_load_id"])


def _roots(file: LogFile) -> tuple[str, str]:
    """Which folder of copies stands for which original one."""
    path = file.local_path.removesuffix(UNPACKED)
    below = below_scheme(file.url) if is_remote(file.url) else file.url
    return path.removesuffix(below), file.url.removesuffix(below)


def _file_records(fmt: LogFormat, files: list[LogFile], instance: str, entity: str) -> DltResource:
    records = [
        {
            "source": fmt.source,
            "source_instance": instance,
            "path": file.url,
            "size_bytes": file.size_bytes,
            "modified_at": file.modified_at,
            "window_start": file.window and file.window.start,
            "window_end": file.window and file.window.end,
            "entity": entity,
        }
        for file in files
    ]
    return _bookkeeping(FILES_TABLE, records)


def quarantine_record(
    fmt: LogFormat,
    source_system: str,
    instance: str,
    url: str,
    line: UnreadableLine,
    load_id: str,
    *,
    keep_text: bool = False,
) -> dict[str, Any]:
    """What the quarantine table holds about a line that load `load_id` could not read."""
    return {
        "source": source_system,
        "source_instance": instance,
        "table_name": fmt.table,
        "file": url,
        "line": line.number,
        "reason": line.reason,
        "raw_text": line.text if keep_text else None,
        "found_in_load_id": load_id,
    }


def quarantine_records(records: Iterable[dict[str, Any]]) -> DltResource:
    """The quarantine table; with no records it is created empty."""
    return _bookkeeping(QUARANTINE_TABLE, records)


def _left_out(fmt: LogFormat, checked: CheckedFiles, instance: str, source_system: str) -> DltResource:
    def records() -> Iterator[dict[str, Any]]:
        load_id = dlt.current.load_package_state()["load_id"]
        for url, lines in checked.left_out.items():
            for line in lines:
                yield quarantine_record(fmt, source_system, instance, url, line, load_id)

    return quarantine_records(records())


def _bookkeeping(table: str, records: Iterable[dict[str, Any]]) -> DltResource:
    def rows() -> Iterator[Any]:
        yield list(records) or dlt.mark.materialize_table_schema()

    return dlt.resource(rows, name=table, columns=hints(BOOKKEEPING_TABLES[table]), write_disposition="append")
