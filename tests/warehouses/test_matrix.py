"""Every public table is the same in DuckDB, Snowflake and BigQuery, row for row, whatever happens to it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from decimal import Decimal

import pytest

from tests.dbt import test_incremental
from tests.dbt.test_incremental import ARRIVAL_OF_TABLE
from tests.warehouses import moved
from tests.warehouses.compare import Table, differences
from tests.warehouses.conftest import History

pytestmark = pytest.mark.slow

# When a row arrived, and with which load, is the one thing that differs from one destination to the other.
ARRIVAL = test_incremental.ARRIVAL | {"voided_at"}
# BigQuery's are logged values, those of the others lie between two of them.
PERCENTILES = {
    f"p{percent}_{measure}_ms": (f"{measure}_ms", percent)
    for percent in (50, 90, 99)
    for measure in ("latency", "ttft")
}
# The last step has more prices, of models that nobody used: only their fingerprints tell.
OF_STEP = {"refreshed": {"date_version", "pricing_basis"}}
# The second step brings new days, late files, a day that is restated and times that are corrected; BigQuery is rerun by
# dbt alone.
STEPS = ("first", "second", "rerun", "refreshed")


@pytest.fixture(scope="session", params=["in_snowflake", "in_bigquery"])
def warehouse(request: pytest.FixtureRequest) -> History:
    history: History = request.getfixturevalue(request.param)
    return history


@pytest.mark.parametrize("step", STEPS)
def test_every_public_table_is_that_of_duckdb(in_duckdb: History, warehouse: History, step: str) -> None:
    expected, found = in_duckdb.tables[step], warehouse.tables[step]
    assert sorted(found) == sorted(expected)
    not_compared = ARRIVAL | OF_STEP.get(step, set())
    if warehouse.destination.name == "bigquery":
        not_compared |= set(PERCENTILES)
    wrong = [
        message
        for name in expected
        for message in differences(expected[name], found[name], not_compared | ARRIVAL_OF_TABLE.get(name, set()))
    ]
    assert wrong == []


def test_the_steps_are_not_the_same(in_duckdb: History) -> None:
    """Otherwise the comparison after each of them would prove less than it says."""
    columns = ["request_key", "output_tokens"]
    first, second = (dict(in_duckdb.tables[step]["fct_llm_requests"].of(columns)) for step in ("first", "second"))
    assert first.keys() < second.keys()
    assert any(second[key] != tokens for key, tokens in first.items())


@pytest.mark.parametrize("destination", ["in_duckdb", "in_snowflake", "in_bigquery"])
def test_a_rerun_and_a_full_refresh_change_nothing(request: pytest.FixtureRequest, destination: str) -> None:
    history: History = request.getfixturevalue(destination)
    second = history.tables["second"]
    for step in ("rerun", "refreshed"):
        wrong = [
            message
            for name, table in second.items()
            for message in differences(table, history.tables[step][name], OF_STEP.get(step, set()))
        ]
        assert wrong == [], step


@pytest.mark.parametrize("destination", ["in_duckdb", "in_snowflake", "in_bigquery"])
def test_a_request_counts_on_the_day_it_moved_to(request: pytest.FixtureRequest, destination: str) -> None:
    history: History = request.getfixturevalue(destination)
    columns = ["source_system", "source_record_id", "usage_date", "output_tokens"]
    facts = history.tables["second"]["fct_llm_requests"].of(columns)
    found = {tuple(row) for source, *row in facts if source == "InHouse"}
    assert found == {(key, day.isoformat(), tokens) for key, day, tokens in moved.REQUESTS}


def test_percentiles_of_bigquery_are_logged_values_beside_the_exact_ones(in_bigquery: History) -> None:
    tables = in_bigquery.tables["second"]
    performance = tables["llm_performance_daily"]
    logged = {measure: answered(tables["fct_llm_requests"], measure) for measure in ("latency_ms", "ttft_ms")}
    compared = 0
    for column, (measure, percent) in PERCENTILES.items():
        for *key, found in performance.of(["usage_date", "provider", "model_id", "operation", column]):
            values = logged[measure].get(tuple(key), [])
            assert (found is None) == (not values)
            if values:
                exact = percent * (len(values) - 1) / 100
                assert bisect_left(values, found) - 1 <= exact <= bisect_right(values, found), (key, column, found)
                compared += 1
    assert compared > 100


def answered(facts: Table, measure: str) -> dict[tuple[object, ...], list[Decimal]]:
    """The sorted values of a measure by date, provider, model and operation, of calls that a provider answered."""
    values = defaultdict(list)
    columns = ["usage_date", "provider", "model_id", "operation", "status", "is_gateway_cache_hit", measure]
    for day, provider, model, operation, status, is_hit, value in facts.of(columns):
        if status == "success" and not is_hit and isinstance(value, Decimal):
            key = (day, provider or "(unknown)", model or "(unresolved)", operation or "(unknown)")
            values[key].append(value)
    return {key: sorted(found) for key, found in values.items()}
