"""Unit economics and plan designs over made-up seeds and usage: models by the SQL that the demo's build compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from tests.dbt.compiled import compiled_sql, known_sources, seed_table

NOBODY = "(unallocated)"
EVENTS = "event_date,event_type,feature_id,customer_id,quantity,currency,usd_per_unit,covers\n"
KPIS = "kpi_id,kpi_name,meaning,numerator,denominator,per,unit,owner\n"
DESIGNS = (
    "design_id,design_name,assignment,plan_id,plan_name,monthly_fee,currency,usd_per_unit,included_tokens,"
    "tier_from_tokens,price_per_million_tokens\n"
)
FEATURES = "feature_id,feature_name,description,owner\n"
PLANS = (
    "plan_id,plan_name,monthly_fee,currency,usd_per_unit,included_tokens,tier_from_tokens,price_per_million_tokens,"
    "is_offered,valid_from,valid_to\n"
)
CUSTOMERS = "customer_id,customer_name,plan_id,account_owner,valid_from,valid_to\n"
MODELS = (
    "stg_rules__business_events",
    "stg_mapping__kpis",
    "stg_mapping__features",
    "stg_rules__customer_plans",
    "stg_rules__customers",
    "stg_rules__plan_designs",
    "int_business_events",
    "int_business_event_days",
    "int_kpi_coverage",
    "llm_unit_economics",
    "llm_customer_plan_usage",
    "llm_plan_design_customers",
    "llm_plan_designs",
    "dim_llm_features",
)
CHECKS = (
    "assert_business_seeds_make_sense",
    "assert_unit_economics_add_up",
    "assert_plan_designs_add_up",
    "warn_amounts_without_rate",
)
_MEASURES = """
    sum(cost)::decimal(38, 12) as cost_usd, sum(tokens)::bigint as total_tokens,
    sum(tokens - 1)::bigint as input_tokens, count(*)::bigint as output_tokens, count(*)::bigint as requests,
    (count(*) - count(cost))::bigint as unpriced_requests,
    coalesce(sum(tokens) filter (cost is null), 0)::bigint as unpriced_tokens,
    min(day)::timestamp as first_seen_at, max(day)::timestamp as last_seen_at
"""
_USAGE = {
    "llm_usage_daily": "day as usage_date, team_id, feature_id, customer_id",
    "llm_usage_by_feature_daily": "day as usage_date, feature_id",
    "llm_usage_by_customer_daily": "day as usage_date, customer_id",
}

Use = tuple[str, str, str, int, str | None]
"""Day, feature, customer, tokens, cost in USD; one request, of which one token is output."""


def business_sql(target: Path) -> dict[str, str]:
    """The compiled query of every model and data test that is needed here."""
    return {name: compiled_sql(target, name) for name in (*MODELS, *CHECKS)}


class Business:
    """A connection with those models as views. Seeds are the lines of their files, without the heading."""

    def __init__(
        self,
        sql: Mapping[str, str],
        usage: Iterable[Use] = (),
        *,
        rates: str = "",
        kpis: str | None = None,
        **seeds: str,
    ) -> None:
        self.sql = sql
        self.connection = duckdb.connect()
        default = Path("dbt_project/seeds/mapping/kpis.csv").read_text(encoding="utf-8")
        seed_table(self.connection, "kpis", default if kpis is None else KPIS + kpis)
        for name, heading in (
            ("business_events", EVENTS),
            ("plan_designs", DESIGNS),
            ("features", FEATURES),
            ("customer_plans", PLANS),
            ("customers", CUSTOMERS),
        ):
            seed_table(self.connection, name, heading + seeds.pop(name, ""))
        assert not seeds, seeds
        seed_table(self.connection, "rates", "currency,usd_per_unit,valid_from,valid_to\n" + rates)
        self.connection.execute(
            """
            create view stg_prices__fx_rates as
            select
                currency, usd_per_unit::decimal(18, 12) as usd_per_unit, valid_from::timestamp as valid_from,
                valid_to::timestamp as valid_to
            from rates;
            create table used (
                day date, feature_id varchar, customer_id varchar, tokens bigint, cost decimal(38, 12),
                team_id varchar default 'team'
            )
            """
        )
        self.connection.execute(
            known_sources("select day as usage_date, day + interval 1 day as last_loaded_at from used")
        )
        if lines := list(usage):
            self.connection.executemany("insert into used values (?, ?, ?, ?, ?, default)", lines)
        for name, keys in _USAGE.items():
            self.connection.execute(f"create view {name} as select {keys}, {_MEASURES} from used group by all")
        for model in MODELS:
            self.connection.execute(f"create view {model} as {sql[model]}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def check(self, name: str) -> list[tuple[Any, ...]]:
        return self.rows(self.sql[name])

    def kpi(self, member_type: str, member: str, kpi: str, columns: str = "kpi_value") -> Any:
        """Columns of the one row of a member and KPI: a value when it is one column."""
        (row,) = self.connection.execute(
            f"select {columns} from llm_unit_economics where (member_type, member_id, kpi_id) = (?, ?, ?)",
            [member_type, member, kpi],
        ).fetchall()
        return row[0] if len(row) == 1 else row
