"""A DuckDB file: the embedded default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from llm_spend.destinations.base import Connection, Destination, Row, Statement
from llm_spend.errors import UserError, first_line
from llm_spend.schema import Schemas
from llm_spend.settings import MEMORY_LIMIT

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

# DuckDB packs text in less time and room since 1.3, in files that older versions can't read; by default it writes for
# 0.10. What opens this file has 1.4 or newer, as we do; what other tools read is written by `publish`, by default.
STORAGE_VERSION = "v1.3.0"


def _literal(value: Any) -> str:
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case int() | Decimal():
            return str(value)
        case date():
            return f"'{value.isoformat()}'"
    raise TypeError(f"no query parameter of type {type(value).__name__}")


def _with_literals(sql: str, parameters: Sequence[Any]) -> str:
    """SQL with its parameters. DuckDB would import pandas to look at them, which costs a command a second."""
    first, *others = sql.split("%s") if parameters else [sql]
    return first + "".join(_literal(value) + part for value, part in zip(parameters, others, strict=True))


# What DuckDB has let go of is not back in its pool at once.
_ON_THEIR_WAY = 512 << 20


@cache
def settings_of_writing(memory_limit: str) -> dict[str, Any]:
    """Global settings of a connection that writes a file in a process that may have read logs.

    DuckDB writes whole blocks, and what a block does not use is memory as it was: pieces of prompts that no column has.
    So blocks get memory of their own, in which there is nothing else: as much as there can be of them, within what
    DuckDB would take by itself, since it has addresses for no more.
    """
    limit = "select parse_formatted_bytes(current_setting('memory_limit'))"
    with duckdb.connect() as connection:
        # It is told rounded.
        ((addresses,),) = connection.execute(f"{limit} * 95 // 100").fetchall()
        connection.execute(f"set memory_limit = {_literal(memory_limit)}")
        ((blocks,),) = connection.execute(limit).fetchall()
    pool = min(blocks + _ON_THEIR_WAY, addresses)
    return {"memory_limit": memory_limit, "block_allocator_memory": f"{pool}B"}


class _DuckDbConnection(Connection):
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[Row]]:
        found = self._connection.execute(_with_literals(sql, parameters))
        return [column[0].lower() for column in found.description or ()], found.fetchall()

    def tables(self, schema: str) -> frozenset[str]:
        listed = "select lower(table_name) from information_schema.tables where table_schema = %s"
        return frozenset(row[0] for row in self.rows(listed, [schema]))


class DuckDb(Destination):
    """One file; `memory_limit` is what DuckDB may take before it uses the disk."""

    name = "duckdb"
    # Of the demo's logs, 30 million still fit into the default memory limit, 60 million did not.
    rows_at_once = 15_000_000
    reads_files = True

    def __init__(self, database: Path, memory_limit: str = MEMORY_LIMIT) -> None:
        super().__init__(Schemas())
        self.database = database
        self.memory_limit = memory_limit

    @property
    def label(self) -> str:
        return str(self.database)

    @property
    def work_dir(self) -> Path:
        # Of the file itself: by a link it has the same lock.
        database = self.database.resolve()
        return database.parent / ".llm_spend" / database.stem

    def dlt_destination(self) -> Any:
        self._make_folder()
        if not self.database.exists():
            self._open(read_only=False).close()
        # dlt would look for a relative path in the folder that it began in.
        return self._dlt_destination(str(self.database.absolute()))

    @contextmanager
    def opened(self, files: AbstractFileSystem | None = None) -> Iterator[Any]:
        if not files:
            yield self.dlt_destination()
            return
        self._make_folder()
        with self._open(read_only=False) as connection:
            connection.register_filesystem(files)
            yield self._dlt_destination(connection)

    def _make_folder(self) -> None:
        try:
            self.database.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The folder of {self.database} can't be made: {error.strerror}.", "Give another --database."
            ) from error

    def _dlt_destination(self, database: str | duckdb.DuckDBPyConnection) -> Any:
        import dlt
        from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

        credentials = DuckDbCredentials(database)
        credentials.global_config = {**settings_of_writing(self.memory_limit), "preserve_insertion_order": False}
        return dlt.destinations.duckdb(credentials)

    def dbt_environment(self) -> Mapping[str, str]:
        return {
            "LLM_SPEND_DESTINATION": self.name,
            "LLM_SPEND_DATABASE": str(self.database.absolute()),
            "LLM_SPEND_MEMORY_LIMIT": self.memory_limit,
            "LLM_SPEND_DISABLED_OPTIMIZERS": _disabled_optimizers(),
        }

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        if not self.database.exists():
            raise UserError(
                f"There is no database {self.database}.", "Run `llm-spend load` first, or give another with --database."
            )
        connection = self._open(read_only=True)
        with connection:
            try:
                yield _DuckDbConnection(connection)
            except (duckdb.BinderException, duckdb.CatalogException) as error:
                raise UserError(
                    f"The tables in {self.database} are not those of this version: {first_line(error)}",
                    "Run `llm-spend build`.",
                ) from error

    def execute(self, *statements: Statement) -> None:
        with self._open(read_only=False) as connection:
            for statement in statements:
                connection.execute(statement if isinstance(statement, str) else _with_literals(*statement))

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        try:
            return self._connect(read_only=read_only)
        except duckdb.Error as error:
            raise UserError(
                f"{self.database} can't be opened: {first_line(error)}",
                "Another program is writing to it: try again when it has finished."
                if "lock" in str(error)
                else "Give a DuckDB file with --database.",
            ) from error

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        if read_only:
            return duckdb.connect(str(self.database), read_only=True)
        new: dict[str, Any] = {} if self.database.exists() else {"storage_compatibility_version": STORAGE_VERSION}
        connection = duckdb.connect(str(self.database), config=new)
        for name, value in settings_of_writing(self.memory_limit).items():
            connection.execute(f"set global {name} = {_literal(value)}")
        return connection

    def tables(self, schema: str) -> frozenset[str]:
        return super().tables(schema) if self.database.exists() else frozenset()


def _disabled_optimizers() -> str:
    """The optimizer to do without, if this DuckDB has it; see profiles.yml."""
    with duckdb.connect() as connection:
        found = connection.execute("select name from duckdb_optimizers() where name = 'common_subplan'").fetchone()
    return str(found[0]) if found else ""
