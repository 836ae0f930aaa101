"""The marts that are made of groups of requests, over a made-up fact and price book in a DuckDB of their own."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb

from llm_spend.destinations import DuckDb
from tests.dbt.business import Business, business_sql
from tests.dbt.compiled import compiled_sql, known_sources

SWITCH_SAVINGS, CANDIDATES = "llm_model_switch_savings", "llm_optimization_candidates"
SEED_CHECK = "assert_model_switches_make_sense"
_BELOW = ("stg_mapping__model_switches", "int_request_groups_daily")
_CHECKS = {
    SWITCH_SAVINGS: ("assert_request_groups_sum_to_fact", "assert_model_switches_sum_to_groups"),
    CANDIDATES: ("assert_request_groups_sum_to_fact", "assert_optimization_candidates_add_up"),
}
SWITCHES = "from_model_id,to_channel,to_model_id,token_factor,note,valid_from,valid_to\n"
LARGEST = 9223372036854775807

_REQUEST: Mapping[str, Any] = {
    "source_system": "portkey",
    "source_instance": "ws",
    "team_id": "search",
    "feature_id": "chat",
    "provider": "openai",
    "channel": "openai",
    "model_id": "big",
    "operation": "chat",
    "status": "success",
    "price_status": "priced",
    "is_stream": True,
    "is_gateway_cache_hit": False,
    "is_final_attempt": True,
    "is_of_record": True,
    "date_version": "v1",
}
_PRICE: Mapping[str, Any] = {
    "channel": "openai",
    "provider": "openai",
    "service_tier": "standard",
    "region": "*",
    "input_tokens_gt": -1,
    "input_tokens_lte": LARGEST,
    "is_all_week": True,
    "minute_from": 0,
    "minute_to": 1440,
    "weekdays": "1234567",
    "has_contract_prices": False,
    "has_audio_prices": False,
    "valid_from": datetime(2020, 1, 1),
    "valid_to": datetime(9999, 12, 31),
}
_BUCKETS = ("uncached_input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


@dataclass(frozen=True)
class Source:
    """A built demo: the SQL that its build compiled, and what its tables look like."""

    database: Path
    sql: Mapping[str, str]
    business: Mapping[str, str]

    @staticmethod
    def of(database: Path) -> Source:
        target = DuckDb(database).work_dir / "dbt_project" / "target"
        names = {*_BELOW, SEED_CHECK, *_CHECKS, *(check for checks in _CHECKS.values() for check in checks)}
        return Source(database, {name: compiled_sql(target, name) for name in names}, business_sql(target))


@dataclass
class Groups:
    """A mart over `requests` and `prices`, each with the columns that matter, and the seeds of switches and events."""

    source: Source
    mart: str
    requests: Iterable[Mapping[str, Any]] = ()
    prices: Iterable[Mapping[str, Any]] = ()
    switches: str = ""
    known_to: datetime | None = None
    events: str = ""
    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def __post_init__(self) -> None:
        run = self.connection.execute
        # Under the name that its views call it by.
        built = self.source.database.stem
        run(f"attach '{self.source.database}' as {built} (read_only)")
        marts = ("fct_llm_requests", "llm_unit_economics")
        for name in (*marts, "int_price_book", "int_model_resolution", "stg_prices__free_allowances"):
            schema = "llm_spend" if name in marts else "llm_spend_internal"
            run(f"create table {name} as from {built}.{schema}.{name} limit 0")
        requests = [_filled(number, each) for number, each in enumerate(self.requests)]
        self._insert("fct_llm_requests", requests)
        if self.events:
            self._count_the_business(requests)
        self._insert("int_price_book", [{**_PRICE, "price_key": n, **each} for n, each in enumerate(self.prices)])
        run("insert into int_model_resolution by name select distinct channel, model_id from int_price_book")
        run("create view int_current_price_book as from int_price_book")
        known_to = f"max(timestamp '{self.known_to}')" if self.known_to else "max(usage_date) + interval 1 day"
        run(
            """
            create view int_usage_dates as
            select distinct
                usage_date, date_version, date_version as quota_version, timestamp '2026-01-01' as versioned_at
            from fct_llm_requests
            """
        )
        run(
            known_sources(
                f"select usage_date, (select {known_to} from fct_llm_requests) as last_loaded_at from int_usage_dates"
            )
        )
        header, *rows = csv.reader(StringIO(SWITCHES + self.switches))
        run(f"create table model_switches ({', '.join(f'{column} varchar' for column in header)})")
        if rows:
            values = [[cell or None for cell in row] for row in rows]
            self.connection.executemany(f"insert into model_switches values ({', '.join('?' * len(header))})", values)
        for model in (*_BELOW, self.mart):
            run(f"create table {model} as {self.source.sql[model]}")

    def _count_the_business(self, requests: Iterable[Mapping[str, Any]]) -> None:
        """llm_unit_economics of these requests and events."""
        usage = [
            (str(each["usage_date"]), each["feature_id"], "", each["total_tokens"], each["cost_usd"])
            for each in requests
            if each["is_of_record"]
        ]
        rows = Business(self.source.business, usage, business_events=self.events).rows("from llm_unit_economics")
        self.connection.executemany(f"insert into llm_unit_economics values ({', '.join('?' * len(rows[0]))})", rows)

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            values = ", ".join(f"? as {name}" for name in row)
            self.connection.execute(f"insert into {table} by name select {values}", list(row.values()))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def problems(self) -> list[tuple[Any, ...]]:
        """What the data tests of the mart find."""
        return [row for name in _CHECKS[self.mart] for row in self.rows(self.source.sql[name])]


def _filled(number: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """A request with what follows from its other columns; `at` is when it started, `usd` its cost by all names."""
    given = dict(request)
    at, usd = given.pop("at"), given.pop("usd", None)
    for bucket in _BUCKETS:
        given.setdefault(f"{bucket}_tokens", 0)
    given["input_tokens"] = sum(given[f"{bucket}_tokens"] for bucket in _BUCKETS[:-1])
    given["total_tokens"] = given["input_tokens"] + given["output_tokens"]
    costs = dict.fromkeys(("list_cost_usd", "contract_cost_usd", "cost_usd"), usd)
    key = given.get("request_key", f"r{number:04}")
    ids = {"request_key": key, "source_record_id": key, "logical_request_id": key}
    return {**_REQUEST, **ids, **costs, "started_at": at, "usage_date": at.date(), **given}


def at(day: str, minutes: int = 600) -> datetime:
    """A time of day, in minutes since midnight."""
    return datetime.fromisoformat(day) + timedelta(minutes=minutes)
