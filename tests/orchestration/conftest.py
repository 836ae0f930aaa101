"""A small organisation in the folder of a scheduler, and what Dagster makes of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_spend.demo import run_demo
from tests.few_prices import few_prices

REQUESTS = 1_000
DAGSTER = Path(__file__).parents[2] / "orchestration" / "dagster"


@dataclass(frozen=True)
class Ran:
    """Where it ran, what was defined, the result of its daily job, and the database that it wrote.

    Settings name places as seen from the site: what runs assets again must be there.
    """

    site: Path
    module: ModuleType
    result: Any
    database: Path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with logs, bills, seeds and settings, as `llm-spend demo` leaves it. Not to be written to."""
    folder = tmp_path_factory.mktemp("site") / "demo"
    run_demo.write(folder, REQUESTS, seed=7)
    few = few_prices(folder.parent / "seeds", folder / "seeds")
    shutil.rmtree(folder / "seeds")
    few.rename(folder / "seeds")
    return folder


@pytest.fixture(scope="session")
def dagster_run(site: Path) -> Iterator[Ran]:
    """The daily job of Dagster, in this process, on a database of its own."""
    dagster = pytest.importorskip("dagster")
    database = site.parent / "dagster.duckdb"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site)
        patch.setenv("LLM_SPEND_DATABASE", str(database))
        patch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
        patch.syspath_prepend(DAGSTER)
        from llm_spend_dagster import definitions

        with dagster.DagsterInstance.ephemeral() as instance:
            job = definitions.defs.resolve_job_def("daily")
            result = job.execute_in_process(instance=instance)
    yield Ran(site, definitions, result, database)
    for name in [name for name in sys.modules if name.startswith("llm_spend_dagster")]:
        del sys.modules[name]
