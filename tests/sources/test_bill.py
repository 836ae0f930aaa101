"""Files in the columns of our own tables, for providers that no source asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.files import find_files, format_of
from llm_spend.sources import provider_tables
from llm_spend.sources.bill_costs import COSTS
from llm_spend.sources.bill_usage import USAGE

from .conftest import Warehouse
from .fake_server import read_back

BUCKET = {"provider": "mistral", "bucket_start": "2026-09-01T00:00:00Z", "bucket_end": "2026-09-02T00:00:00Z"}
COST = {**BUCKET, "amount": "123.4567890123456789", "currency": "USD", "model": "", "dimensions": {"speed": "fast"}}
USED = {**BUCKET, "usage_type": "completions", "input_tokens": 10, "profile": "people"}


def of_file(path: Path, fmt: Any = COSTS) -> list[dict[str, Any]]:
    (file,) = find_files(str(path))
    return read_back(format_of(fmt, file), path)


def test_csv_with_the_columns_that_somebody_has(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(
        "Provider,bucket_start,bucket_end,amount,currency,charge_category\n"
        "mistral,2026-09-01,2026-09-02,123.4567890123456789,USD,\n"
        "mistral,2026-09-01,2026-09-02,-12.50,USD,Credit\n"
        "mistral,2026-09-01,2026-09-02,1,,\n"
    )
    first, refund, wrong = of_file(path)
    assert (first["amount"], first["profile"], first["cost_unit"]) == (Decimal("123.456789012346"), "primary", "unit")
    assert (first["charge_category"], first["list_amount"], first["_problem"]) == (None, None, None)
    assert (refund["amount"], refund["charge_category"], refund["_problem"]) == (Decimal("-12.5"), "Credit", None)
    assert wrong["_problem"] == "currency: missing", "it is never assumed"


def test_a_misspelt_or_missing_column_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text(json.dumps({**COST, "ammount": 1}))
    with pytest.raises(UserError, match=r"costs\.jsonl has unknown columns: ammount\.") as raised:
        of_file(path)
    assert "provider, bucket_start, bucket_end" in str(raised.value)
    path.write_text(json.dumps(BUCKET))
    with pytest.raises(UserError, match=r"lacks the columns amount, currency\."):
        of_file(path)


@pytest.mark.parametrize(
    ("fmt", "record", "problem"),
    [
        (COSTS, COST | {"cost_unit": "cents"}, "cost_unit: not one of unit, cent: cents"),
        (
            COSTS,
            COST | {"charge_category": "taxes"},
            "charge_category: not one of Usage, Purchase, Tax, Credit, Adjustment: taxes",
        ),
        (USAGE, USED | {"cost_unit": "us_cents"}, "cost_unit: not one of unit, cent, usd, us_cent: us_cents"),
        (COSTS, COST | {"cost_unit": "Cent", "charge_category": "tax"}, None),
    ],
)
def test_a_word_that_means_nothing_is_a_problem(tmp_path: Path, fmt: Any, record: Any, problem: str | None) -> None:
    path = tmp_path / "bill.jsonl"
    path.write_text(json.dumps(record))
    (row,) = of_file(path, fmt)
    assert row["_problem"] == problem
    if not problem:
        assert (row["cost_unit"], row["charge_category"]) == ("cent", "Tax")


def test_a_file_without_records_is_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text("\n")
    assert of_file(path) == []


@pytest.mark.parametrize(
    ("fmt", "table"),
    [(COSTS, provider_tables.costs_format("x")), (USAGE, provider_tables.usage_format("x"))],
    ids=["costs", "usage"],
)
def test_the_columns_are_those_of_the_table(fmt: Any, table: Any) -> None:
    assert (fmt.table, fmt.kinds) == (table.table, table.kinds)


@pytest.fixture(scope="module")
def warehouse(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("bill")


def test_costs_and_usage_are_loaded(warehouse: Warehouse) -> None:
    usage = warehouse.write("usage.jsonl.gz", [USED, USED | {"input_tokens": -1}])
    report = warehouse.load("bill_usage", usage, instance="eu")
    assert (report.rows, report.quarantined) == (2, 1)
    assert warehouse.rows(
        "select _source_system, _source_instance, provider, profile, usage_type, input_tokens, bucket_end"
        " from raw.provider__usage where _problem is null"
    ) == [("bill_usage", "eu", "mistral", "people", "completions", 10, datetime(2026, 9, 2))]
    costs = warehouse.write("costs.jsonl", [COST])
    assert warehouse.load("bill_costs", costs, instance="eu").rows == 1
    ((amount, model, dimensions),) = warehouse.rows("select amount, model, dimensions from raw.provider__costs")
    assert (amount, model, json.loads(dimensions)) == (Decimal("123.456789012346"), None, {"speed": "fast"})
    assert warehouse.load("bill_costs", costs, instance="eu").skipped_files == 1
    assert warehouse.rows("select source, entity from raw.llm_spend__files where source like 'bill%' order by 1") == [
        ("bill_costs", "costs"),
        ("bill_usage", "usage"),
    ]
