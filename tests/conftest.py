"""What the tests share: one demo organisation, loaded and built once for all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.demo import Truth
from llm_spend.destinations import Destination
from llm_spend.load import LoadReport, load_logs
from llm_spend.settings import SourceSettings
from llm_spend.sources.generic import read_mapping
from tests.dbt_fork import forked_dbt

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DO_NOT_TRACK"] = "1"

DEMO_REQUESTS = 20_000

# `make test` has half an hour for everything, and these show little that others don't.
LONG_TESTS = "LLM_SPEND_LONG_TESTS" in os.environ
long = pytest.mark.skipif(not LONG_TESTS, reason="long: set LLM_SPEND_LONG_TESTS")


@dataclass(frozen=True)
class Demo:
    """What `make demo` leaves: the organisation on disk, the database, and what it shows."""

    folder: Path
    database: Path
    truth: Truth
    screen: str

    @property
    def seeds(self) -> Path:
        """The organisation's own seeds."""
        return self.folder / "seeds"


@pytest.fixture(scope="session", autouse=True)
def quick_dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """dbt without its import and its parsing, each time after the first."""
    with forked_dbt(tmp_path_factory.mktemp("parsed")):
        yield


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
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`make demo` in a copy of what git would give a stranger, with this environment in place of a new one."""
    checkout = tmp_path_factory.mktemp("checkout")
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        if Path(name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, checkout / name, follow_symlinks=False)
    venv = Path(sys.prefix)
    command = ["make", "demo", f"VENV={venv}", f"--assume-old={venv}/.user"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    # Some of its lines can't be read, on purpose.
    assert done.returncode in (0, 3), done.stdout + done.stderr
    folder = checkout / "data" / "demo"
    return Demo(folder, checkout / "data" / "demo.duckdb", Truth.load(folder / "truth.json"), done.stdout)
