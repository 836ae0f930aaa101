"""What can't be read of a file as a whole: told before the load, so that one bad file does not end it."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from shutil import copyfile, disk_usage
from typing import TYPE_CHECKING

import duckdb

from llm_spend.errors import UserError, first_line
from llm_spend.readers.files import UNPACKING_ERRORS, LogFile, format_of, layout_of, start_of
from llm_spend.readers.lines import OddLines, mend_file
from llm_spend.readers.records import UNPACKED, Layout, LogFormat, csv_sql, parquet_sql, read_sql

if TYPE_CHECKING:
    from llm_spend.readers.in_memory import FilesInMemory

_LAYOUT_NAMES: dict[Layout, str] = {
    "newline_delimited": "JSON lines",
    "array": "a JSON array",
    "unstructured": "JSON",
    "csv": "CSV",
    "parquet": "Parquet",
}


@dataclass(frozen=True)
class UnreadableLine:
    """A line (1-based; None for a whole file or where records are not lines), why it could not be read, its text."""

    number: int | None
    reason: str
    text: str | None = None


@dataclass(frozen=True)
class CheckedFiles:
    """Files that can be loaded, and by URL what is known before the load to be left out: files, lines of CSV files.

    `in_memory`: URLs of the files that were not looked at, since they are when they are read.
    """

    readable: list[LogFile]
    left_out: dict[str, list[UnreadableLine]]
    in_memory: frozenset[str] = frozenset()


def check_files(
    fmt: LogFormat, files: list[LogFile], folder: Path, memory: FilesInMemory | None = None
) -> CheckedFiles:
    """Open the files before a load. Raises UserError for a file that is none of the source, and when none of the tables
    has a column that is to be read.

    The load marks each line of JSON that it can't parse; lines that would take others with them are replaced in a copy
    (readers/lines.py). A gzip file is unpacked here, because DuckDB takes one that was cut off for one that has ended.
    JSON lines are kept unpacked in `folder` until the load is over, so that this is done once, and faster than DuckDB
    does it. Those that are read in `memory` are only looked at there.
    """
    later = {file.url for file in files if memory and _is_read_in(memory, fmt, file)}
    copies = _copies([file for file in files if file.url not in later], folder)

    def unreadable(file: LogFile) -> str | None:
        return None if file.url in later else _unreadable_file(fmt, file, copies.get(file.url))

    with ThreadPoolExecutor(max_workers=2) as pool:
        reasons = list(pool.map(unreadable, files))
    checked = list(zip(files, reasons, strict=True))
    readable = [file for file, reason in checked if reason is None]
    left_out = {file.url: [UnreadableLine(None, reason)] for file, reason in checked if reason}
    if not fmt.by_fields and not fmt.of_table:
        _check_columns(fmt, readable)
    for file in readable:
        if layout_of(file) == "csv" and (dropped := list(_dropped_lines(file))):
            left_out[file.url] = dropped
    return CheckedFiles([_copied(file, copies) for file in readable], left_out, frozenset(later))


def _copies(files: list[LogFile], folder: Path) -> dict[str, Path]:
    """Where JSON lines may be copied to, by URL: unpacked, without a prefix, or mended.

    Nowhere when there may be too little room.
    """
    lines = [file for file in files if layout_of(file) == "newline_delimited" and not file.is_zstandard]
    # Logs shrink to a tenth or so.
    if sum(file.size_bytes * (12 if file.is_gzip else 1) for file in lines) > disk_usage(folder).free:
        return {}
    return {file.url: Path(f"{folder}{Path(file.local_path).absolute()}{UNPACKED}") for file in lines}


def _is_read_in(memory: FilesInMemory, fmt: LogFormat, file: LogFile) -> bool:
    is_plain = not fmt.by_fields and not fmt.line_prefix
    return is_plain and layout_of(file) == "newline_delimited" and memory.takes(file)


def _copied(file: LogFile, copies: dict[str, Path]) -> LogFile:
    copy = copies.get(file.url)
    return replace(file, local_path=str(copy)) if copy and copy.exists() else file


def _has_prefix(fmt: LogFormat, file: LogFile) -> bool:
    return bool(fmt.line_prefix and re.match(fmt.line_prefix.encode(), start_of(file)))


def _unreadable_file(fmt: LogFormat, file: LogFile, copy: Path | None) -> str | None:
    """Why no row of a file can be loaded, None when some can; '' when there is nothing in it."""
    layout = layout_of(file)
    try:
        if file.is_gzip or layout == "csv" or copy:
            reason = _undecodable(file, layout, copy, fmt.line_prefix if copy and _has_prefix(fmt, file) else "")
            if reason is not None:
                return reason
        if fmt.by_fields or fmt.of_table:
            fmt = format_of(fmt, file)
        if layout in ("array", "unstructured", "parquet") or file.is_zstandard:
            table = parquet_sql([file.local_path]) if layout == "parquet" else read_sql(fmt, layout, [file.local_path])
            with duckdb.connect() as connection:
                connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    except OSError as error:
        raise UserError(f"{file.url} can't be opened: {error.strerror or error}.") from error
    except duckdb.Error as error:
        problem = first_line(error).replace(file.local_path, file.url)
        return f"can't be read as {_LAYOUT_NAMES[layout]}: {problem[:300]}"
    return None


def _undecodable(file: LogFile, layout: Layout, copy: Path | None, prefix: str = "") -> str | None:
    """Why a file can't be unpacked or, as CSV, decoded; '' when it is empty.

    What is unpacked is written to `copy`, each line without a `prefix`; so are lines that DuckDB must not see.
    """
    if file.is_gzip and not file.size_bytes:
        return "not a whole gzip file: it has 0 bytes"
    decoder = codecs.getincrementaldecoder("utf-8")()
    written = copy if copy and (file.is_gzip or prefix) else None
    if copy:
        copy.parent.mkdir(parents=True, exist_ok=True)
    size, odd = 0, OddLines()
    try:
        with file.open() as stream, open(written or os.devnull, "wb") as unpacked:  # noqa: PTH123
            blocks = iter(partial(stream.read, 1 << 20), b"")
            for chunk in _without(prefix, blocks) if prefix else blocks:
                size += len(chunk)
                unpacked.write(chunk)
                if copy:
                    odd.look_at(chunk)
                if layout == "csv":
                    decoder.decode(chunk)
    except EOFError:
        return "not a whole gzip file: it ends too early"
    except UNPACKING_ERRORS as error:
        return f"not a whole gzip file: {error}"
    except UnicodeDecodeError:
        return "not UTF-8: export it again as UTF-8"
    if copy and odd.ends:
        if not written:
            copyfile(file.local_path, copy)
        mend_file(copy, odd.ends)
    return None if size else ""


def _without(prefix: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks of a file, its lines without a prefix."""
    pattern, rest = re.compile(prefix.encode()), b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield b"".join(pattern.sub(b"", line, count=1) + b"\n" for line in lines)
    yield pattern.sub(b"", rest, count=1)


