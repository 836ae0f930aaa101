"""The SQL of docs/insights.md finds something in the demo, and what the page says of tables and seeds is so."""

from __future__ import annotations

import csv
import re
from io import StringIO
from pathlib import Path

import duckdb
import pytest

from tests.conftest import Demo

PAGE = Path("docs/insights.md").read_text(encoding="utf-8")
STATEMENTS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_every_statement_finds_something(demo: Demo) -> None:
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        for sql in STATEMENTS:
            assert connection.execute(sql).fetchall(), sql
        ((tables,),) = connection.execute(
            "select list(table_name) from information_schema.tables where table_schema = 'llm_spend'"
        ).fetchall()
    named = set(re.findall(r"`((?:llm|dim)_\w+)`", PAGE)) - {
        "llm_spend_anomaly_sensitivity",
        "llm_spend_anomaly_shares",
        "llm_spend_source_wait_days",
    }
    assert len(STATEMENTS) >= 8 and named <= set(tables)


def test_seeds_are_as_the_page_says() -> None:
    for path in set(re.findall(r"seeds/(\w+/\w+\.csv)", PAGE)):
        assert (Path("dbt_project/seeds") / path).is_file(), path
    (example,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    header = Path("dbt_project/seeds/rules/business_events.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    rows = list(csv.reader(StringIO(example)))
    assert ",".join(rows[0]) == header and {len(row) for row in rows} == {len(rows[0])}
