"""The screens read a warehouse as they read a DuckDB file."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from llm_spend.answers import answers, status
from llm_spend.answers.sources import Status
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
    assert without_arrival(found).sources == without_arrival(expected).sources
    assert found.loads_not_built == expected.loads_not_built == 0


def without_arrival(found: Status) -> Status:
    """Without when sources were loaded, and what follows from it."""
    return replace(
        found, sources=tuple(replace(source, last_loaded_at=None, known_to=None) for source in found.sources)
    )
