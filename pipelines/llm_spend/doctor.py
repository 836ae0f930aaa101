"""What `load` and `build` need, tried one by one: `llm-spend doctor`.

Nothing that existed is changed. Rights are tried with tables that are called `llm_spend_doctor_…` and dropped again,
and nothing is tried that `load` and `build` would not do.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal
from uuid import uuid4

import duckdb
from rich.text import Text

from llm_spend.build import project_dir
from llm_spend.destinations import DuckDb, destination_of
from llm_spend.destinations.rights import Rights, rights_of
from llm_spend.destinations.warehouse import Session, Warehouse
from llm_spend.errors import UserError, first_line
from llm_spend.log import redact
from llm_spend.readers.files import find_files
from llm_spend.schema import Kind
from llm_spend.seeds import find_seeds
from llm_spend.settings import Settings, SourceSettings
from llm_spend.sources import SOURCES, api_source
from llm_spend.sources.generic import read_mapping
from llm_spend.transfer import EXPORTED

Observer = Callable[[str], None]
Status = Literal["ok", "failed", "skipped"]

TABLE_PREFIX = "llm_spend_doctor_"
_BYTES_NEEDED = 10**9
_COLORS = {"ok": "green", "failed": "red", "skipped": "dim"}

# A row as the pipelines write it: decimals as text, times in UTC. Midnight is near, and 38 digits are all there are.
_MOMENT, _AMOUNT, _DOCUMENT = "2026-01-31 23:59:59.123456", "12345678901234567890123456.123456789012", {"team": "x"}
_ROW = {"happened_at": _MOMENT, "arrived_at": f"{_MOMENT}+00:00", "amount": _AMOUNT, "document": _DOCUMENT}
_ROW_KINDS: Mapping[str, Kind] = {
    "happened_at": "timestamp",
    "arrived_at": "timestamp",
    "amount": "money",
    "document": "json",
}


@dataclass(frozen=True)
class Check:
    """What was tried, what was found, and for a failure what to do about it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(settings: Settings, observe: Observer = lambda name: None) -> Iterator[Check]:
    """Every check, one after the other; `observe` is told the name of each before it starts."""
    # A check says what dlt would log.
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    checkup = _Checkup(observe)
    destination = destination_of(settings)
    if isinstance(destination, DuckDb):
        yield from _duckdb(checkup, destination)
    elif isinstance(destination, Warehouse):
        yield from _warehouse(checkup, destination)
    yield from _sources(checkup, settings.sources)
    yield from _seeds(checkup, settings.seeds)


def render(check: Check) -> Text:
    """A check on the screen of a terminal."""
    text = Text(f"{check.status:<8}", style=_COLORS[check.status])
    text.append(f"{check.name}: ", style="bold")
    text.append(check.found, style="default")
    for line in check.remedy.splitlines():
        text.append(f"\n        {line}", style="default")
    return text


class _Checkup:
    """Runs checks. Nothing of `secrets` gets into what they say."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self.secrets: set[str] = set()

    def check(self, name: str, find: Callable[[], str], remedy: str = "", *, needs: Check | None = None) -> Check:
        """Run a check: `find` says what it found, or raises. `remedy` is for errors that bring none of their own."""
        if needs is not None and needs.status != "ok":
            return Check(name, "skipped", f"needs {needs.name}")
        self._observe(name)
        try:
            return Check(name, "ok", self._public(find()))
        except _NotPossibleError as error:
            return Check(name, "skipped", self._public(str(error)))
        except UserError as error:
            return Check(name, "failed", self._public(error.problem), self._public(remedy or error.remedy))
        except Exception as error:  # whatever a client library raises: the other checks are still to be run
            return Check(name, "failed", self._public(first_line(error)), self._public(remedy))

    def _public(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return redact(text)


class _NotPossibleError(Exception):
    """Something can't be checked here."""


def _duckdb(checkup: _Checkup, destination: DuckDb) -> Iterator[Check]:
    folder = _nearest_folder(destination.database.absolute().parent)
    elsewhere = "Give a file in another folder with --database."
    yield checkup.check("DuckDB", lambda: f"version {duckdb.__version__}")
    yield checkup.check("folder", lambda: _writable(folder), f"Make {folder} writable. {elsewhere}")
    yield checkup.check("database", lambda: _opened(destination))
    yield checkup.check("disk", lambda: _free(folder), f"Make room. {elsewhere}")


