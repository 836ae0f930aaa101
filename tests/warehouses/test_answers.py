"""The screens read a warehouse as they read a DuckDB file."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from llm_spend.answers import answers, status
from tests.warehouses.conftest import History

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22)


@pytest.mark.parametrize("fixture", ["in_snowflake", "in_bigquery"])
def test_answers_are_those_of_duckdb(fixture: str, in_duckdb: History, request: pytest.FixtureRequest) -> None:
    warehouse: History = request.getfixturevalue(fixture)
    assert answers(warehouse.destination) == answers(in_duckdb.destination)


@pytest.mark.parametrize("fixture", ["in_snowflake", "in_bigquery"])
def test_status_is_that_of_duckdb(fixture: str, in_duckdb: History, request: pytest.FixtureRequest) -> None:
    warehouse: History = request.getfixturevalue(fixture)
    found, expected = (status(history.destination, now=NOW) for history in (warehouse, in_duckdb))
    without_arrival = [
        tuple(replace(source, last_loaded_at=None, known_to=None) for source in each.sources)
        for each in (found, expected)
    ]
    assert without_arrival[0] == without_arrival[1]
    assert found.loads_not_built == expected.loads_not_built == 0