def _check_columns(fmt: LogFormat, files: list[LogFile]) -> None:
    """A JSON record may lack a field; a table that lacks a column is another table than the mapping describes."""
    for layout, group in groupby(sorted(files, key=layout_of), key=layout_of):
        if layout not in ("csv", "parquet"):
            continue
        paths = [file.local_path for file in group]
        table = csv_sql(paths) if layout == "csv" else parquet_sql(paths)
        with duckdb.connect() as connection:
            described = connection.execute(f"DESCRIBE SELECT * EXCLUDE (filename) FROM {table}").fetchall()
        names = {row[0].lower() for row in described}
        missing = [name for name in fmt.file_fields if name.lower() not in names]
        if missing:
            raise UserError(
                f"No {_LAYOUT_NAMES[layout]} file of this load has the column {', '.join(missing)}.",
                f"{paths[0]} has {', '.join(row[0] for row in described)}."
                " Correct the mapping file, or leave such files out with a narrower --path.",
            )


def _dropped_lines(file: LogFile) -> Iterator[UnreadableLine]:
    """Lines with too many or too few fields: a CSV reader drops them, it can't mark them."""
    with duckdb.connect() as connection:
        # Only a result that is fetched has been read to its end, and only then are the dropped lines noted.
        connection.execute(f"SELECT count(COLUMNS(*)) FROM {csv_sql([file.local_path], note_dropped=True)}").fetchall()
        dropped = connection.execute(
            "SELECT line, min(error_message), min(csv_line) FROM reject_errors GROUP BY line ORDER BY line"
        ).fetchall()
    for number, reason, text in dropped:
        yield UnreadableLine(number, reason.strip(), text)
