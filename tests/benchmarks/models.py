"""Builds some models of a built database again, one after the other, and prints what they took without dbt's start.

python -m tests.benchmarks.models DATABASE SELECTOR …
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from dbt.cli.main import dbtRunner

from llm_spend.build import dbt_variables
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError


@dataclass
class _Clock:
    """Adds up the time between the start and the end of models, the threads of DuckDB included."""

    models: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def on_event(self, event: Any) -> None:
        match event.info.name:
            case "NodeStart":
                self.wall_seconds -= monotonic()
                self.cpu_seconds -= process_time()
            case "NodeFinished":
                self.wall_seconds += monotonic()
                self.cpu_seconds += process_time()
                self.models += 1


def build(database: Path, selectors: list[str]) -> _Clock:
    """Build the selected models in full. Raises UserError when one fails or none is selected."""
    destination = DuckDb(database)
    project = str(destination.work_dir / "dbt_project")
    os.environ.update(destination.dbt_environment())
    clock = _Clock()
    arguments = ["run", "--quiet", "--full-refresh", "--threads", "1", "--select", *selectors]
    arguments += ["--project-dir", project, "--profiles-dir", project]
    arguments += ["--vars", dbt_variables(destination, "UTC")]
    result = dbtRunner(callbacks=[clock.on_event]).invoke(arguments)
    if not result.success or not clock.models:
        raise UserError(f"{' '.join(selectors)}: {clock.models} models, {result.exception or 'some failed'}")
    return clock


if __name__ == "__main__":
    clock = build(Path(sys.argv[1]), sys.argv[2:])
    print(json.dumps({"wall_seconds": clock.wall_seconds, "cpu_seconds": clock.cpu_seconds}))
