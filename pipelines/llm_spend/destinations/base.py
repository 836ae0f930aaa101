"""What a destination has to offer: to dlt, to dbt, and to the few queries of our own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llm_spend.schema import Schemas

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

Row = tuple[Any, ...]
Statement = str | tuple[str, Sequence[Any]]
"""SQL, or SQL with what its `%s` stand for."""


class Connection(ABC):
    """An open connection for reading."""

    @abstractmethod
    def table(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[Row]]:
        """Column names, lower case, and rows of a query; `%s` marks a parameter. Timestamps are naive and mean UTC."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query."""
        return self.table(sql, parameters)[1]

    @abstractmethod
    def tables(self, schema: str) -> frozenset[str]:
        """Names of tables and views in a schema, lower case; none when it is not there."""


class Destination(ABC):
    """A DuckDB file or a warehouse. Connections are opened when they are used, never before."""

    name: ClassVar[str]
    """Of the destination for dlt, of the adapter for dbt, of the dialect for SQL."""

    prunes_by_constants: ClassVar[bool] = False
    """Whether it skips partitions for constants only: a build must know its dates before it writes queries."""

    reads_files: ClassVar[bool] = False
    """Whether the statements of a load run here, and so can read files of ours."""

    rows_at_once: ClassVar[int | None] = None
    """How many loaded rows one run of dbt may build tables from; None when it has memory for any number."""

    def __init__(self, schemas: Schemas | None = None) -> None:
        self.schemas = schemas or Schemas()

    @property
    @abstractmethod
    def label(self) -> str:
        """What messages call it."""

    @property
    @abstractmethod
    def work_dir(self) -> Path:
        """Where the working copy of the dbt project lies."""

    @abstractmethod
    def dlt_destination(self) -> Any:
        """The dlt destination. Raises UserError when it can't be used as configured."""

    @contextmanager
    def opened(self, files: AbstractFileSystem | None = None) -> Iterator[Any]:
        """The dlt destination of a pipeline, whose statements can read `files`: only for one that `reads_files`."""
        if files:
            raise TypeError(f"{self.name} reads no files")
        yield self.dlt_destination()

    @abstractmethod
    def dbt_environment(self) -> Mapping[str, str]:
        """What `profiles.yml` reads from the environment."""

    @contextmanager
    @abstractmethod
    def reading(self) -> Iterator[Connection]:
        """A connection for queries. Raises UserError when it can't be opened."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one query."""
        with self.reading() as connection:
            return connection.rows(sql, parameters)

    @abstractmethod
    def execute(self, *statements: Statement) -> None:
        """Run statements that give no rows, over one connection. Raises UserError when it can't be opened."""

    def tables(self, schema: str) -> frozenset[str]:
        """Names of tables and views in a schema, lower case; none when it is not there."""
        with self.reading() as connection:
            return connection.tables(schema)
