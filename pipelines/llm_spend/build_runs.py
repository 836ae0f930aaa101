"""The runs of dbt that a build is made of: one, or several where a run must know what the one before found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from llm_spend.build_constants import FINDS_DATES, can_be_asked, in_environment, new_loads, stale_dates
from llm_spend.build_parts import TABLES_BY_DATE, environment_of, parts_to_build
from llm_spend.dbt_process import DbtProcess, Progress, Result
from llm_spend.destinations import Destination

_UNKNOWN: Mapping[str, str] = {**in_environment({}), **environment_of(None)}
"""To a run that is told nothing: dbt finds out itself what to build, and builds all of it."""
_LEFT_OUT: Result = {
    "unique_id": "model.llm_spend.what follows",
    "status": "error",
    "message": "not built, because of what failed",
}


@dataclass(frozen=True)
class Selection:
    """What dbt builds: `select`, all when it is empty; of that only what is `within`, when given; without `exclude`."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """For dbt. A test is left out with its tables only when all of them are: `empty` has that meaning."""
        if self.within:
            select = tuple(f"{name},{limit}" for name in self.select for limit in self.within) or self.within
        else:
            select = self.select
        found = ["--select", *select] if select else []
        found += ["--exclude", *self.exclude] if self.exclude else []
        return [*found, "--indirect-selection", "empty"] if found else []

    def up_to(self, model: str) -> Selection:
        """Of these what the model is made of, and it."""
        return self.only(f"+{model}")

    def only(self, *within: str) -> Selection:
        """Of these what dbt's selectors find."""
        return replace(self, within=within)

    def after(self, model: str) -> Selection:
        """The rest."""
        return replace(self, exclude=(*self.exclude, f"+{model}"))


@dataclass(frozen=True)
class Runs:
    """Runs of dbt as a build was asked for; `replace` gives others."""

    process: DbtProcess
    project: Path
    arguments: Sequence[str]
    environment: Mapping[str, str]
    progress: Progress
    test: bool
    full_refresh: bool

    def run(self, selection: Selection, known: Mapping[str, str] = _UNKNOWN) -> list[Result]:
        """Build what is selected. `known`: the environment variables that tell macros what was found before."""
        command = [*self.arguments, "--exclude-resource-type", "unit_test", *([] if self.test else ["test"])]
        command += ["--full-refresh"] if self.full_refresh else []
        # All of them, always: a dbt process keeps the environment of its last command.
        environment = {**self.environment, **_UNKNOWN, **known}
        return self.process.run([*command, *selection.arguments()], self.project, environment, self.progress)


def run_all(
    runs: Runs, selection: Selection, destination: Destination, now: datetime, *, in_parts: bool
) -> list[Result]:
    """Build a selection in as many runs as it takes. Returns what each model and test ended with.

    `now`: when the build began, in UTC; `in_parts`: whether there may be more than one run can hold.
    """
    if destination.prunes_by_constants and not runs.full_refresh and can_be_asked(destination):
        return _in_two_runs(runs, selection, destination)
    if in_parts:
        return _in_parts(runs, selection, destination, now)
    return runs.run(selection)


def _in_two_runs(runs: Runs, selection: Selection, destination: Destination) -> list[Result]:
    """Find the dates to build in new loads, then build with them as constants: see build_constants.py."""
    found = runs.run(selection.up_to(FINDS_DATES), in_environment(new_loads(destination)))
    if _failed(found):
        return [*found, _LEFT_OUT]
    return found + runs.run(selection.after(FINDS_DATES), in_environment(stale_dates(destination)))


def _in_parts(runs: Runs, selection: Selection, destination: Destination, now: datetime) -> list[Result]:
    """Find the dates to build, build the tables by date for a part of them at a time, then the rest: build_parts.py."""
    found = runs.run(selection.up_to(FINDS_DATES))
    if _failed(found):
        return [*found, _LEFT_OUT]
    # dbt keeps a DuckDB file open, and nobody else could ask it.
    runs.process.restart()
    rest, parts = selection.after(FINDS_DATES), parts_to_build(destination, now)
    for part in parts:
        is_first = part is parts[0]
        # With what they are made of, and all seeds, whose columns may have changed: the last run makes no table anew.
        of_part = rest.only(f"+{TABLES_BY_DATE}", "resource_type:seed") if is_first else rest.only(TABLES_BY_DATE)
        runs_of_part = replace(runs, test=False, full_refresh=runs.full_refresh and is_first)
        built = runs_of_part.run(of_part, environment_of(part))
        if _failed(built):
            return [*found, *built, _LEFT_OUT]
    return found + replace(runs, full_refresh=runs.full_refresh and not parts).run(rest)


def _failed(results: list[Result]) -> bool:
    return any(result["status"] in ("error", "fail", "skipped") for result in results)
