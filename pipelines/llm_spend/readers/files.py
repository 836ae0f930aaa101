"""Find log files on a disk or in a bucket, and make them readable on this machine."""

from __future__ import annotations

import codecs
import glob
import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, BinaryIO, cast

import duckdb
import orjson

from llm_spend.errors import UserError
from llm_spend.readers.records import Layout, LogFormat, csv_sql, documents_sql, parquet_sql
from llm_spend.windows import Window

_gzip: ModuleType
_zlib: ModuleType
try:
    from isal import igzip as _gzip
    from isal import isal_zlib as _zlib
except ImportError:  # what it does takes three times as long without it
    _gzip, _zlib = gzip, zlib

UNPACKING_ERRORS: tuple[type[Exception], ...] = (gzip.BadGzipFile, zlib.error, _zlib.error)
"""What reading a gzip file raises that is none, beside EOFError for one that was cut off."""

READING_ERRORS: tuple[type[Exception], ...] = (OSError, EOFError, *UNPACKING_ERRORS)
"""What reading a file raises."""

_WILDCARDS = frozenset("*?[")
LOOKED_INTO = 1 << 16
"""How many bytes of a file are looked into where it begins, and where it ends."""

_LINES_SEEN = 20
_LONGEST_LINE = 1 << 22


@dataclass(frozen=True)
class LogFile:
    """One file: where it came from, where it can be read now, and what tells that it has changed."""

    url: str
    local_path: str
    size_bytes: int
    modified_at: datetime
    window: Window | None = None
    """What an API was asked for, when the file is its answer."""

    @property
    def fingerprint(self) -> tuple[str, int, datetime]:
        """Same fingerprint, same content: a file that was loaded with it is not loaded again."""
        return (self.url, self.size_bytes, self.modified_at)

    @property
    def is_gzip(self) -> bool:
        """Whether it is packed by gzip, by its name, as DuckDB sees it."""
        return self.local_path.lower().endswith(".gz")

    @property
    def is_zstandard(self) -> bool:
        """Whether it is packed by Zstandard, which DuckDB alone unpacks."""
        return self.local_path.lower().endswith(".zst")

    def open(self) -> BinaryIO:
        """Its bytes, those of a gzip file unpacked."""
        return cast(BinaryIO, (_gzip.open if self.is_gzip else open)(self.local_path, "rb"))


def split_glob(path: str) -> tuple[str, str]:
    """A path or URL with wildcards as (folder or bucket URL, glob below it)."""
    scheme, separator, rest = path.partition("://")
    if not separator:
        scheme, rest = "", str(Path(path).expanduser().absolute())
    parts = PurePosixPath(rest).parts
    fixed = next((i for i, part in enumerate(parts) if _WILDCARDS & set(part)), len(parts) - 1)
    root = str(PurePosixPath(*parts[:fixed])) if fixed else ""
    return (f"{scheme}://{root}" if separator else root), str(PurePosixPath(*parts[fixed:]))


def is_remote(path: str) -> bool:
    """Whether a path must be copied before DuckDB can read it."""
    return "://" in path and not path.startswith("file://")


def find_files(path: str) -> list[LogFile]:
    """All files that match a path, wildcard or bucket URL, by name. Credentials: as dlt is configured.

    A folder stands for every file below it; in a bucket it ends with a slash. Raises UserError when nothing matches.
    """
    if _is_folder(path):
        path = path.rstrip("/") + "/**/*"
    found = list(_remote_files(path) if is_remote(path) else _local_files(path))
    if not found:
        raise UserError(f"No file matches {path!r}.", "Check it; quote wildcards so that your shell keeps them.")
    return sorted(found, key=lambda file: file.url)


def _is_folder(path: str) -> bool:
    if is_remote(path):
        return path.endswith("/")
    return Path(path.removeprefix("file://")).expanduser().is_dir()


def _local_files(path: str) -> Iterator[LogFile]:
    root, pattern = split_glob(path.removeprefix("file://"))
    for name in glob.iglob(str(Path(root) / pattern), recursive=True):  # noqa: PTH207 Path.glob lists hidden files too
        if (file := Path(name)).is_file():
            found = file.stat()
            modified_at = datetime.fromtimestamp(found.st_mtime, UTC).replace(tzinfo=None)
            yield LogFile(str(file), str(file), found.st_size, modified_at)


def _remote_files(path: str) -> Iterator[LogFile]:
    from dlt.sources.filesystem import filesystem  # takes seconds: files on a disk shall not wait for it

    root, pattern = split_glob(path)
    try:
        items: Iterable[Any] = filesystem(bucket_url=root, file_glob=pattern)
        for item in _one_by_one(items):
            modified_at = datetime.fromtimestamp(item["modification_date"].timestamp(), UTC).replace(tzinfo=None)
            yield LogFile(str(item["file_url"]), str(item["file_url"]), int(item["size_in_bytes"]), modified_at)
    except Exception as error:
        # Each store has its own errors: no module, no credentials, no such bucket.
        reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{path!r} can't be listed: {reason[0]}", "Check the credentials and the URL.") from error


