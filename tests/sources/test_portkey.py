"""Portkey log exports as they come: four shapes of metadata, cents, times with and without a zone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from .conftest import Warehouse

OWNER = {"_user": "o'neil@acme.io", "team": "x" * 128}
STORED = {"_user": "o\\'neil@acme.io", "team": "x" * 128}  # as Portkey's store escapes a quote


def log(record_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "created_at": "2026-03-01T10:00:00Z",
        "ai_org": "openai",
        "ai_model": "gpt-4o",
        "req_units": 10,
        "res_units": 5,
        "total_units": 15,
        "cost": 1.383,
        "cost_currency": "USD",
        "is_success": True,
        "response_status_code": 200,
        **fields,
    }


LOGS = [
    log("map", metadata=STORED),
    log("text", metadata=json.dumps(STORED)),
    log("arrays", metadata={"key": list(STORED), "value": list(STORED.values())}),
    log("columns", metadataKey=list(STORED), metadataValue=list(STORED.values())),
    log("none"),
    log("null", metadata=None),
    log("key-only", metadata={"key": "value"}),
    log("not-json", metadata="team=ml"),
    log("list", metadata=["ml"]),
    log("uneven", metadata={"key": ["a", "b"], "value": ["1"]}),
    log("twice-in-arrays", metadata={"key": ["a", "a"], "value": ["1", "2"]}),
    log("zoneless", created_at="2026-03-01 10:00:00.123"),
    log("offset", created_at="2026-02-28T23:30:00-07:00"),
    log("offset-short", created_at="2026-03-01 10:00:00+02"),
    log("numbers", is_success=1, cost="0.0000123456789", req_units="10", response_time=812),
]
TWICE = '{"id": "twice", "created_at": "2026-03-01T10:00:00Z", "metadata": {"team": "a", "team": "b"}}\n'


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("portkey")
    lines = "".join(json.dumps(record) + "\n" for record in LOGS)
    path = warehouse.write("exports/logs.jsonl.gz", lines + TWICE)
    report = warehouse.load("portkey", path, instance="main")
    assert (report.rows, report.quarantined, report.files) == (len(LOGS) + 1, 0, 1)
    return warehouse


def one(loaded: Warehouse, column: str, record_id: str) -> Any:
    return loaded.rows(f"select {column} from raw.portkey__logs where id = ?", record_id)[0][0]


@pytest.mark.parametrize("shape", ["map", "text", "arrays", "columns"])
def test_every_shape_of_metadata_is_one_object(loaded: Warehouse, shape: str) -> None:
    assert json.loads(one(loaded, "metadata", shape)) == OWNER
    assert one(loaded, "_metadata_error", shape) is False


@pytest.mark.parametrize("record_id", ["none", "null"])
def test_no_metadata_is_no_error(loaded: Warehouse, record_id: str) -> None:
    assert one(loaded, "metadata", record_id) is None
    assert one(loaded, "_metadata_error", record_id) is False


def test_a_tag_that_is_called_key_is_a_tag(loaded: Warehouse) -> None:
    assert json.loads(one(loaded, "metadata", "key-only")) == {"key": "value"}


@pytest.mark.parametrize("record_id", ["not-json", "list", "uneven", "twice-in-arrays", "twice"])
def test_unreadable_metadata_keeps_the_request(loaded: Warehouse, record_id: str) -> None:
    assert one(loaded, "metadata", record_id) is None
    assert one(loaded, "_metadata_error", record_id) is True
    assert one(loaded, "_problem", record_id) is None


def test_cost_stays_in_cents_and_exact(loaded: Warehouse) -> None:
    assert one(loaded, "cost", "map") == Decimal("1.383000000000")
    assert one(loaded, "cost", "numbers") == Decimal("0.000012345679")


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [
        ("map", datetime(2026, 3, 1, 10)),
        ("zoneless", datetime(2026, 3, 1, 10, 0, 0, 123000)),
        ("offset", datetime(2026, 3, 1, 6, 30)),
        ("offset-short", datetime(2026, 3, 1, 8)),
    ],
)
def test_times_are_utc(loaded: Warehouse, record_id: str, expected: datetime) -> None:
    assert one(loaded, "created_at", record_id) == expected


def test_numbers_and_text_of_numbers_are_the_same(loaded: Warehouse) -> None:
    columns = "(is_success, req_units, response_time)"
    assert one(loaded, columns, "numbers") == (True, 10, Decimal("812.000000"))


def test_lineage_says_where_a_row_came_from(loaded: Warehouse) -> None:
    assert one(loaded, "(_source_system, _source_instance)", "map") == ("portkey", "main")
    assert one(loaded, "_file", "map").endswith("/exports/logs.jsonl.gz")
