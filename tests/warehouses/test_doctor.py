"""`llm-spend doctor` on the emulators: with all rights all is well, and everything is as it was."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_spend.destinations import BigQuery, Destination, Snowflake
from llm_spend.doctor import Check, examine
from llm_spend.load import load_logs
from llm_spend.settings import Settings
from llm_spend.transfer import EXPORTED
from tests.warehouses.conftest import set_environment
from tests.warehouses.servers import bigquery_server, snowflake_server

pytestmark = pytest.mark.slow

WAREHOUSES = {"snowflake": (snowflake_server, Snowflake), "bigquery": (bigquery_server, BigQuery)}


@pytest.fixture(params=WAREHOUSES)
def destination(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Destination]:
    start, kind = WAREHOUSES[request.param]
    with start() as server:
        set_environment(monkeypatch, server.environment)
        yield kind()


def examined(destination: Destination) -> dict[str, Check]:
    checks = {check.name: check for check in examine(Settings(destination=destination.name))}  # type: ignore[arg-type]
    assert [check for check in checks.values() if check.status == "failed"] == []
    return checks


def content(destination: Destination) -> dict[str, int]:
    """Rows of every table in our schemas; a schema that is not there has none."""
    return {
        f"{schema}.{table}": destination.query(f"select count(*) from {schema}.{table}")[0][0]
        for schema in destination.schemas.all
        for table in destination.tables(schema)
    }


def test_doctor(destination: Destination, tmp_path: Path) -> None:
    checks = examined(destination)
    assert checks["llm_spend: schema"].found == "was not there, can be created"
    assert checks["llm_spend: leave it as it was"].found == "dropped again"
    assert content(destination) == {}

    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "created_at": "2026-10-01T00:00:00Z"}\n'))
    load_logs("portkey", f"{tmp_path}/*", destination)
    before = content(destination)
    assert before["llm_spend_raw.portkey__logs"] == 1
    checks = examined(destination)
    assert checks["llm_spend_raw: schema"].found == "is there"
    assert checks["llm_spend_raw: tables that are there"].found == f"{len(EXPORTED)} tables can be written to"
    copied = checks["stage and copy" if destination.name == "snowflake" else "load job"]
    assert copied.found == "a row arrived as it was sent"
    assert content(destination) == before
