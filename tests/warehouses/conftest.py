"""One organisation, taken through the same months in DuckDB, Snowflake and BigQuery."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.build import build, dbt_variables
from llm_spend.build_constants import Constants, in_environment
from llm_spend.demo import run_demo
from llm_spend.destinations import BigQuery, Destination, DuckDb, Snowflake
from llm_spend.settings import SourceSettings
from tests.conftest import LONG_TESTS, load_sources
from tests.dbt_fork import run_dbt
from tests.few_prices import few_prices
from tests.warehouses import moved
from tests.warehouses.compare import Table, read_bigquery, read_duckdb, read_snowflake
from tests.warehouses.listed import load_listed
from tests.warehouses.servers import bigquery_server, snowflake_server

REQUESTS = 1_000

Tables = dict[str, Table]


@dataclass
class History:
    """A destination and what its public tables held after each step; `manifests`: what dbt had compiled by then."""

    destination: Destination
    read: Callable[[str], Table]
    tables: dict[str, Tables] = field(default_factory=dict)
    manifests: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Organisation:
    """Logs of a demo organisation, and one of its days as the gateway exported it again.

    `few_prices`: the seeds, with prices of its own models only, since the emulators take seconds to seed thousands.
    """

    sources: list[SourceSettings]
    first_months: list[SourceSettings]
    restated_day: SourceSettings
    seeds: Path
    few_prices: Path


def set_environment(patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """What clients of a server read from the environment."""
    for name, value in environment.items():
        patch.setenv(name, value)


@pytest.fixture(scope="session")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    folder = tmp_path_factory.mktemp("organisation")
    inputs = run_demo.write(folder, REQUESTS, seed=7)
    moved_at_first, moved_later = moved.write_log(folder / "moved")
    first_months = [
        each.model_copy(update={"path": each.path.replace("/*.jsonl.gz", "/*2026-0[89]*.jsonl.gz")})
        for each in inputs.sources
        if each.source != "litellm"
    ]
    restated_day = _restate(inputs.sources[0], folder / "restated")
    cloud_bill = _cloud_bill(folder / "aws")
    few = few_prices(folder / "few_prices", inputs.seeds)
    sources = [*inputs.sources, cloud_bill, moved_later]
    return Organisation(sources, [*first_months, moved_at_first], restated_day, inputs.seeds, few)


def _cloud_bill(folder: Path) -> SourceSettings:
    """Two days of a model on AWS, and something else that the bill has."""
    charge = {
        "BillingAccountId": "111122223333",
        "SubAccountId": "444455556666",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-09-01T00:00:00Z",
        "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ProviderName": "AWS",
        # As warehouses write documents: the key of a line is made of their text.
        "Tags": '{"team":"search"}',
    }
    lines = [
        {**charge, "ServiceName": service, "BilledCost": cost, "ChargePeriodStart": start, "ChargePeriodEnd": end}
        for service, cost, start, end in (
            ("Amazon Bedrock", "3.250000000001", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z"),
            ("Amazon Bedrock", "-0.5", "2026-09-02T00:00:00Z", "2026-09-03T00:00:00Z"),
            ("Amazon S3", "12", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z"),
        )
    ]
    folder.mkdir()
    with (folder / "focus.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    return SourceSettings(source="focus", path=f"{folder}/*.csv", instance="aws")


def _restate(source: SourceSettings, folder: Path) -> SourceSettings:
    """The newest day of the first months with every request a little larger: what was known of it was not the end."""
    day = max(Path(source.path).parent.glob("*2026-09*.jsonl.gz"))
    folder.mkdir()
    with gzip.open(day, "rt") as lines, gzip.open(folder / day.name, "wt") as restated:
        for line in lines:
            try:
                record = json.loads(line)
                restated.write(json.dumps({**record, "res_units": record["res_units"] + 7, "total_units": None}) + "\n")
            except (ValueError, KeyError, TypeError):
                restated.write(line)
    return source.model_copy(update={"path": f"{folder}/*.gz"})


def _some_record(source: SourceSettings) -> dict[str, Any]:
    """A record of the first day of a log."""
    day = min(Path(source.path).parent.glob("*2026-08*.jsonl.gz"))
    with gzip.open(day, "rt") as lines:
        record: dict[str, Any] = json.loads(next(lines))
    return record


Step = Callable[[Destination], None]


def steps(organisation: Organisation) -> dict[str, Step]:
    """What happens to a destination, in this order, by the name of the state that it ends in."""

    def run(sources: list[SourceSettings], *, is_first: bool = False, is_last: bool = False) -> Step:
        def step(destination: Destination) -> None:
            # The emulators take long to seed thousands of prices.
            all_prices = is_last and destination.name == "snowflake" and LONG_TESTS
            seeds = organisation.seeds if all_prices else organisation.few_prices
            load_sources(sources, destination)
            if is_first:
                portkey = organisation.first_months[0]
                load_listed(destination, organisation.seeds.parent / "listed", portkey.instance, _some_record(portkey))
            if is_last:
                # The tables that a full refresh keeps; this is what it is like to begin.
                for kept in ("int_closed_price_book", "int_closed_chargeback_lines", "int_quota_breach_ledger"):
                    destination.execute(f"drop table llm_spend_internal.{kept}")
            # In DuckDB the tests run on the whole demo.
            test = {"duckdb": False, "snowflake": is_last, "bigquery": is_first}[destination.name]
            report = build(destination, seeds=seeds, full_refresh=is_last, test=test)
            assert report.ok, (report.failures, report.failed_tests)

        return step

    both = [*organisation.sources, organisation.restated_day]

    def second(destination: Destination) -> None:
        built = moved.built_of_two(destination, lambda: run(both)(destination))
        assert built == [moved.BUILT]

    def rerun(destination: Destination) -> None:
        if destination.name == "bigquery":
            load_sources(both, destination)
            build_by_dbt_alone(destination)
        else:
            run(both)(destination)

    return {
        "first": run(organisation.first_months, is_first=True),
        "second": second,
        "rerun": rerun,
        "refreshed": run([], is_last=True),
    }


def build_by_dbt_alone(destination: Destination) -> None:
    """What a scheduler of dbt does, which tells no dates: everything from the raw tables on."""
    done = dbt(destination, "run", "--select", "+int_usage_dates+")
    assert done.returncode == 0, done.stdout


def dbt(
    destination: Destination, *command: str, project: Path | None = None, constants: Constants | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of dbt in the project of the last build, or in a copy of it."""
    project = project or destination.work_dir / "dbt_project"
    variables = ["--vars", dbt_variables(destination, "UTC"), "--profiles-dir", str(project)]
    environment = {**os.environ, **destination.dbt_environment(), **in_environment(constants or {})}
    return run_dbt(*command, *variables, folder=project, environment=environment)


