"""Open the marts of a DuckDB file for reading, or say what the user has to do first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from llm_spend.errors import UserError
from llm_spend.schema import FILES_TABLE, RAW_DATASET

MARTS = "llm_spend"


@contextmanager
def open_marts(database: Path, tables: frozenset[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a database that has the given marts.

    Raises UserError when the file is missing, busy or no database, when nothing was loaded, when the marts
    were never built, and when they are not those of this version.
    """
    if not database.exists():
        raise UserError(
            f"There is no database {database}.",
            "Run `llm-spend load` first, or give another with --database.",
        )
    try:
        connection = duckdb.connect(str(database), read_only=True)
    except duckdb.Error as error:
        raise UserError(
            f"{database} can't be opened: {_first_line(error)}",
            "Another program is writing to it: try again when it has finished."
            if "lock" in str(error)
            else "Give a DuckDB file with --database.",
        ) from error
    with connection:
        missing = tables - table_names(connection, MARTS)
        if missing == tables:
            raise _not_built(connection, database)
        if missing:
            raise UserError(
                f"{database} lacks {', '.join(sorted(missing))}: its last build did not finish.",
                "Run `llm-spend build`; it says what stopped it.",
            )
        try:
            yield connection
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise UserError(
                f"The tables in {database} are not those of this version: {_first_line(error)}",
                "Run `llm-spend build`.",
            ) from error


def table_names(connection: duckdb.DuckDBPyConnection, schema: str) -> frozenset[str]:
    """Names of the tables and views in a schema; none when the schema is not there."""
    listed = "select table_name from information_schema.tables where table_schema = ?"
    return frozenset(row[0] for row in connection.execute(listed, [schema]).fetchall())


def nothing_loaded(database: Path) -> UserError:
    """The error for a database without any usage."""
    return UserError(f"Nothing was loaded into {database} yet.", "Run `llm-spend load` first, then `llm-spend build`.")


def _not_built(connection: duckdb.DuckDBPyConnection, database: Path) -> UserError:
    if FILES_TABLE not in table_names(connection, RAW_DATASET):
        return nothing_loaded(database)
    return UserError(f"Logs were loaded into {database}, but its tables were not built yet.", "Run `llm-spend build`.")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
