"""A copy of the public tables for readers: dashboards and BI tools open it, and never stand in the way of a build.

DuckDB lets one process write a file, or many read it. So readers get a file of their own, which is written beside the
old one and takes its place in one step: who has the old one open keeps reading that, who opens it next reads the new.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE
from time import monotonic

import duckdb

from llm_spend.build_record import passed_at
from llm_spend.destinations import Destination, DuckDb
from llm_spend.destinations.duckdb import settings_of_writing
from llm_spend.errors import UserError, first_line
from llm_spend.lock import writing
from llm_spend.readers.sql import identifier, quote
from llm_spend.schema import Schemas

PUBLIC = Schemas().public
SLIP_SCHEMA, SLIP_TABLE = "llm_spend_published", "publication"
"""Where a published file says what it is of: one row with published_at and built_at, both in UTC."""

_FILE = "published.duckdb"
_ALIAS = "published"
_SLIP = f"{SLIP_SCHEMA}.{SLIP_TABLE}"


@dataclass(frozen=True)
class Publication:
    """What a published file is of. Times are UTC; `built_at` is None when no build that passed its tests made it."""

    published_at: datetime
    built_at: datetime | None


@dataclass(frozen=True)
class Published:
    """A file that was published now."""

    file: Path
    built_at: datetime | None
    tables: int
    requests: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True)
class Readable:
    """The file to read, and what to know about it; '' for nothing."""

    file: Path
    note: str = ""


class PublishedFile(DuckDb):
    """A published file, for reading. Each connection reads the file that is there when it is opened."""

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        # Opened by its path, DuckDB would share the file that another thread still reads, though it was replaced.
        connection = duckdb.connect(config={"memory_limit": self.memory_limit})
        connection.execute(f"attach {quote(str(self.database))} as {_ALIAS} (read_only)")
        connection.execute(f"use {_ALIAS}")
        return connection

    def publication(self) -> Publication | None:
        """What the file is of; None when it was not published. Raises UserError when it can't be read."""
        with self.reading() as connection:
            if SLIP_TABLE not in connection.tables(SLIP_SCHEMA):
                return None
            return Publication(*connection.rows(f"select published_at, built_at from {_SLIP}")[0])


def file_to_publish(destination: Destination, chosen: Path | None) -> Path:
    """Where a destination is published: as chosen, else beside the working copy of the project.

    Raises UserError for a warehouse, which needs no copy.
    """
    _duckdb(destination)
    return (chosen or destination.work_dir / _FILE).resolve()


def publish(
    destination: Destination, file: Path, *, wait: timedelta | float, whatever_state: bool = False
) -> Published:
    """Write the public tables to a file, views as tables, with their exact types; it replaces the one before.

    Waits for a writer up to `wait` (seconds, if a number). Raises UserError when nothing is built, when the last build
    did not pass its tests (unless `whatever_state`), and when `file` is something else or can't be written.
    """
    started, source = monotonic(), _duckdb(destination)
    _must_be_ours(file, source)
    with writing(source, wait=wait):
        built_at = passed_at(source)
        if not built_at and not whatever_state:
            raise UserError(
                f"The last build of {source.label} did not pass its tests, or there was none: its numbers can't be"
                " trusted.",
                "Run `llm-spend build`; or publish them as they are with --untrusted.",
            )
        with _replaced(file, source) as side:
            tables, requests = _copy(source, side, built_at)
    built = datetime.fromisoformat(built_at) if built_at else None
    return Published(file, built, tables, requests, file.stat().st_size, monotonic() - started)


def republish(destination: Destination, chosen: Path | None, *, wait: timedelta | float) -> Published | None:
    """Publish again, if somebody ever published and the file is of another build than the last one that passed."""
    if not isinstance(destination, DuckDb):
        return None
    file = file_to_publish(destination, chosen)
    if not file.exists() or _is_of(file, passed_at(destination)):
        return None
    return publish(destination, file, wait=wait)


def readable(destination: Destination, chosen: Path | None, *, wait: timedelta | float) -> Readable:
    """The published file of a destination, published now if there is none or an older one.

    One that is there does: a build that runs is not waited for. A database that is itself a published file is its own.
    """
    source = _duckdb(destination)
    if source.database.exists() and _publication_of(source.database):
        return Readable(source.database.resolve())
    file = file_to_publish(source, chosen)
    if not file.exists():
        return Readable(publish(source, file, wait=wait).file)
    try:
        with writing(source, wait=0):
            built_at = passed_at(source)
            if built_at is None:
                return Readable(
                    file, f"The last build of {source.label} did not pass: this is what was published before."
                )
            if not _is_of(file, built_at):
                publish(source, file, wait=0)
    except UserError as error:
        return Readable(file, f"This may be an older build. {error.problem}")
    return Readable(file)