def take_through(destination: Destination, organisation: Organisation, read: Callable[[str], Table]) -> History:
    """All steps, with a copy of every public table after each."""
    history = History(destination, read)
    for name, step in steps(organisation).items():
        step(destination)
        keep(history, name)
    return history


def keep(history: History, name: str) -> None:
    """Copy what the public tables hold now, and what dbt compiled last; of a build in two runs, of both."""
    destination = history.destination
    history.tables[name] = {table: history.read(table) for table in destination.tables(destination.schemas.public)}
    target, kept = destination.work_dir / "dbt_project" / "target", destination.work_dir / name
    shutil.copytree(target / "compiled", kept / "compiled")
    for file in ("manifest.json", "run_results.json"):
        shutil.copy(target / file, kept)
    history.manifests[name] = kept / "manifest.json"


@pytest.fixture(scope="session")
def in_duckdb(organisation: Organisation, tmp_path_factory: pytest.TempPathFactory) -> History:
    destination = DuckDb(tmp_path_factory.mktemp("duckdb") / "spend.duckdb")

    def read(table: str) -> Table:
        with duckdb.connect(str(destination.database), read_only=True) as connection:
            return read_duckdb(connection, f"llm_spend.{table}")

    return take_through(destination, organisation, read)


@pytest.fixture(scope="session")
def in_snowflake(organisation: Organisation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    import snowflake.connector

    folder = tmp_path_factory.mktemp("snowflake")
    with snowflake_server(folder / "server.log") as server, pytest.MonkeyPatch.context() as patch:
        set_environment(patch, server.environment)
        with snowflake.connector.connect(**server.connection) as connection:
            yield take_through(
                Snowflake(folder=folder), organisation, lambda table: read_snowflake(connection, f"llm_spend.{table}")
            )


@pytest.fixture(scope="session")
def in_bigquery(organisation: Organisation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    from google.cloud import bigquery

    folder = tmp_path_factory.mktemp("bigquery")
    with bigquery_server(folder / "server.log") as server, pytest.MonkeyPatch.context() as patch:
        set_environment(patch, server.environment)
        client = bigquery.Client(server.project)
        yield take_through(
            BigQuery(folder=folder), organisation, lambda table: read_bigquery(client, f"llm_spend.{table}")
        )
