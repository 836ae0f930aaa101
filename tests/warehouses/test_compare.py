"""A comparison that can't find a difference is worth nothing."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest

from tests.warehouses.compare import Table, differences, read_duckdb

ROWS = """
select * from (values
    (date '2026-01-01', 'u1', 1.500000000000::decimal(38, 12), 0, '{"b": 1, "a": [1.5, null]}'::json, true,
        timestamp '2026-01-01 10:00:00'),
    (date '2026-01-01', 'u2', 123456789012.123456789012::decimal(38, 12), null, null, false,
        timestamp '2026-01-01 10:00:00.123456'),
    (date '2026-01-02', 'u1', 0.000000280000::decimal(38, 12), 7, '{}'::json, null, null)
) as t (usage_date, user_id, cost_usd, requests, metadata, is_stream, started_at)
"""


def read(sql: str) -> Table:
    """A table of DuckDB made by a query."""
    with duckdb.connect() as connection:
        connection.execute(f"create schema marts; create table marts.usage as {sql}")
        return read_duckdb(connection, "marts.usage")


def changed(expression: str) -> Table:
    """The same table with one column computed anew."""
    return read(f"select * replace ({expression}) from ({ROWS})")


def test_the_same_table_in_another_order_and_other_types_is_equal():
    other = read(
        "select is_stream, METADATA, requests::hugeint as requests, cost_usd::decimal(30, 14) as COST_USD, user_id,"
        f" usage_date, started_at at time zone 'UTC' as started_at from ({ROWS}) order by all desc"
    )
    assert differences(read(ROWS), other) == []


def test_values_are_normalised():
    table = read(ROWS)
    assert table.name == "usage"
    assert [str(cost) for (cost,) in table.of(["cost_usd"])] == ["1.5", "123456789012.123456789012", "2.8E-7"]
    assert table.of(["metadata"])[0] == ('{"a":[1.5,null],"b":1}',)
    assert table.of(["started_at"])[1] == ("2026-01-01T10:00:00.123456",)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "case when requests = 7 then 0.000000280001 else cost_usd end as cost_usd",
            "usage.cost_usd: 1 rows differ, at usage_date='2026-01-02', user_id='u1':"
            " duckdb 0.00000028, duckdb 0.000000280001",
        ),
        (
            "coalesce(requests, 0) as requests",
            "usage.requests: 1 rows differ, at usage_date='2026-01-01', user_id='u2': duckdb NULL, duckdb 0",
        ),
        (
            "'{}'::json as metadata",
            "usage.metadata: 2 rows differ, at usage_date='2026-01-01', user_id='u1':"
            """ duckdb '{"a":[1.5,null],"b":1}', duckdb '{}';"""
            " at usage_date='2026-01-01', user_id='u2': duckdb NULL, duckdb '{}'",
        ),
        (
            "is_stream::integer as is_stream",
            "usage.is_stream: 2 rows differ, at usage_date='2026-01-01', user_id='u1': duckdb True, duckdb 1;"
            " at usage_date='2026-01-01', user_id='u2': duckdb False, duckdb 0",
        ),
    ],
)
def test_a_changed_value_is_found(expression: str, message: str):
    assert differences(read(ROWS), changed(expression)) == [message]


def test_a_missing_row_is_found():
    messages = differences(read(ROWS), read(f"{ROWS} where requests is distinct from 7"))
    assert messages == [
        "usage: duckdb has 3 rows, duckdb 2",
        "usage: 1 rows only in duckdb, as usage_date='2026-01-02', user_id='u1'",
    ]


def test_a_repeated_row_is_found():
    messages = differences(read(ROWS), read(f"{ROWS} union all {ROWS} where requests = 7"))
    assert messages[0] == "usage: duckdb has 3 rows, duckdb 4"
    assert len(messages) == 2


def test_a_missing_column_is_found_unless_it_is_left_out():
    other = read(f"select * exclude (metadata) from ({ROWS})")
    assert differences(read(ROWS), other) == ["usage: duckdb lacks metadata"]
    assert differences(read(ROWS), other, columns_left_out=["metadata"]) == []


def test_a_tolerated_column_may_differ_that_much_and_no_more():
    near = changed("cost_usd * 1.009 as cost_usd")
    assert differences(read(ROWS), near, tolerated={"cost_usd": Decimal("0.01")}) == []
    assert len(differences(read(ROWS), near, tolerated={"cost_usd": Decimal("0.001")})) == 1
    absent = changed("nullif(cost_usd, 1.5) as cost_usd")
    assert len(differences(read(ROWS), absent, tolerated={"cost_usd": Decimal("0.01")})) == 1


def test_a_float_is_refused():
    with pytest.raises(TypeError, match=r"marts\.usage\.cost_usd: 1\.5 is a float"):
        changed("cost_usd::double as cost_usd")
