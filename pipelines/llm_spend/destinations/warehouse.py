"""What Snowflake and BigQuery share: dlt knows how to connect, and dbt is told the same credentials."""

from __future__ import annotations

import gzip
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any, ClassVar

import orjson

from llm_spend.destinations.base import Connection, Destination, Row, Statement
from llm_spend.errors import UserError, first_line
from llm_spend.schema import Kind, Schemas, hints


class _WarehouseConnection(Connection):
    def __init__(self, client: Any, tables_sql: Callable[[str], str]) -> None:
        self._client = client
        self._tables_sql = tables_sql

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[Row]]:
        with self._client.execute_query(sql, *parameters) as cursor:
            names = [column[0].lower() for column in cursor.description]
            return names, [tuple(map(_naive_utc, row)) for row in cursor.fetchall()]

    def tables(self, schema: str) -> frozenset[str]:
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        try:
            return frozenset(row[0] for row in self.rows(self._tables_sql(schema)))
        except DatabaseUndefinedRelation:
            return frozenset()


class Session(_WarehouseConnection):
    """An open connection that may change things: with it `llm-spend doctor` tries what is allowed."""

    def __init__(self, dataset: Any, tables_sql: Callable[[str], str]) -> None:
        super().__init__(dataset.sql_client, tables_sql)
        self._dataset = dataset

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows; `%s` marks a parameter."""
        self._client.execute_sql(statement, *parameters)

    def has_schema(self, schema: str) -> bool:
        """Whether a schema is there, as far as this user can see."""
        with self._client.with_alternative_dataset_name(schema):
            return bool(self._client.has_dataset())

    def create_schema(self, schema: str) -> None:
        """Create a schema as a load does: on BigQuery in the location that is configured."""
        with self._client.with_alternative_dataset_name(schema):
            self._client.create_dataset()

    def load(self, table: str, columns: Mapping[str, Kind], row: Mapping[str, Any]) -> None:
        """Load a row into a table of the raw schema as a load does, but without a record of it."""
        from dlt.common.schema.utils import new_table

        client = self._dataset.destination_client
        client.schema.update_table(new_table(table, columns=list(hints(columns).values())))
        load_table = client.prepare_load_table(table)
        load_id = str(time())
        with TemporaryDirectory(prefix="llm_spend_") as folder:
            path = Path(folder) / f"{table}.1.0.jsonl.gz"
            path.write_bytes(gzip.compress(orjson.dumps(row)))
            job = client.create_load_job(load_table, str(path), load_id)
            job.set_run_vars(load_id=load_id, schema=client.schema, load_table=load_table)
            job.run_managed(client, None)
        if job.state() != "completed":
            raise job.exception() or RuntimeError(job.failed_message())


class Warehouse(Destination):
    """A destination whose credentials are dlt's: `[destination.<name>.credentials]` or the environment."""

    title: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    other_login: ClassVar[str] = ""
    """Another way to log in than by credentials in dlt's configuration, for an error message."""

    def __init__(self, schemas: Schemas | None = None, folder: Path = Path(".llm_spend")) -> None:
        super().__init__(schemas)
        self._folder = folder

    @property
    def label(self) -> str:
        return f"{self.title} (schema {self.schemas.public})"

    @property
    def work_dir(self) -> Path:
        return self._folder.absolute() / f"{self.name}-{self.schemas.public}"

    def dlt_destination(self) -> Any:
        missing = [module for module in self.modules if not _is_installed(module)]
        if missing:
            raise UserError(
                f"{self.title} needs {', '.join(missing)}.", f"Install it: pip install 'llm-spend[{self.name}]'."
            )
        return self._factory()

    @abstractmethod
    def _factory(self) -> Any: ...

    @abstractmethod
    def _client_errors(self) -> tuple[type[Exception], ...]:
        """What the client library raises and dlt leaves as it is: no network, a wrong password."""

    @abstractmethod
    def _dbt_credentials(self, config: Any) -> Mapping[str, str | None]:
        """Variables of `profiles.yml` from dlt's resolved configuration; None for what is not set."""

    def dbt_environment(self) -> Mapping[str, str]:
        with self._dataset() as dataset:
            credentials = self._dbt_credentials(dataset.destination_client.config)
        return {
            "LLM_SPEND_DESTINATION": self.name,
            "LLM_SPEND_SCHEMA_NAME": self.schemas.public,
            **{name: value for name, value in credentials.items() if value},
        }

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._dataset() as dataset, dataset:
            yield _WarehouseConnection(dataset.sql_client, self._tables_sql)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection for trying what is allowed. Raises UserError when it can't be opened."""
        with self._dataset() as dataset, dataset:
            yield Session(dataset, self._tables_sql)

    def execute(self, *statements: Statement) -> None:
        with self.session() as session:
            for statement in statements:
                session.execute(*((statement,) if isinstance(statement, str) else statement))

    @contextmanager
    def _dataset(self) -> Iterator[Any]:
        import dlt
        from dlt.common.configuration.exceptions import ConfigurationException
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        try:
            yield dlt.dataset(self.dlt_destination(), self.schemas.raw, dlt.Schema("llm_spend"))
        except ConfigurationException as error:
            raise UserError(
                f"{self.title} is not configured: {_missing_fields(error)}.",
                f"Give it in [destination.{self.name}.credentials] of .dlt/secrets.toml, or as"
                f" DESTINATION__{self.name.upper()}__CREDENTIALS__<NAME> in the environment.{self.other_login}",
            ) from error
        except (UserError, DatabaseUndefinedRelation):
            raise
        except self._refusals() as error:
            raise UserError(
                f"{self.title} refused: {first_line(error)}",
                f"`llm-spend doctor --destination {self.name}` says what is missing.",
            ) from error

    def _refusals(self) -> tuple[type[Exception], ...]:
        from dlt.common.exceptions import DltException

        return (DltException, *self._client_errors())

    @abstractmethod
    def _tables_sql(self, schema: str) -> str:
        """A query of the names of tables and views in a schema, lower case."""


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _missing_fields(error: Exception) -> str:
    traces = getattr(error, "traces", None)
    if traces:
        return f"{', '.join(_innermost(traces))} missing"
    return first_line(error).rstrip(".")


def _innermost(traces: Mapping[str, Any]) -> Iterator[str]:
    """Fields that dlt did not find. Where there are several kinds of credentials, those of the first."""
    for name, tries in traces.items():
        nested = [each.traces for each in tries if hasattr(each, "traces")]
        yield from _innermost(nested[0]) if nested else [name]


def _naive_utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
