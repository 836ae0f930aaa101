"""Where the tables live: one module a destination, chosen here and nowhere else."""

from __future__ import annotations

from llm_spend.destinations.base import Destination
from llm_spend.destinations.bigquery import BigQuery
from llm_spend.destinations.duckdb import DuckDb
from llm_spend.destinations.snowflake import Snowflake
from llm_spend.schema import Schemas
from llm_spend.settings import Settings

__all__ = ["BigQuery", "Destination", "DuckDb", "Schemas", "Snowflake", "destination_of"]


def destination_of(settings: Settings) -> Destination:
    """The destination that the settings name. Nothing is opened yet."""
    match settings.destination:
        case "duckdb":
            return DuckDb(settings.database, settings.memory_limit)
        case "snowflake":
            return Snowflake(Schemas(settings.schema_name))
        case "bigquery":
            return BigQuery(Schemas(settings.schema_name))
