"""Static checks of the SQL that dbt compiled for a warehouse: no warehouse and no emulator is asked.

`check_googlesql` has BigQuery's SQL analysed by Google's own analyser; `check_sqlglot` resolves and types BigQuery's or
Snowflake's SQL with sqlglot, and knows rules of the warehouses that no analyser knows.
"""

from tests.warehouses.static.googlesql import check_googlesql
from tests.warehouses.static.sqlglot_check import check_sqlglot

__all__ = ["check_googlesql", "check_sqlglot"]