def _one_by_one(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield from item if isinstance(item, list) else [item]


def below_scheme(url: str) -> str:
    """`bucket/key` of a URL: where its copy lies below the folder of copies."""
    return url.partition("://")[2].lstrip("/")


@contextmanager
def staged(files: list[LogFile]) -> Iterator[tuple[list[LogFile], str]]:
    """The files with paths that DuckDB can open, and the folder of the copies of remote ones ('' for none)."""
    if not any(is_remote(file.url) for file in files):
        yield files, ""
        return
    import fsspec  # type: ignore[import-untyped]  # only remote files need it

    with TemporaryDirectory(prefix="llm_spend_") as folder:
        copies = []
        for file in files:
            target = Path(folder) / below_scheme(file.url)
            target.parent.mkdir(parents=True, exist_ok=True)
            with fsspec.open(file.url, "rb") as remote, target.open("wb") as local:
                while chunk := remote.read(8 * 1024 * 1024):
                    local.write(chunk)
            copies.append(replace(file, local_path=str(target)))
        yield copies, folder


def layout_of(file: LogFile) -> Layout:
    """How the records lie in a file, from its name and its first bytes."""
    name = file.local_path.lower()
    plain = name.removesuffix(".gz").removesuffix(".zst")
    if plain.endswith(".csv"):
        return "csv"
    if plain.endswith(".parquet"):
        return "parquet"
    start = start_of(file)
    lines = [line.strip() for line in start.splitlines() if line.strip()]
    if lines and lines[0].startswith(b"["):
        return "array"
    # A document over several lines goes on; in a log the next line is a document of its own.
    goes_on = len(lines) > 1 and lines[0].startswith(b"{") and not lines[1].startswith(b"{")
    return "unstructured" if goes_on and not is_json(lines[0]) else "newline_delimited"


def format_of(fmt: LogFormat, file: LogFile) -> LogFormat:
    """The format of the records in a file, where a source has several."""
    is_table = layout_of(file) in ("csv", "parquet")
    if by_fields := fmt.by_fields or (fmt.of_table if is_table else None):
        return by_fields(file.url, dict(_fields_of(file)))
    if not fmt.fuller or is_table:
        return fmt
    start = start_of(file)
    # A first record that is not seen to its end may go on with anything: the fuller format misses nothing of it.
    is_cut_off = len(start) >= LOOKED_INTO and b"\n" not in start
    return fmt.fuller if not start or is_cut_off or re.search(fmt.fuller_if.encode(), start) else fmt


@lru_cache(maxsize=1024)
def _fields_of(file: LogFile) -> tuple[tuple[str, str], ...]:
    """Names and DuckDB types of the fields of a file: columns of a table, or what any of its JSON objects has."""
    layout = layout_of(file)
    with duckdb.connect() as connection:
        if layout in ("csv", "parquet"):
            table = csv_sql([file.local_path]) if layout == "csv" else parquet_sql([file.local_path])
            described = connection.execute(f"DESCRIBE SELECT * EXCLUDE (filename) FROM {table}").fetchall()
            return tuple((name, kind) for name, kind, *_ in described)
        names = connection.execute(
            f"SELECT DISTINCT unnest(json_keys(json)) FROM {documents_sql([file.local_path], layout)} ORDER BY 1"
        ).fetchall()
    return tuple((name, "JSON") for (name,) in names)


def start_of(file: LogFile) -> bytes:
    """The first bytes of a file; none where they can't be read."""
    if file.is_zstandard:
        return b""
    try:
        with file.open() as stream:
            return stream.read(len(codecs.BOM_UTF8) + LOOKED_INTO).removeprefix(codecs.BOM_UTF8)
    except READING_ERRORS:
        return b""


def documents_of(file: LogFile) -> Iterator[dict[str, Any]]:
    """Some of the JSON objects that a file begins with, and that lines end with; none of a table."""
    layout = layout_of(file)
    if layout == "newline_delimited":
        lines: Iterable[bytes] = _some_lines(file)
    elif layout in ("array", "unstructured"):
        first = f"SELECT CAST(json AS VARCHAR) FROM {documents_sql([file.local_path], layout)} LIMIT {_LINES_SEEN}"
        with duckdb.connect() as connection:
            lines = [text.encode() for (text,) in connection.execute(first).fetchall()]
    else:
        return
    yield from documents_in(lines)


def documents_at_end(end: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of the last lines of a file, of which the first may be cut off."""
    return documents_in(end.splitlines()[-_LINES_SEEN:])


def documents_in(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects among some lines."""
    for line in lines:
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(document, dict):
            yield document


def _some_lines(file: LogFile) -> list[bytes]:
    """The first and the last lines of a file, of a packed one the first alone; none where they can't be read."""
    if file.is_gzip or file.is_zstandard:
        return start_of(file).splitlines()[:_LINES_SEEN]
    try:
        with file.open() as stream:
            return _ends_of(stream)
    except OSError:
        return []


def _ends_of(stream: BinaryIO) -> list[bytes]:
    first = [stream.readline(_LONGEST_LINE).removeprefix(codecs.BOM_UTF8)]
    while len(first) < _LINES_SEEN and stream.tell() < LOOKED_INTO and (line := stream.readline(_LONGEST_LINE)):
        first.append(line)
    seen = stream.tell()
    start = max(seen, stream.seek(0, os.SEEK_END) - LOOKED_INTO)
    stream.seek(start)
    last = stream.read().splitlines()
    # The first of them may be the end of a line.
    return first + (last[1:] if start > seen else last)[-_LINES_SEEN:]


def is_json(line: bytes) -> bool:
    """Whether a line is one JSON document."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
