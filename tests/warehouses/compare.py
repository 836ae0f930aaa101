"""The same table in two warehouses, value by value.

Reading normalises what the clients return: numbers become Decimals, timestamps become text in naive UTC, JSON becomes
text with sorted keys, column names become lower case. No public column is a float, so a float is an error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    from google.cloud import bigquery
    from snowflake.connector import SnowflakeConnection

Value = Decimal | str | bool | None
Row = tuple[Value, ...]

EXAMPLES = 3
ALL_DIGITS = Context(prec=100)
SNOWFLAKE_DOCUMENTS = {"VARIANT", "OBJECT", "ARRAY"}


@dataclass(frozen=True)
class Table:
    """The content of a table: its columns in their order, its rows sorted."""

    warehouse: str
    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def of(self, columns: Sequence[str]) -> list[Row]:
        """The rows with some of the columns, in the order given."""
        places = [self.columns.index(column) for column in columns]
        return [tuple(row[place] for place in places) for row in self.rows]

    def has_unique(self, columns: Sequence[str]) -> bool:
        """Whether these columns tell all rows apart."""
        return len(set(self.of(columns))) == len(self.rows)


def read_duckdb(connection: duckdb.DuckDBPyConnection, table: str) -> Table:
    """A table or view of DuckDB, `schema.table`. Raises TypeError for a float."""
    found = connection.execute(f"select * from {table}")
    columns = [(name, str(kind) == "JSON") for name, kind, *_ in found.description or ()]
    return _table("duckdb", table, columns, found.fetchall())


def read_snowflake(connection: SnowflakeConnection, table: str) -> Table:
    """A table or view of Snowflake, `schema.table`. Raises TypeError for a float."""
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    cursor = connection.cursor().execute(f"select * from {table}")
    assert cursor is not None
    columns = [
        (column.name, FIELD_ID_TO_NAME[column.type_code] in SNOWFLAKE_DOCUMENTS) for column in cursor.description
    ]
    return _table("snowflake", table, columns, cursor.fetchall())


def read_bigquery(client: bigquery.Client, table: str) -> Table:
    """A table or view of BigQuery, `dataset.table`. Raises TypeError for a float."""
    found = client.query_and_wait(f"select * from `{table}`")
    columns = [(field.name, field.field_type == "JSON") for field in found.schema]
    # The client has parsed documents; the other clients return them as text.
    rows = [
        [json.dumps(v) if d and v is not None else v for (_, d), v in zip(columns, row, strict=True)] for row in found
    ]
    return _table("bigquery", table, columns, rows)


def _table(warehouse: str, name: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[Any]]) -> Table:
    """A table of normalised values; `columns` tells the name of each and whether it holds JSON text."""
    values = [
        tuple(_normalised(value, *column, name) for value, column in zip(row, columns, strict=True)) for row in rows
    ]
    return Table(
        warehouse,
        name.rpartition(".")[2].lower(),
        tuple(column.lower() for column, _ in columns),
        tuple(sorted(values, key=_sort_key)),
    )


def _normalised(value: Any, column: str, is_json: bool, table: str) -> Value:
    if is_json and isinstance(value, str):
        return json.dumps(json.loads(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    match value:
        case None | bool() | str():
            return value
        case int() | Decimal():
            return Decimal(value).normalize(ALL_DIGITS)
        case datetime():
            return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
        case date():
            return value.isoformat()
    raise TypeError(f"{table}.{column.lower()}: {value!r} is a {type(value).__name__}, which no public column may be.")


def _sort_key(row: Row) -> list[tuple[bool, str, Any]]:
    return [(value is not None, type(value).__name__, value) for value in row]


def differences(
    left: Table,
    right: Table,
    columns_left_out: Collection[str] = (),
    tolerated: Mapping[str, Decimal] | None = None,
) -> list[str]:
    """What differs between two tables, one message a finding; nothing when they are equal.

    `tolerated`: columns whose numbers may differ, and by which share of the greater one. Rows are matched by the first
    columns, in the order of the left table, that tell all rows apart.
    """
    tolerated = tolerated or {}
    messages = list(_column_differences(left, right, columns_left_out))
    if len(left.rows) != len(right.rows):
        messages.append(f"{left.name}: {left.warehouse} has {len(left.rows)} rows, {right.warehouse} {len(right.rows)}")
    columns = [name for name in left.columns if name in right.columns and name not in columns_left_out]
    key = _key(left, right, [name for name in columns if name not in tolerated])
    return [*messages, *_row_differences(left, right, key), *_value_differences(left, right, key, columns, tolerated)]


def _column_differences(left: Table, right: Table, columns_left_out: Collection[str]) -> Iterator[str]:
    for one, other in ((left, right), (right, left)):
        missing = sorted(set(other.columns) - set(one.columns) - set(columns_left_out))
        if missing:
            yield f"{left.name}: {one.warehouse} lacks {', '.join(missing)}"


def _key(left: Table, right: Table, columns: Sequence[str]) -> Sequence[str]:
    """The first columns that tell all rows apart in both tables; all of them when none do."""
    prefixes = (columns[:end] for end in range(1, len(columns)))
    return next((key for key in prefixes if left.has_unique(key) and right.has_unique(key)), columns)


def _row_differences(left: Table, right: Table, key: Sequence[str]) -> Iterator[str]:
    for one, other in ((left, right), (right, left)):
        found = list((Counter(one.of(key)) - Counter(other.of(key))).elements())
        if found:
            examples = "; ".join(_at(key, row) for row in found[:EXAMPLES])
            yield f"{left.name}: {len(found)} rows only in {one.warehouse}, as {examples}"


def _value_differences(
    left: Table, right: Table, key: Sequence[str], columns: Sequence[str], tolerated: Mapping[str, Decimal]
) -> Iterator[str]:
    for column in columns:
        values = dict(zip(right.of(key), right.of([column]), strict=True))
        pairs = [
            (row, a, *values[row]) for row, (a,) in zip(left.of(key), left.of([column]), strict=True) if row in values
        ]
        found = [(row, a, b) for row, a, b in pairs if not _same(a, b, tolerated.get(column, Decimal(0)))]
        if found:
            examples = "; ".join(
                f"at {_at(key, row)}: {left.warehouse} {_shown(a)}, {right.warehouse} {_shown(b)}"
                for row, a, b in found[:EXAMPLES]
            )
            yield f"{left.name}.{column}: {len(found)} rows differ, {examples}"


def _same(a: Value, b: Value, tolerance: Decimal) -> bool:
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return abs(a - b) <= tolerance * max(abs(a), abs(b))
    return type(a) is type(b) and a == b


def _at(key: Sequence[str], row: Row) -> str:
    return ", ".join(f"{column}={_shown(value)}" for column, value in zip(key, row, strict=True))


def _shown(value: Value) -> str:
    match value:
        case None:
            return "NULL"
        case Decimal():
            return format(value, "f")
    return repr(value)
