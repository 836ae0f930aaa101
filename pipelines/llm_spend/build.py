"""Run dbt: in a working copy of the project, with the user's own seeds laid over it.

A copy, because an installed package is read-only, because dbt wants its seeds inside the project, and because two
databases must not share one `target/`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from llm_spend.destinations import Destination
from llm_spend.errors import UserError
from llm_spend.schema import QUARANTINE_TABLE
from llm_spend.seeds import find_seeds

_ROWS_SHOWN = 3
_NOT_COPIED = {"target", "logs", "dbt_packages", ".user.yml"}

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BuildReport:
    """What one build did: models built or, behind a failure, skipped; messages of models and tests."""

    models: int
    skipped: int
    tests: int
    failures: tuple[str, ...]
    failed_tests: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every model was built and every test of severity error passed."""
        return not self.failures and not self.failed_tests and not self.skipped


def project_dir() -> Path:
    """The dbt project: in the installed package, or in the checkout it runs from."""
    here = Path(__file__).resolve().parent
    for candidate in (here / "dbt_project", here.parents[1] / "dbt_project"):
        if (candidate / "dbt_project.yml").exists():
            return candidate
    raise UserError("The dbt project is missing from this installation.", "Install llm-spend again.")


def build(
    destination: Destination,
    *,
    seeds: Path | None = None,
    full_refresh: bool = False,
    threads: int = 2,
    test: bool = True,
    progress: Progress = lambda done, total, name: None,
) -> BuildReport:
    """Seed, build and test everything. Raises UserError when nothing was loaded or dbt itself can't run.

    Unit tests are left out: they test the models on made-up rows, which the package's own checks do.
    """
    schemas = destination.schemas
    if QUARANTINE_TABLE not in destination.tables(schemas.raw):
        raise UserError(f"Nothing was loaded into {destination.label} yet.", "Run `llm-spend load` first.")
    started = monotonic()
    project = prepare_project(destination.work_dir, seeds)
    arguments = [sys.executable, "-m", "dbt.cli.main", "--log-format", "json", "build"]
    arguments += ["--project-dir", str(project), "--profiles-dir", str(project)]
    arguments += ["--vars", json.dumps({"llm_spend_raw_schema": schemas.raw})]
    arguments += ["--exclude-resource-type", "unit_test", *([] if test else ["test"])]
    arguments += ["--full-refresh"] if full_refresh else []
    environment = {**os.environ, **destination.dbt_environment(), "LLM_SPEND_THREADS": str(threads)}
    messages = _run(arguments, project, environment, progress)
    results = _results(project)
    if results is None:
        raise UserError(f"dbt could not start: {messages[-1] if messages else 'it said nothing'}")
    return _report(results, destination, monotonic() - started)


def prepare_project(folder: Path, seeds: Path | None) -> Path:
    """Bring the working copy up to date and lay the user's seeds over it. Only files that differ are written."""
    source, project = project_dir(), folder / "dbt_project"
    wanted = {path.relative_to(source): path.read_bytes() for path in _project_files(source)}
    if seeds is not None:
        wanted |= find_seeds(seeds, source)
    for relative, content in wanted.items():
        target = project / relative
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    for path in list(_project_files(project)):
        if path.relative_to(project) not in wanted:
            path.unlink()
    return project


def _project_files(project: Path) -> Iterator[Path]:
    for path in project.rglob("*"):
        if path.is_file() and not _NOT_COPIED & set(path.relative_to(project).parts):
            yield path


def _run(arguments: list[str], project: Path, environment: dict[str, str], progress: Progress) -> list[str]:
    """Run dbt, report each finished node, return its error messages."""
    (project / "target" / "run_results.json").unlink(missing_ok=True)
    messages: list[str] = []
    with subprocess.Popen(
        arguments, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                messages.append(line.strip())
                continue
            info, data = event.get("info", {}), event.get("data", {})
            if info.get("level") == "error":
                messages.append(str(info.get("msg", "")).strip())
            if "index" in data and "total" in data:
                name = (data.get("node_info") or {}).get("node_name", "")
                progress(int(data["index"]), int(data["total"]), str(name))
    return [message for message in messages if message]


def _results(project: Path) -> list[dict[str, Any]] | None:
    path = project / "target" / "run_results.json"
    if not path.exists():
        return None
    results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["results"]
    return results


def _report(results: list[dict[str, Any]], destination: Destination, seconds: float) -> BuildReport:
    tests = [result for result in results if _kind(result) == "test"]
    failed = [result for result in tests if result["status"] in ("fail", "error")]
    warned = [result for result in tests if result["status"] == "warn"]
    return BuildReport(
        models=sum(1 for r in results if _kind(r) == "model" and r["status"] == "success"),
        skipped=sum(1 for r in results if _kind(r) == "model" and r["status"] == "skipped"),
        tests=len(tests) - len(failed) - sum(1 for r in tests if r["status"] == "skipped"),
        failures=tuple(_message(r) for r in results if r not in tests and r["status"] == "error"),
        failed_tests=tuple(_message(r) + _offending_rows(r, destination) for r in failed),
        warnings=tuple(_message(r) + _offending_rows(r, destination) for r in warned),
        seconds=seconds,
    )


def _kind(result: dict[str, Any]) -> str:
    return str(result["unique_id"]).split(".", 1)[0]


def _message(result: dict[str, Any]) -> str:
    name = str(result["unique_id"]).split(".")[2]
    return f"{name}: {str(result.get('message') or result['status']).strip()}"


def _offending_rows(result: dict[str, Any], destination: Destination) -> str:
    """The first rows that a test found, since dbt only counts them; '' when the test itself could not run."""
    if result["status"] == "error" or not result.get("compiled_code"):
        return ""
    # A test may not end in a semicolon, but it may end in a comment.
    with destination.reading() as connection:
        names, rows = connection.table(f"select * from (\n{result['compiled_code']}\n) as failing limit {_ROWS_SHOWN}")
    return "".join(
        "\n  " + ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in rows
    )
