"""Open the marts for reading, wherever they are, or say what the user has to do first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from llm_spend.destinations.base import Connection, Destination, Row
from llm_spend.errors import UserError
from llm_spend.schema import FILES_TABLE, Schemas

MARTS, RAW = Schemas().public, Schemas().raw

UNALLOCATED, UNRESOLVED = "(unallocated)", "(unresolved)"
"""What the marts call an owner that nobody named, and a model that is in no price list."""

MODEL_NAME = f"coalesce(nullif(model_id, '{UNRESOLVED}'), resolved_model, '(unknown)')"
"""SQL: a model that is in no price list goes by the name that its provider gave it."""


class Query(NamedTuple):
    """SQL with `?` for its parameters, and the public tables that it reads."""

    sql: str
    parameters: tuple[Any, ...]
    tables: frozenset[str]


class Marts:
    """An open connection to the marts, asked in DuckDB's SQL with the schema names of a DuckDB file."""

    def __init__(self, destination: Destination, connection: Connection) -> None:
        self._destination = destination
        self._connection = connection

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows of a query; `?` marks a parameter."""
        if self._destination.name != "duckdb":
            sql = _translated(sql, self._destination)
            # Their clients put parameters in with Python's %, where DuckDb looks for %s only.
            sql = sql.replace("%", "%%") if parameters else sql
        return self._connection.rows(sql.replace("?", "%s"), parameters)

    def ask(self, query: Query) -> list[Row]:
        """The rows of a question."""
        return self.rows(query.sql, *query.parameters)

    def raw_tables(self) -> frozenset[str]:
        """Names of what the pipelines wrote."""
        return self._connection.tables(self._destination.schemas.raw)


def _translated(sql: str, destination: Destination) -> str:
    import sqlglot
    from sqlglot import exp

    names = {MARTS: destination.schemas.public, RAW: destination.schemas.raw}
    statement = sqlglot.parse_one(sql, read="duckdb")
    for table in statement.find_all(exp.Table):
        if table.db:
            table.set("db", exp.to_identifier(names[table.db]))
    return statement.sql(dialect=destination.name)


@contextmanager
def open_marts(destination: Destination, tables: frozenset[str]) -> Iterator[Marts]:
    """The given marts of a destination.

    Raises UserError when the destination can't be read, when nothing was loaded, when the marts were never built,
    and when they are not those of this version.
    """
    with destination.reading() as connection:
        marts = Marts(destination, connection)
        missing = tables - connection.tables(destination.schemas.public)
        if missing == tables:
            raise _not_built(destination, marts)
        if missing:
            raise UserError(
                f"{destination.label} lacks {', '.join(sorted(missing))}: its last build did not finish.",
                "Run `llm-spend build`; it says what stopped it.",
            )
        yield marts


def nothing_loaded(destination: Destination) -> UserError:
    """The error for a destination without any usage."""
    return UserError(
        f"Nothing was loaded into {destination.label} yet.", "Run `llm-spend load` first, then `llm-spend build`."
    )


def _not_built(destination: Destination, marts: Marts) -> UserError:
    if FILES_TABLE not in marts.raw_tables():
        return nothing_loaded(destination)
    return UserError(
        f"Logs were loaded into {destination.label}, but its tables were not built yet.", "Run `llm-spend build`."
    )
