"""Snowflake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_spend.destinations.warehouse import Warehouse


class Snowflake(Warehouse):
    """A database of a Snowflake account."""

    name = "snowflake"
    title = "Snowflake"
    modules = ("snowflake.connector", "dbt.adapters.snowflake")

    def _factory(self) -> Any:
        import dlt

        # Staged copies of logs are nobody's business once they are in their table.
        return dlt.destinations.snowflake(keep_staged_files=False)

    def _client_errors(self) -> tuple[type[Exception], ...]:
        from snowflake.connector.errors import Error

        return (Error,)

    def _dbt_credentials(self, config: Any) -> Mapping[str, str | None]:
        credentials = config.credentials
        connection = credentials.query or {}
        return {
            "SNOWFLAKE_ACCOUNT": credentials.host,
            "SNOWFLAKE_USER": credentials.username,
            "SNOWFLAKE_DATABASE": credentials.database,
            "SNOWFLAKE_WAREHOUSE": credentials.warehouse,
            "SNOWFLAKE_ROLE": credentials.role,
            "SNOWFLAKE_AUTHENTICATOR": credentials.authenticator,
            "SNOWFLAKE_HOST": connection.get("host"),
            "SNOWFLAKE_PORT": connection.get("port"),
            "SNOWFLAKE_PROTOCOL": connection.get("protocol"),
            "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": credentials.password,
            "DBT_ENV_SECRET_SNOWFLAKE_TOKEN": credentials.token,
            "DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY": credentials.private_key,
            "DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": credentials.private_key_passphrase,
        }

    def _tables_sql(self, schema: str) -> str:
        return f"select lower(table_name) from information_schema.tables where lower(table_schema) = '{schema}'"
