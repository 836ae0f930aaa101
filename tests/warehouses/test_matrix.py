"""Every public table is the same in DuckDB, Snowflake and BigQuery, row for row, whatever happens to it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.warehouses.compare import differences
from tests.warehouses.conftest import History

pytestmark = pytest.mark.slow

# When a row arrived, and with which load, is the one thing that differs from one destination to the other.
ARRIVAL = {"loaded_at", "load_id", "last_loaded_at", "detected_at"}
# BigQuery's are approximate: see docs/warehouses.md.
PERCENTILES = {
    f"p{percent}_{measure}_ms": Decimal("0.1") for percent in (50, 90, 99) for measure in ("latency", "ttft")
}
STEPS = ("first", "second", "restated", "rerun", "refreshed")


@pytest.fixture(scope="session", params=["in_snowflake", "in_bigquery"])
def warehouse(request: pytest.FixtureRequest) -> History:
    history: History = request.getfixturevalue(request.param)
    return history


@pytest.mark.parametrize("step", STEPS)
def test_every_public_table_is_that_of_duckdb(in_duckdb: History, warehouse: History, step: str) -> None:
    expected, found = in_duckdb.tables[step], warehouse.tables[step]
    assert sorted(found) == sorted(expected)
    tolerated = PERCENTILES if warehouse.destination.name == "bigquery" else {}
    wrong = [message for name in expected for message in differences(expected[name], found[name], ARRIVAL, tolerated)]
    assert wrong == []


def test_the_steps_are_not_the_same(in_duckdb: History) -> None:
    """Otherwise the comparison after each of them would prove less than it says."""
    facts = [in_duckdb.tables[step]["fct_llm_requests"].rows for step in ("first", "second", "restated")]
    assert len(facts[0]) < len(facts[1]) == len(facts[2])
    assert facts[1] != facts[2]


def test_a_rerun_and_a_full_refresh_change_nothing(warehouse: History) -> None:
    """The last step has more prices, of models that nobody used: only the fingerprint of the prices tells."""
    restated = warehouse.tables["restated"]
    for step in ("rerun", "refreshed"):
        wrong = [
            message
            for name, table in restated.items()
            for message in differences(table, warehouse.tables[step][name], {"basis_id"} if step == "refreshed" else {})
        ]
        assert wrong == [], step
