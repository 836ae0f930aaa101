"""The raw tables as each warehouse stores them: what the product says of their columns, in the warehouse's own types.

python -m tests.warehouses.static.raw_types bigquery|snowflake      # prints {table: {column: type}} as JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from llm_spend.schema import BOOKKEEPING_TABLES, Kind
from llm_spend.sources import raw_formats

Warehouse = Literal["bigquery", "snowflake"]
Columns = dict[str, str]

# dlt picks NUMERIC on BigQuery for what fits into 9 decimals.
TYPES: Mapping[Warehouse, Mapping[Kind, str]] = {
    "bigquery": {
        "text": "STRING",
        "bigint": "INT64",
        "bool": "BOOL",
        "timestamp": "TIMESTAMP",
        "money": "BIGNUMERIC",
        "decimal": "NUMERIC",
        "json": "JSON",
    },
    "snowflake": {
        "text": "VARCHAR",
        "bigint": "NUMBER(19, 0)",
        "bool": "BOOLEAN",
        "timestamp": "TIMESTAMP_NTZ",
        "money": "NUMBER(38, 12)",
        "decimal": "NUMBER(18, 6)",
        "json": "VARIANT",
    },
}

# dlt's own times carry a zone where the warehouse has such a type.
_ZONED: Mapping[Warehouse, str] = {"bigquery": "TIMESTAMP", "snowflake": "TIMESTAMP_TZ"}


def raw_tables(warehouse: Warehouse) -> dict[str, Columns]:
    """Column types of every raw table by table name, in the order of the columns."""
    tables: dict[str, Mapping[str, Kind]] = {table: fmt.kinds for table, fmt in raw_formats().items()}
    lineage: Mapping[str, Kind] = {"_dlt_load_id": "text", "_dlt_id": "text"}
    tables |= {name: {**kinds, **lineage} for name, kinds in BOOKKEEPING_TABLES.items()}
    names = TYPES[warehouse]
    typed = {table: {name: names[kind] for name, kind in kinds.items()} for table, kinds in tables.items()}
    typed["_dlt_loads"] = {
        "load_id": names["text"],
        "schema_name": names["text"],
        "status": names["bigint"],
        "inserted_at": _ZONED[warehouse],
        "schema_version_hash": names["text"],
    }
    return typed
