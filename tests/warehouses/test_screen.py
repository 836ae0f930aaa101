"""The dashboard and the report ask a warehouse what they ask a DuckDB file, and are told the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from llm_spend.answers.marts import Marts, Query, open_marts
from llm_spend.dashboard import queries
from llm_spend.dashboard.filters import Filters
from llm_spend.dashboard.queries import Line
from llm_spend.destinations import Destination
from llm_spend.report.found import Found
from llm_spend.report.read import read
from tests.dbt.test_incremental import ARRIVAL_OF_TABLE
from tests.screen.every_query import OCTOBER, every_query
from tests.warehouses import test_answers
from tests.warehouses.conftest import History
from tests.warehouses.test_matrix import ARRIVAL, PERCENTILES

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22)
WAREHOUSES = pytest.mark.parametrize("fixture", ["in_snowflake", "in_bigquery"])


def answers(destination: Destination, left_out: set[str]) -> list[tuple[str, list[list[Any]]]]:
    """Every question with its rows, without values that are made of `left_out`."""
    with open_marts(destination, frozenset({"fct_llm_requests"})) as marts:
        asked = [*every_query(destination.name), *of_what_is_there(marts, destination.name)]
        return [(each.sql, compared(marts, each, left_out)) for each in asked]


def of_what_is_there(marts: Marts, dialect: str) -> list[Query]:
    """Questions about members, tags, statement lines and series that the tables have."""

    def first(query: Query) -> tuple[Any, ...]:
        return marts.ask(query)[0]

    (team,), (environment,) = (first(queries.members(name, OCTOBER)) for name in ("team", "environment"))
    key, _ = first(queries.tag_keys(OCTOBER))
    (value,) = first(queries.tag_values(key, OCTOBER))
    members = Filters(OCTOBER, (("team", (team,)), ("environment", (environment,))))
    tagged = Filters(OCTOBER, (("team", (team,)),), key, (value,))
    provider, model, operation, *_ = first(queries.performance(Filters(OCTOBER)))
    cost_center, payer, *_ = first(queries.statements(OCTOBER.first))
    lines = queries.lines(OCTOBER.first, cost_center, payer)
    found = [
        lines,
        *queries.requests_behind(Line(*first(lines)[:8]), 1),
        queries.performance(Filters(OCTOBER)),
        queries.performance_by_day(Filters(OCTOBER), provider, model, operation),
    ]
    for filters in (members, tagged):
        found += [
            queries.total(filters, dialect),
            queries.by_member(filters, dialect, "user", most=3),
            queries.by_tag_value(filters, dialect, key),
            *queries.requests(filters, dialect, 1),
        ]
    return found


def compared(marts: Marts, asked: Query, left_out: set[str]) -> list[list[Any]]:
    """The rows of a question. No value is a float."""
    of_tables = [columns for table, columns in ARRIVAL_OF_TABLE.items() if table in asked.sql]
    left_out = left_out.union(*of_tables)
    selected = sqlglot.parse_one(asked.sql, read="duckdb").selects
    names = [{each.alias_or_name} | {column.name for column in each.find_all(exp.Column)} for each in selected]
    kept = [place for place, of in enumerate(names) if not of & left_out]
    rows = [[row[place] for place in kept] for row in marts.ask(asked)]
    assert not any(isinstance(value, float) for row in rows for value in row), asked.sql
    return rows


@WAREHOUSES
def test_the_dashboard_is_told_what_duckdb_says(
    fixture: str, in_duckdb: History, request: pytest.FixtureRequest
) -> None:
    warehouse: History = request.getfixturevalue(fixture)
    left_out = ARRIVAL | {"newest_load_at"} | (set(PERCENTILES) if fixture == "in_bigquery" else set())
    found, expected = (answers(each.destination, left_out) for each in (warehouse, in_duckdb))
    wrong = [(sql, rows, wanted) for (sql, rows), (_, wanted) in zip(found, expected, strict=True) if rows != wanted]
    assert wrong == []
    assert sum(not rows for _, rows in expected) < len(expected) / 2


@WAREHOUSES
def test_the_report_is_told_what_duckdb_says(fixture: str, in_duckdb: History, request: pytest.FixtureRequest) -> None:
    warehouse: History = request.getfixturevalue(fixture)
    found, expected = (read(each.destination, None, now=NOW) for each in (warehouse, in_duckdb))
    are_logged = fixture == "in_bigquery"
    assert without_arrival(found, are_logged=are_logged) == without_arrival(expected, are_logged=are_logged)
    assert expected.statements and expected.performance and expected.tags.rows


def without_arrival(found: Found, *, are_logged: bool) -> Found:
    """Without when rows arrived; of percentiles that are `are_logged` values, without these."""
    performance = tuple(
        replace(each, latency_ms=(None, None, None), ttft_ms=(None, None)) if are_logged else each
        for each in found.performance
    )
    return replace(found, status=test_answers.without_arrival(found.status), performance=performance)
