"""The models of forecasts and anomalies over made-up requests: what dbt compiled, run in an empty DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tests.dbt.compiled import compiled_sql, known_sources

DAYS = ("int_member_days_crossed", "int_member_days")
FORECAST = (*DAYS, "int_forecast_bases", "int_forecast_errors", "llm_spend_forecast")
ANOMALIES = (*DAYS, "int_anomalies", "int_anomaly_contributors", "llm_usage_anomalies")
CHECKS = {FORECAST: "assert_forecast_actuals_sum_to_total", ANOMALIES: "assert_anomalies_are_out_of_band"}
NOBODY = "(unallocated)"


@dataclass(frozen=True)
class Use:
    """The calls of one day by one user for one feature, as one request; `cost` in USD, None when it is not known."""

    day: date
    cost: Decimal | float | None
    user: str = "ana"
    team: str = "growth"
    feature: str = "search"
    customer: str = NOBODY
    model: str = "m-1"
    key: str | None = None
    failed: bool = False
    tokens: int = 1_000
    cached: int = 0


def sql_of(target: Path) -> dict[str, str]:
    """The query of every model and check, from what dbt compiled into `target`."""
    return {name: compiled_sql(target, name) for name in (*FORECAST, *ANOMALIES, *CHECKS.values())}


class Days:
    """Some of the models (FORECAST or ANOMALIES) over some use.

    `known_to`: until when usage is known; the end of the last day if not given. `slow_to`: until when that of a source
    is that is late.
    """

    def __init__(
        self,
        sql: dict[str, str],
        models: tuple[str, ...],
        uses: Iterable[Use],
        known_to: str | None = None,
        slow_to: str | None = None,
    ) -> None:
        self.check = sql[CHECKS[models]]
        self.connection = duckdb.connect()
        self.connection.register("uses", _table(uses))
        self.connection.execute(
            """
            create table fct_llm_requests as
            select
                day as usage_date, user_id, team_id, feature_id, customer_id, model_id, api_key_id,
                null::varchar as virtual_account, if(failed, 'error', 'success') as status, true as is_of_record,
                false as is_gateway_cache_hit, tokens as input_tokens, cached as cache_read_tokens,
                tokens as total_tokens, cost::decimal(38, 12) as cost_usd
            from uses;
            create view int_usage_dates as select distinct usage_date, 'v' as date_version from fct_llm_requests
            """
        )
        loaded = f"timestamp '{known_to}'" if known_to else "max(usage_date) over () + interval 1 day"
        days = f"select usage_date, {loaded} as last_loaded_at from int_usage_dates"
        self.connection.execute(known_sources(days, slow_to))
        for name in models:
            # A table by date, once it is built, asks itself for the versions that it has.
            self.connection.execute(
                f"""
                create table {name} as select '' as date_version;
                create table made as {sql[name]};
                drop table {name};
                alter table made rename to {name}
                """
            )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(query).fetchall()

    def problems(self) -> list[tuple[Any, ...]]:
        """What the test of the package finds."""
        return self.rows(self.check)


def _table(uses: Iterable[Use]) -> pa.Table:
    # To money of 12 digits by text: a float of a test is what it shows.
    rows = [
        (
            use.day, use.user, use.team, use.feature, use.customer, use.model, use.key, use.failed, use.tokens,
            use.cached, None if use.cost is None else f"{use.cost:.12f}",
        )
        for use in uses
    ]  # fmt: skip
    names = [
        "day", "user_id", "team_id", "feature_id", "customer_id", "model_id", "api_key_id", "failed", "tokens",
        "cached", "cost",
    ]  # fmt: skip
    types = [pa.date32(), *[pa.string()] * 6, pa.bool_(), pa.int64(), pa.int64(), pa.string()]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(list(each), type) for each, type in zip(columns, types, strict=True)], names)