def _nearest_folder(folder: Path) -> Path:
    """The folder itself or, where it does not exist yet, the one that it would be made in."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _writable(folder: Path) -> str:
    with tempfile.TemporaryFile(dir=folder, prefix=TABLE_PREFIX):
        return f"{folder} can be written to"


def _opened(destination: DuckDb) -> str:
    if not destination.database.exists():
        return f"{destination.database} does not exist yet: the first load makes it"
    destination.execute()
    return f"{destination.database} can be opened, {_megabytes(destination.database.stat().st_size)}"


def _free(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    if free < _BYTES_NEEDED:
        raise UserError(f"only {_megabytes(free)} are free")
    return f"{_megabytes(free)} are free"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _warehouse(checkup: _Checkup, destination: Warehouse) -> Iterator[Check]:
    packages = checkup.check("packages", lambda: _installed(destination))
    yield packages
    environment: dict[str, str] = {}
    credentials = checkup.check("credentials", lambda: _configured(checkup, destination, environment), needs=packages)
    yield credentials
    rights = rights_of(destination, environment)
    sessions: list[Session] = []
    with ExitStack() as stack:

        def connect() -> str:
            sessions.append(stack.enter_context(destination.session()))
            return rights.introduce(sessions[0])

        connection = checkup.check(rights.connection, connect, rights.to_connect(), needs=credentials)
        yield connection
        if connection.status != "ok":
            yield checkup.check("rights", str, needs=connection)
            return
        for schema in destination.schemas.all:
            yield from _schema(checkup, sessions[0], destination, rights, schema)


def _installed(destination: Warehouse) -> str:
    destination.dlt_destination()
    return f"{', '.join(destination.modules)} are installed"


def _configured(checkup: _Checkup, destination: Warehouse, environment: dict[str, str]) -> str:
    """What is configured, as dlt resolves it; `environment` is filled with it, secrets left out."""
    for name, value in destination.dbt_environment().items():
        if name.startswith("DBT_ENV_SECRET_"):
            checkup.secrets |= {value, value.strip()}
        elif name.startswith(prefix := f"{destination.name.upper()}_"):
            environment[name.removeprefix(prefix).lower()] = value
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in environment.items())


def _schema(
    checkup: _Checkup, session: Session, destination: Warehouse, rights: Rights, schema: str
) -> Iterator[Check]:
    """Try in one schema what load (raw) or build (the others) does there."""

    def check(what: str, find: Callable[[], str], remedy: str = "", needs: Check | None = None) -> Check:
        return checkup.check(f"{schema}: {what}", find, remedy, needs=needs)

    def run(statement: str) -> Callable[[], str]:
        return lambda: _run(session, statement)

    schemas = destination.schemas
    table = f"{schema}.{TABLE_PREFIX}{uuid4().hex[:12]}"
    with _Undo() as undo:
        usable = check("schema", lambda: _use(session, destination, schema, undo), rights.to_use(schema))
        yield usable
        own = rights.to_create(schema)
        if schema == schemas.raw:
            tables = check("tables that are there", lambda: _writable_tables(session, destination, schema), own, usable)
            yield tables
        columns = f"(id {rights.whole_number})"
        created = check("create table", lambda: _create(session, "table", table, columns, undo), own, usable)
        yield created
        yield check("insert", run(f"insert into {table} (id) values (1)"), own, created)
        yield check("read", run(f"select count(*) from {table}"), own, created)
        yield check("delete", run(f"delete from {table} where id = 1"), own, created)
        if schema == schemas.internal:
            view, query = f"{table}_view", f"as select id from {table}"
            viewed = check("create view", lambda: _create(session, "view", view, query, undo), own, created)
            yield viewed
            yield check("drop view", lambda: undo.now(view), own, viewed)
        yield check("drop table", lambda: undo.now(table), own, created)
        if schema == schemas.raw:
            yield from _copied(checkup, session, rights, f"{table}_load", undo, created)
        if schema in undo:
            yield check("leave it as it was", lambda: undo.now(schema), "Drop it yourself if you don't want it.")


class _Undo:
    """What the checks made: undone by `now`, or when the block ends, whatever happened in it."""

    def __init__(self) -> None:
        self._made: dict[str, Callable[[], str]] = {}

    def __enter__(self) -> _Undo:
        return self

    def __exit__(self, *error: object) -> None:
        for undo in reversed(self._made.values()):
            with suppress(Exception):
                undo()

    def __contains__(self, name: str) -> bool:
        return name in self._made

    def later(self, name: str, undo: Callable[[], str]) -> None:
        """Remember how something is undone; before it is made, as the program may be stopped in between."""
        self._made[name] = undo

    def now(self, name: str) -> str:
        """Undo it, and say so."""
        said = self._made[name]()
        del self._made[name]
        return said


def _run(session: Session, statement: str) -> str:
    session.execute(statement)
    return "allowed"


def _use(session: Session, destination: Warehouse, schema: str, undo: _Undo) -> str:
    if session.has_schema(schema):
        return "is there"
    session.create_schema(schema)
    undo.later(schema, lambda: _drop_empty(session, destination, schema))
    return "was not there, can be created"


def _drop_empty(session: Session, destination: Warehouse, schema: str) -> str:
    if destination.tables(schema):
        return "kept: meanwhile it has tables"
    session.execute(f"drop schema {schema}")
    return "dropped again"


def _create(session: Session, kind: str, name: str, definition: str, undo: _Undo) -> str:
    undo.later(name, lambda: _run(session, f"drop {kind} if exists {name}"))
    return _run(session, f"create {kind} {name} {definition}")


def _writable_tables(session: Session, destination: Warehouse, schema: str) -> str:
    """Tables that somebody else created may be closed to this user. Inserting no rows changes nothing."""
    present = sorted(EXPORTED.keys() & destination.tables(schema))
    for name in present:
        try:
            session.execute(f"insert into {schema}.{name} select * from {schema}.{name} where false")
        except Exception as error:
            raise RuntimeError(f"{name}: {first_line(error)}") from error
    return f"{len(present)} tables can be written to"


def _copied(
    checkup: _Checkup, session: Session, rights: Rights, table: str, undo: _Undo, created: Check
) -> Iterator[Check]:
    """Load a row as the pipelines do."""
    columns = ", ".join(f"{name} {kind}" for name, kind in rights.types.items())

    def load() -> str:
        _create(session, "table", table, f"({columns})", undo)
        session.load(table.partition(".")[2], _ROW_KINDS, _ROW)
        return _compare(session, table)

    loaded = checkup.check(rights.copying, load, rights.to_copy(), needs=created)
    yield loaded
    if rights.session_has_zone:
        yield checkup.check("time zone", lambda: _independent_of_zone(session, table), needs=loaded)
    if table in undo:
        with suppress(Exception):
            undo.now(table)


def _compare(session: Session, table: str) -> str:
    rows = session.rows(f"select {', '.join(_ROW)} from {table}")
    found = [(*row[:3], json.loads(row[3]) if isinstance(row[3], str) else row[3]) for row in rows]
    moment = datetime.fromisoformat(_MOMENT)
    if found != [(moment, moment, Decimal(_AMOUNT), _DOCUMENT)]:
        raise UserError(f"the row that was loaded is not the row that arrived: {found}")
    return "a row arrived as it was sent"


def _independent_of_zone(session: Session, table: str) -> str:
    zone = "Pacific/Kiritimati"  # where it is tomorrow most of the day
    try:
        session.execute(f"alter session set timezone = '{zone}'")
    except Exception as error:
        raise _NotPossibleError(f"a session can't have another zone here: {first_line(error)}") from error
    hour = "to_char({}, 'YYYY-MM-DD HH24')"
    instant = "convert_timezone('UTC', arrived_at)::timestamp_ntz"
    try:
        hours = session.rows(f"select {hour.format('happened_at')}, {hour.format(instant)} from {table}")
    finally:
        session.execute("alter session set timezone = 'UTC'")
    if hours != [("2026-01-31 23", "2026-01-31 23")]:
        raise UserError(f"in the zone {zone} the times that were loaded are {hours}", "Report this as a bug.")
    return "the session's zone has no influence"


def _sources(checkup: _Checkup, sources: list[SourceSettings]) -> Iterator[Check]:
    if not sources:
        yield Check("sources", "skipped", "none are configured")
    for each in sources:
        name = f"source {each.source}{f' ({each.instance})' if each.instance else ''}"
        yield checkup.check(name, lambda each=each: _listed(each))  # type: ignore[misc]
        if each.mapping or (each.source in SOURCES and SOURCES[each.source].needs_mapping):
            yield checkup.check(f"{name}: mapping", lambda each=each: _mapped(each))  # type: ignore[misc]


def _listed(source: SourceSettings) -> str:
    if source.path is None:
        return _reached(source)
    if source.source not in SOURCES:
        raise UserError(f"there is no source {source.source!r}", f"Known sources: {', '.join(SOURCES)}.")
    files = find_files(source.path)
    return f"{len(files):,} files, {_megabytes(sum(file.size_bytes for file in files))}"


def _reached(source: SourceSettings) -> str:
    name = source.instance or "default"
    with api_source(source.source, name).open(name) as api:
        found: str = api.check()
    return found


def _mapped(source: SourceSettings) -> str:
    if not source.mapping:
        raise UserError("the generic source needs a mapping file", "Give it as `mapping` of this source.")
    return f"{len(read_mapping(source.mapping).columns)} columns are mapped"


def _seeds(checkup: _Checkup, seeds: Path | None) -> Iterator[Check]:
    if seeds is None:
        yield Check("seeds", "skipped", "none of your own: those of the package are used")
        return
    yield checkup.check("seeds", lambda: f"{len(find_seeds(seeds, project_dir()))} files in {seeds} can be read")
