"""A history that is too long for one run of dbt is built in parts, and ends in the same tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_spend import build_runs
from llm_spend.build import BuildReport, build
from llm_spend.build_parts import Part
from llm_spend.dbt_process import DbtProcess, Result
from llm_spend.demo import run_demo
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.load import load_logs
from tests.conftest import Demo, load_sources, long, query
from tests.dbt.test_incremental import MAPPING, assert_same, write_log
from tests.few_prices import few_prices

pytestmark = pytest.mark.slow

DAYS = range(1, 9)
RULES = (
    "rule_set,rule_id,rule_order,evaluation,subject_type,subject,models,metadata_key,metadata_value,applies_per,"
    "unit,limit_to,valid_from,valid_to\n"
    "s,minute,1,all_match,team,ads,,,,,tokens_per_minute,{limit},2026-01-01,\n"
    "s,month,2,all_match,team,ads,,,,,cost_per_month,0.0005,2026-01-01,\n"
)


class Office:
    """Eight days of a log, and a database of them that takes all rows at once or ten."""

    def __init__(self, folder: Path, name: str, rows_at_once: int | None) -> None:
        self.seeds, self.database = folder / "seeds", folder / f"{name}.duckdb"
        self.destination = DuckDb(self.database)
        self.destination.rows_at_once = rows_at_once  # type: ignore[misc]  # of this one alone

    def load(self, logs: Path) -> None:
        load_logs("generic", str(logs), self.destination, mapping=MAPPING)

    def build(self, *, full_refresh: bool = False, test: bool = False) -> BuildReport:
        return build(self.destination, seeds=self.seeds, full_refresh=full_refresh, test=test)

    def dates(self) -> list[Any]:
        """Of the fact, with how many versions of teams there are."""
        return query(
            self.database,
            "select usage_date::varchar, count(*), min(team_id) from llm_spend.fct_llm_requests group by 1 order by 1",
        )


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Four requests a day; one moved from the second day to the sixth, one is there twice."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for day in DAYS:
        rows = [(f"{day}-{n}", f"2026-11-{day:02} 10:{n // 2:02}:00", 100 * n, "ads") for n in range(4)]
        write_log(folder, f"{day}.csv", rows)
    write_log(
        folder, "moved.csv", [("2-1", "2026-11-06 10:00:00", 900, "ads"), ("3-1", "2026-11-03 10:00:00", 7, "ads")]
    )
    return folder


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    folder.mkdir()
    write_seeds(folder, "squad", 300)
    return folder


def write_seeds(folder: Path, key: str, limit: int) -> None:
    (folder / "attribution_rules.csv").write_text(
        f"dimension,source_system,metadata_key,priority\nteam,InHouse,{key},1\n", encoding="utf-8"
    )
    (folder / "quota_rules.csv").write_text(RULES.format(limit=limit), encoding="utf-8")


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[list[Part]]:
    """The parts of each build that asked for them."""
    asked, found = build_runs.parts_to_build, []

    def noting(*arguments: Any) -> list[Part]:
        found.append(asked(*arguments))
        return found[-1]

    monkeypatch.setattr(build_runs, "parts_to_build", noting)
    return found


def test_parts_end_in_the_same_tables(
    tmp_path: Path, logs: Path, seeds: Path, parts: list[list[Part]], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, in_parts = Office(tmp_path, "at_once", None), Office(tmp_path, "in_parts", 10)
    for office in (at_once, in_parts):
        office.load(logs)
        assert office.build().ok
    assert [len(found) for found in parts] == [4], "two days in each"
    assert_same(in_parts.database, at_once.database)
    before = in_parts.dates()

    # Other owners and limits for all days; the third part can't be built.
    write_seeds(seeds, "no-such-key", 200)
    run, commands = DbtProcess.run, []

    def failing(self: DbtProcess, arguments: Any, project: Path, environment: Any, progress: Any) -> list[Result]:
        commands.append(environment["LLM_SPEND_PART"])
        if commands[-1].startswith("2026-11-05"):
            raise UserError("no room left")
        return run(self, arguments, project, environment, progress)

    monkeypatch.setattr(DbtProcess, "run", failing)
    with pytest.raises(UserError, match="no room left"):
        in_parts.build()
    half = in_parts.dates()
    assert [day for day, *_ in half] == [day for day, *_ in before], "what is not built yet stays"
    assert [row == was for row, was in zip(half, before, strict=True)] == [False] * 4 + [True] * 4
    monkeypatch.setattr(DbtProcess, "run", run)

    for office in (at_once, in_parts):
        assert office.build().ok
    assert_same(in_parts.database, at_once.database, but={"voided_at"})
    assert parts[-1][0].first.day == 5, "what the build before ended with is not built again"

    assert in_parts.build(full_refresh=True).ok
    assert len(parts[-1]) == 4
    assert_same(in_parts.database, at_once.database, but={"voided_at"})


@long
def test_a_few_new_rows_are_built_at_once(tmp_path: Path, logs: Path, seeds: Path, parts: list[list[Part]]) -> None:
    office = Office(tmp_path, "daily", 10)
    office.load(logs)
    assert office.build(test=True).ok
    write_log(logs, "late.csv", [("late", "2026-11-02 12:00:00", 5, "ads")])
    office.load(logs)
    assert office.build(test=True).ok
    assert len(parts) == 1, "of new loads only what they hold counts"


@long
def test_the_demo_in_parts(demo: Demo, tmp_path: Path, parts: list[list[Part]]) -> None:
    office = Office(tmp_path, "demo", 4_000)
    office.seeds = few_prices(tmp_path / "seeds", demo.seeds)
    load_sources(run_demo.sources(demo.folder), office.destination)
    assert office.build(test=True).ok
    assert len(parts[0]) > 3
    assert_same(office.database, demo.database, but={"pricing_basis"})
