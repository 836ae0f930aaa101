"""Run dbt: in a working copy of the project, with the user's own seeds laid over it.

A copy, because an installed package is read-only, because dbt wants its seeds inside the project, and because two
databases must not share one `target/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic

from llm_spend.build_constants import note_built
from llm_spend.build_parts import may_need_parts
from llm_spend.build_record import Extent, forget, last_build, note
from llm_spend.build_runs import Runs, Selection, run_all
from llm_spend.dbt_process import DbtProcess, Progress, Result
from llm_spend.destinations import Destination
from llm_spend.errors import UserError
from llm_spend.load import bring_tables_up_to_date
from llm_spend.schema import QUARANTINE_TABLE
from llm_spend.seeds import find_seeds

_ROWS_SHOWN = 3
_NOT_COPIED = {"target", "logs", "dbt_packages", ".user.yml"}
_SECRET = "DBT_ENV_SECRET"
_REST_IS_TESTED = "LLM_SPEND_REST_IS_TESTED"


# What follows from loads, its tests included. Tests that warn only know seeds as well: a build repeats what they say.
_SELECTION: Mapping[Extent, Selection] = {
    Extent.EVERYTHING: Selection(),
    Extent.NEW_LOADS: Selection(("source:*+", "config.severity:warn"), ("config.materialized:view",)),
}


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
    nothing_new_since: str | None = None
    """When what is there was built, in UTC, if this build had nothing to add to it."""

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
    billing_timezone: str = "UTC",
    test: bool = True,
    select: tuple[str, ...] = (),
    progress: Progress = lambda done, total, name: None,
    told: Callable[[Result], None] = lambda result: None,
    dbt: DbtProcess | None = None,
) -> BuildReport:
    """Seed, build and test what can have changed since the last build that passed. `dbt` is one started before.

    `select`: only these models, seeds and tests, whether they changed or not; the next build then does everything.
    `told` is given what dbt says of each of them at the end.

    Raises UserError when nothing was loaded or dbt itself can't run. Unit tests are left out: they test the models
    on made-up rows, which the package's own checks do.
    """
    schemas = destination.schemas
    if QUARANTINE_TABLE not in destination.tables(schemas.raw):
        raise UserError(f"Nothing was loaded into {destination.label} yet.", "Run `llm-spend load` first.")
    started, now = monotonic(), datetime.now(UTC)
    project = prepare_project(destination.work_dir, seeds)
    variables = dbt_variables(destination, billing_timezone)
    environment = destination.dbt_environment()
    fingerprint = project_fingerprint(project, variables, environment)
    last = last_build(destination, fingerprint, now)
    extent = Extent.EVERYTHING if full_refresh or select or not test else last.extent
    if extent is Extent.NOTHING:
        return BuildReport(0, 0, 0, (), (), last.warnings, monotonic() - started, last.built_at)
    bring_tables_up_to_date(destination)
    forget(destination)
    arguments = ["--write-json" if extent is Extent.EVERYTHING else "--no-write-json", "build"]
    arguments += ["--project-dir", str(project), "--profiles-dir", str(project), "--vars", variables]
    environment = {**environment, "LLM_SPEND_THREADS": str(threads)}
    # Always said: a dbt process keeps the environment of its last command.
    environment |= {_REST_IS_TESTED: "yes" if extent is Extent.NEW_LOADS else ""}
    selection = Selection(select) if select else _SELECTION[extent]
    in_parts = not select and may_need_parts(destination, extent)
    with nullcontext(dbt) if dbt else DbtProcess(destination.name) as process:
        runs = Runs(process, project, arguments, environment, progress, test=test, full_refresh=full_refresh)
        results = run_all(runs, selection, destination, now, in_parts=in_parts)
        process.end()
    for result in results:
        told(result)
    report = _report(results, destination, monotonic() - started)
    if report.ok and destination.prunes_by_constants and not select:
        note_built(destination)
    if report.ok and test and not select:
        note(destination, fingerprint, last.loads, now, report.warnings)
    return report


def project_fingerprint(project: Path, variables: str, environment: Mapping[str, str]) -> str:
    """Of all that tables follow from, except what was loaded: files, variables, and which database they are in."""
    place = {name: value for name, value in environment.items() if not name.startswith(_SECRET)}
    found = sha256(json.dumps([variables, place], sort_keys=True).encode())
    for path in sorted(_project_files(project)):
        content = path.read_bytes()
        found.update(f"{path.relative_to(project).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def dbt_variables(destination: Destination, billing_timezone: str) -> str:
    """What dbt is told besides the project, as JSON."""
    return json.dumps({"llm_spend_raw_schema": destination.schemas.raw, "llm_spend_billing_timezone": billing_timezone})


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


def _report(results: list[Result], destination: Destination, seconds: float) -> BuildReport:
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


def _kind(result: Result) -> str:
    return str(result["unique_id"]).split(".", 1)[0]


def _message(result: Result) -> str:
    name = str(result["unique_id"]).split(".")[2]
    return f"{name}: {str(result.get('message') or result['status']).strip()}"


def _offending_rows(result: Result, destination: Destination) -> str:
    """The first rows that a test found, since dbt only counts them; '' when the test itself could not run."""
    if result["status"] == "error" or not result.get("compiled_code"):
        return ""
    # A test may not end in a semicolon, but it may end in a comment.
    with destination.reading() as connection:
        names, rows = connection.table(f"select * from (\n{result['compiled_code']}\n) as failing limit {_ROWS_SHOWN}")
    return "".join(
        "\n  " + ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in rows
    )
