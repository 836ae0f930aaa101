"""What the tests share: one demo organisation, loaded and built once for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.build import BuildReport, build
from llm_spend.demo import Truth, run_demo
from llm_spend.destinations import Destination, DuckDb
from llm_spend.load import LoadReport, load_logs
from llm_spend.settings import SourceSettings
from llm_spend.sources.generic import read_mapping

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DO_NOT_TRACK"] = "1"

DEMO_REQUESTS = 20_000


@dataclass(frozen=True)
class Demo:
    """A demo organisation on disk, and the database it was loaded and built into in one go."""

    folder: Path
    seeds: Path
    database: Path
    truth: Truth
    loads: list[LoadReport]
    built: BuildReport


def load_sources(sources: list[SourceSettings], destination: Destination) -> list[LoadReport]:
    """Load every source into a destination."""
    return [
        load_logs(
            each.source,
            each.path,
            destination,
            instance=each.instance,
            mapping=read_mapping(each.mapping) if each.mapping else None,
        )
        for each in sources
    ]


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on a database that nobody else writes."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo organisation at the size of `make demo`."""
    folder = tmp_path_factory.mktemp("demo")
    inputs = run_demo.write(folder / "organisation", DEMO_REQUESTS, seed=7)
    database = folder / "demo.duckdb"
    loads = load_sources(inputs.sources, DuckDb(database))
    report = build(DuckDb(database), seeds=inputs.seeds)
    assert report.ok, (report.failures, report.failed_tests)
    yield Demo(folder / "organisation", inputs.seeds, database, Truth.load(inputs.truth), loads, report)
