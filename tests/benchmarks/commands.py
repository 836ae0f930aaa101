"""What is measured, as commands: those of a user, and the reference. Each is a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_spend.build import dbt_variables
from llm_spend.destinations import DuckDb
from tests.benchmarks import measure
from tests.benchmarks.data import DataSet
from tests.benchmarks.measure import Cost

CHECKOUT = Path(__file__).resolve().parents[2]
LLM_SPEND = str(Path(sys.executable).with_name("llm-spend"))
INSTANCE = "bench"

_SOME_LINES_UNREADABLE = 3

_BUILD_WITHOUT_TESTS = """
import sys
from pathlib import Path
from llm_spend.build import build
from llm_spend.destinations import DuckDb
report = build(DuckDb(Path(sys.argv[1])), seeds=Path(sys.argv[2]), full_refresh=True, test=False)
sys.exit(0 if report.ok else "; ".join(report.failures))
"""
_QUOTA_MODELS = ("path:models/intermediate/quotas", "path:models/marts/quotas/llm_quota_*.sql", "llm_budget_status")

Work = dict[str, float]
"""`wall_seconds` and `cpu_seconds` of a part of a command."""


def _environment() -> dict[str, str]:
    """That of a user who configured nothing; our own modules are found from any folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_SPEND_")}
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(CHECKOUT)]))
    return {**kept, "PYTHONPATH": path, "RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1"}


def _run(
    folder: Path, *command: str, accepted: tuple[int, ...] = (0,), environment: Mapping[str, str] | None = None
) -> Cost:
    folder.mkdir(parents=True, exist_ok=True)
    return measure.run(command, folder, {**_environment(), **(environment or {})}, accepted)


def load(database: Path, files: str) -> Cost:
    """`llm-spend load` of files."""
    command = [LLM_SPEND, "load", "portkey", "--path", files, "--instance", INSTANCE, "--database", str(database)]
    return _run(database.parent, *command, accepted=(0, _SOME_LINES_UNREADABLE))


def build(database: Path, data: DataSet) -> Cost:
    """`llm-spend build`: all tables and their data tests."""
    return _run(database.parent, LLM_SPEND, "build", "--database", str(database), "--seeds", str(data.seeds))


def build_without_tests(database: Path, data: DataSet) -> Cost:
    """The tables alone, which is what the reference makes too."""
    return _run(database.parent, sys.executable, "-c", _BUILD_WITHOUT_TESTS, str(database), str(data.seeds))


def run(database: Path, files: str, data: DataSet) -> Cost:
    """`llm-spend run`: what a scheduler calls."""
    command = [LLM_SPEND, "run", "portkey", "--path", files, "--instance", INSTANCE]
    command += ["--database", str(database), "--seeds", str(data.seeds)]
    return _run(database.parent, *command, accepted=(0, _SOME_LINES_UNREADABLE))


def start(database: Path) -> Cost:
    """What of a run is the start of Python, dlt and dbt: their imports, and dbt reading a project that it knows."""
    destination = DuckDb(database)
    project = str(destination.work_dir / "dbt_project")
    # Said as a build says it: with other variables dbt would parse everything anew.
    settings = dbt_variables(destination, "UTC")
    environment = {**destination.dbt_environment(), "LLM_SPEND_THREADS": "2"}
    dbt = [sys.executable, "-m", "dbt.cli.main", "parse", "--project-dir", project, "--profiles-dir", project]
    imports = _run(database.parent, sys.executable, "-c", "import duckdb, dlt, llm_spend.cli, llm_spend.load")
    parsed = _run(database.parent, *dbt, "--vars", settings, environment=environment)
    return imports.plus(parsed)


def quota_models(database: Path) -> tuple[Cost, Work]:
    """The models of the quotas on a built database: the whole command, and what of it the models took."""
    return _timed(database, "tests.benchmarks.models", str(database), *_QUOTA_MODELS)


def pricing_step(database: Path, side: str) -> Work:
    """The pricing step alone on a built database, `ours` or `by-hand`."""
    timed = _timed(database, "tests.benchmarks.pricing", side, str(database))
    work: Work = timed[1]
    return work


def load_pages(database: Path, address: str) -> Work:
    """Pages of a server, as one window of an API; the tables are there already."""
    return _timed(database, "tests.benchmarks.pages", "api", str(database), address)[1]


def load_same_file(database: Path, file: Path) -> Work:
    """The rows of those pages, from a file."""
    return _timed(database, "tests.benchmarks.pages", "file", str(database), str(file))[1]


def reference_load(database: Path, files: str) -> Cost:
    """DuckDB alone reading the files into one typed table of a new database."""
    return _timed(database, "tests.benchmarks.reference", "load", str(database), files)[0]


def reference_build(database: Path, source: Path) -> tuple[Cost, dict[str, Work]]:
    """The SQL by hand, and what each of its files took."""
    return _timed(database, "tests.benchmarks.reference", "build", str(database), str(source))


def _timed(database: Path, module: str, *arguments: str) -> tuple[Cost, Any]:
    cost = _run(database.parent, sys.executable, "-m", module, *arguments)
    return cost, json.loads(cost.output.splitlines()[-1])
