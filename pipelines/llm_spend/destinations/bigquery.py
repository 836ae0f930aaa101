"""BigQuery."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from llm_spend.destinations.warehouse import Warehouse


class BigQuery(Warehouse):
    """A project of Google BigQuery; a schema is a dataset there."""

    name = "bigquery"
    title = "BigQuery"
    modules = ("google.cloud.bigquery", "dbt.adapters.bigquery")
    prunes_by_constants = True
    other_login = " Or log in with `gcloud auth application-default login`."

    def _factory(self) -> Any:
        import dlt

        # Rows come over REST: the few that we read are not worth another client library.
        warnings.filterwarnings("ignore", message="Cannot create BigQuery Storage client")
        return dlt.destinations.bigquery()

    def _client_errors(self) -> tuple[type[Exception], ...]:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        return (GoogleAPIError, GoogleAuthError)

    def _dbt_credentials(self, config: Any) -> Mapping[str, str | None]:
        credentials = config.credentials
        found = {
            "BIGQUERY_PROJECT": config.project_id or credentials.project_id,
            "BIGQUERY_LOCATION": config.location,
        }
        if not getattr(credentials, "private_key", None):
            return {**found, "BIGQUERY_METHOD": "oauth"}
        return {
            **found,
            "BIGQUERY_METHOD": "service-account-json",
            "BIGQUERY_CLIENT_EMAIL": credentials.client_email,
            "BIGQUERY_TOKEN_URI": credentials.token_uri,
            "DBT_ENV_SECRET_BIGQUERY_PRIVATE_KEY": credentials.private_key,
        }

    def _tables_sql(self, schema: str) -> str:
        return f"select lower(table_name) from `{schema}`.INFORMATION_SCHEMA.TABLES"
