"""What Snowflake and BigQuery share: dlt knows how to connect, and dbt is told the same credentials."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from llm_spend.destinations.base import Connection, Destination, Row, Schemas
from llm_spend.errors import UserError


class _WarehouseConnection(Connection):
    def __init__(self, client: Any) -> None:
        self._client = client

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[Row]]:
        with self._client.execute_query(sql, *parameters) as cursor:
            names = [column[0].lower() for column in cursor.description]
            return names, [tuple(map(_naive_utc, row)) for row in cursor.fetchall()]


class Warehouse(Destination):
    """A destination whose credentials are dlt's: `[destination.<name>.credentials]` or the environment."""

    title: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]

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
            yield _WarehouseConnection(dataset.sql_client)

    def execute(self, *statements: str) -> None:
        with self._dataset() as dataset, dataset:
            for statement in statements:
                dataset.sql_client.execute_sql(statement)

    @contextmanager
    def _dataset(self) -> Iterator[Any]:
        import dlt
        from dlt.common.configuration.exceptions import ConfigurationException
        from dlt.common.exceptions import DltException
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        try:
            yield dlt.dataset(self.dlt_destination(), self.schemas.raw, dlt.Schema("llm_spend"))
        except ConfigurationException as error:
            raise UserError(
                f"{self.title} is not configured: {_missing_fields(error)}.",
                f"Give it in [destination.{self.name}.credentials] of .dlt/secrets.toml, or as"
                f" DESTINATION__{self.name.upper()}__CREDENTIALS__<NAME> in the environment.",
            ) from error
        except DatabaseUndefinedRelation:
            raise
        except DltException as error:
            raise UserError(
                f"{self.title} refused: {str(error).strip().splitlines()[0]}",
                f"`llm-spend doctor --destination {self.name}` says what is missing.",
            ) from error

    def tables(self, schema: str) -> frozenset[str]:
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        try:
            return frozenset(row[0] for row in self.query(self._tables_sql(schema)))
        except DatabaseUndefinedRelation:
            return frozenset()

    @abstractmethod
    def _tables_sql(self, schema: str) -> str:
        """A query of the names of tables and views in a schema, lower case."""


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _missing_fields(error: Exception) -> str:
    fields = getattr(error, "fields", None)
    return f"{', '.join(fields)} missing" if fields else str(error).strip().splitlines()[0]


def _naive_utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
