"""A closed month keeps its prices, whatever the seeds say later, and gets today's when it is opened again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_spend.build import build
from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.sources import generic
from tests.conftest import query
from tests.dbt.price_project import PROJECT

pytestmark = pytest.mark.slow

MAPPING = generic.Mapping.model_validate(
    {
        "source": "InHouse",
        "columns": {
            "source_record_id": "id",
            "started_at": "ts",
            "input_tokens": "ctx",
            "output_tokens": "gen",
        },
        "defaults": {"provider": "openai", "raw_model": "gpt-4o"},
    }
)
LOG = """id,ts,ctx,gen
first,2026-10-01 00:00:00,1000000,1000000
last,2026-10-31 23:59:59,1000000,1000000
next,2026-11-01 00:00:00,1000000,1000000
"""
CLOSED = "billing_period,closed_at,closed_by,reason\n2026-10-01,2026-11-05 09:00:00,finance,invoiced\n"


def override(unit: str, price: int) -> str:
    """A price of gpt-4o that holds since long before the closed month."""
    cells = {
        "price_id": f"ours-{unit}",
        "provider": "openai",
        "channel": "openai",
        "model_id": "gpt-4o",
        "usage_unit": unit,
        "unit_size": "1000000",
        "unit_price": str(price),
        "currency": "USD",
        "service_tier": "standard",
        "valid_from": "2026-01-01",
        "reason": "corrected",
    }
    header = (PROJECT / "seeds/prices/price_overrides.csv").read_text().split("\n", 1)[0].split(",")
    return ",".join(header) + "\n" + ",".join(cells.get(column, "") for column in header) + "\n"


def facts(database: Path) -> list[tuple[Any, ...]]:
    """Everything that the fact says of October."""
    return query(
        database,
        "select * from llm_spend.fct_llm_requests where usage_date < '2026-11-01' order by source_record_id",
    )


def costs(database: Path) -> dict[str, Decimal]:
    return dict(query(database, "select source_record_id, list_cost_usd from llm_spend.fct_llm_requests"))


def test_a_closed_month_does_not_move(tmp_path: Path) -> None:
    logs, seeds, database = tmp_path / "logs", tmp_path / "seeds", tmp_path / "closed.duckdb"
    logs.mkdir()
    seeds.mkdir()
    (logs / "log.csv").write_text(LOG)
    load_logs("generic", str(logs), DuckDb(database), mapping=MAPPING)
    old, new = Decimal("12.5"), Decimal("110")

    def built(full_refresh: bool = False) -> dict[str, Decimal]:
        assert build(DuckDb(database), seeds=seeds, full_refresh=full_refresh, test=False).ok
        return costs(database)

    (seeds / "period_close.csv").write_text(CLOSED)
    assert built() == {"first": old, "last": old, "next": old}
    closed = facts(database)

    (seeds / "price_overrides.csv").write_text(override("input_tokens", 100))
    assert built() == {"first": old, "last": old, "next": new}
    assert facts(database) == closed
    assert built(full_refresh=True) == {"first": old, "last": old, "next": new}
    assert facts(database) == closed

    (seeds / "period_close.csv").unlink()
    assert built() == {"first": new, "last": new, "next": new}, "opened again"
