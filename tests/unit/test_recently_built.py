"""Which dates the tests of a build look at: those of a day, and only the newest when all others passed before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2
import pytest

from llm_spend import build as build_module
from llm_spend.build import build, project_dir
from llm_spend.build_record import Extent, LastBuild
from llm_spend.destinations import DuckDb

NEWEST, HOURS_AGO, DAYS_AGO = "2026-11-03 12:00:00", "2026-11-03 09:00:00", "2026-11-01 12:00:00"
VERSIONS = (NEWEST, HOURS_AGO, DAYS_AGO)
LAST_DAY = [NEWEST, HOURS_AGO]


def looked_at(severity: str, environment: dict[str, str]) -> list[str]:
    """When the dates were versioned that a test looks at."""
    macro = (project_dir() / "macros" / "tests" / "recently_built.sql").read_text(encoding="utf-8")
    condition = jinja2.Environment().from_string(macro + "{{ recently_built() }}")
    rendered = condition.render(
        ref=lambda name: name,
        flags=SimpleNamespace(FULL_REFRESH=False),
        execute=True,
        env_var=environment.get,
        model={"config": SimpleNamespace(severity=severity)},
        llm_spend=SimpleNamespace(constant_dates=lambda version: None),
        minutes_before=lambda moment, minutes: f"{moment} - interval {minutes} minute",
    )
    versions = ", ".join(
        f"(timestamp '{moment}', date '{moment[:10]}' - {index})" for index, moment in enumerate(VERSIONS)
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"create table int_usage_dates as from (values {versions}) as dates (versioned_at, usage_date)"
        )
        query = f"select versioned_at::varchar from int_usage_dates where {rendered} order by 1 desc"
        return [moment for (moment,) in connection.execute(query).fetchall()]


class Dbt:
    """What a build tells dbt."""

    def run(self, arguments: Any, project: Path, environment: dict[str, str], progress: Any) -> list[Any]:
        self.environment = environment
        return []

    def end(self) -> None:
        """As a process that is gone."""


@pytest.mark.parametrize(
    ("extent", "severity", "expected"),
    [
        (Extent.NEW_LOADS, "ERROR", [NEWEST]),
        (Extent.NEW_LOADS, "warn", LAST_DAY),
        (Extent.EVERYTHING, "ERROR", LAST_DAY),
    ],
)
def test_what_passed_before_is_not_tested_again(
    extent: Extent, severity: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, dbt = DuckDb(tmp_path / "spend.duckdb"), Dbt()
    destination.execute("create schema llm_spend_raw; create table llm_spend_raw.llm_spend__quarantine (file varchar)")
    monkeypatch.setattr(build_module, "last_build", lambda *_: LastBuild(extent, "1 1.5"))
    for name in ("bring_tables_up_to_date", "forget", "note"):
        monkeypatch.setattr(build_module, name, lambda *_: None)
    assert build(destination, dbt=dbt).ok  # type: ignore[arg-type]
    assert looked_at(severity, dbt.environment) == expected