def _duckdb(destination: Destination) -> DuckDb:
    if not isinstance(destination, DuckDb):
        raise UserError(
            f"{destination.label} serves its readers itself.",
            "Only a DuckDB file is published: give it with --database.",
        )
    return destination


def _publication_of(file: Path) -> Publication | None:
    """What a file is of; None when it was not published, is being written, or is no database at all."""
    with suppress(UserError):
        return PublishedFile(file).publication()
    return None


def _is_of(file: Path, built_at: str | None) -> bool:
    publication = _publication_of(file)
    return bool(publication and built_at and publication.built_at == datetime.fromisoformat(built_at))


def _must_be_ours(file: Path, source: DuckDb) -> None:
    """Somebody's database must not be replaced because of a slip of the pen."""
    if file == source.database.resolve():
        raise UserError(f"{file} is the database itself.", "Publish to another file.")
    with _can_be_written(file):
        is_there = file.exists()
    if is_there and _publication_of(file) is None:
        raise UserError(
            f"{file} is there, and is no published file, or one that another program writes to.",
            "Give another one, or remove it.",
        )


@contextmanager
def _replaced(file: Path, source: DuckDb) -> Iterator[Path]:
    """A path beside the file, for what takes its place when the block ends well."""
    # Always the same one for a database: what a process that was killed left is written over.
    side = file.with_name(f".{file.name}.{sha256(str(source.database.resolve()).encode()).hexdigest()[:8]}")
    with _can_be_written(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        _remove(side)
    try:
        yield side
        with _can_be_written(file):
            # It names people as well: who may read the file before it, or else the database, and nobody else.
            side.chmod(S_IMODE((file if file.exists() else source.database).stat().st_mode))
            # What somebody wrote into the old file and never finished is none of the new one's.
            _wal(file).unlink(missing_ok=True)
            side.replace(file)
    finally:
        with suppress(OSError):
            _remove(side)


@contextmanager
def _can_be_written(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{file} can't be written: {error.strerror}.", "Give another file with --to.") from error


def _wal(file: Path) -> Path:
    return file.with_name(f"{file.name}.wal")


def _remove(side: Path) -> None:
    for path in (side, _wal(side)):
        path.unlink(missing_ok=True)


def _copy(source: DuckDb, side: Path, built_at: str | None) -> tuple[int, int]:
    """Copy the public tables; how many there are, and how many requests."""
    # By this name a view of the database finds its own tables.
    name = identifier(source.database.stem)
    listed = f"select table_name from information_schema.tables where table_catalog = {quote(source.database.stem)}"
    try:
        with duckdb.connect(str(side), config=settings_of_writing(source.memory_limit)) as connection:
            side.chmod(0o600)
            connection.execute(f"attach {quote(str(source.database))} as {name} (read_only)")
            connection.execute(f"create schema {PUBLIC}")
            tables = connection.execute(f"{listed} and table_schema = {quote(PUBLIC)} order by all").fetchall()
            for (table,) in tables:
                connection.execute(
                    f"create table {PUBLIC}.{identifier(table)} as select * from {name}.{PUBLIC}.{identifier(table)}"
                )
            counted = connection.execute(f"select count(*) from {PUBLIC}.fct_llm_requests").fetchone()
            moment = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
            connection.execute(f"create schema {SLIP_SCHEMA}")
            connection.execute(
                f"create table {_SLIP} as select timestamp {quote(moment)} as published_at,"
                f" {f'timestamp {quote(built_at)}' if built_at else 'null::timestamp'} as built_at"
            )
    except duckdb.IOException as error:
        raise UserError(
            f"{source.label} can't be published into {side.parent}: {first_line(error)}",
            "Is the folder there to write to, and has its disk room? Else give a file elsewhere with --to.",
        ) from error
    except duckdb.Error as error:
        raise UserError(
            f"{source.label} can't be published: {first_line(error)}",
            "Run `llm-spend build` first.",
        ) from error
    return len(tables), counted[0] if counted else 0
