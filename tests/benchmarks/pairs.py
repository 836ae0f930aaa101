"""The runs that are compared: what is prepared for each, what is timed, and in which order.

Both sides of a pair run in every round, in turns: first one side begins, then the other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llm_spend.destinations import DuckDb
from tests.benchmarks import commands, pages, pricing
from tests.benchmarks.commands import Work
from tests.benchmarks.compare import differences, load_differences
from tests.benchmarks.data import DataSet, deliver, prepare
from tests.benchmarks.measure import Cost

Say = Callable[[str], None]

# The same wherever it lies: views name their database.
_BUILT = "spend.duckdb"


@dataclass
class Measured:
    """Costs by name, one a round. `page_rows`: how many rows the pages of the API had."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    page_rows: int = 0

    def add(self, name: str, cost: Cost | Work) -> None:
        """Note one run. A part of a command (Work) has no memory of its own."""
        if isinstance(cost, dict):
            cost = Cost(cost["wall_seconds"], cost["cpu_seconds"], 0)
        self.costs.setdefault(name, []).append(cost)


class NotEqualError(Exception):
    """Both sides of a pair do not give the same rows: nothing can be compared."""


@dataclass(frozen=True)
class Sides:
    """Databases of both sides: `loaded` holds raw tables only, `built` all; the reference has a file for each."""

    folder: Path

    @property
    def loaded(self) -> Path:
        return self.folder / "loaded.duckdb"

    @property
    def built(self) -> Path:
        return self.folder / _BUILT

    @property
    def reference_loaded(self) -> Path:
        return self.folder / "reference-loaded.duckdb"

    @property
    def reference_built(self) -> Path:
        return self.folder / "reference-built.duckdb"

    @property
    def rows_of_pages(self) -> Path:
        return self.folder / "pages.jsonl"


def make_both(data: DataSet, folder: Path) -> Sides:
    """Both sides of one data set, as a round makes them."""
    sides, measured = Sides(_fresh(folder / "kept")), Measured()
    for work in _TABLES:
        work(_Round(data, _fresh(folder / "round"), sides, measured))
    return sides


def make_pages(data: DataSet, sides: Sides) -> int:
    """Write the rows that an API gives page by page; how many."""
    return pages.write_rows(data, sides.rows_of_pages)


def check_pages(sides: Sides) -> None:
    """Load the pages and the same rows as a file, untimed. Raises NotEqualError with what differs."""
    paged, file = sides.folder / "paged.duckdb", sides.folder / "file.duckdb"
    with pages.serving(sides.rows_of_pages) as address:
        commands.load_pages(paged, address)
    commands.load_same_file(file, sides.rows_of_pages)
    if found := pages.differences(paged, file):
        raise NotEqualError("\n".join(found))
    paged.unlink()
    file.unlink()


def check(sides: Sides) -> None:
    """Raises NotEqualError with what differs between both sides."""
    found = load_differences(sides.loaded, sides.reference_loaded) + differences(sides.built, sides.reference_built)
    found += pricing.differences(sides.built)
    if found:
        raise NotEqualError("\n".join(found))


def measure(data: DataSet, folder: Path, rounds: int, say: Say) -> Iterator[Measured]:
    """Time every pair on one data set, `rounds` times; yields what is known after each. Raises NotEqualError.

    The databases of the first round are kept: both sides of them are compared before any figure is known.
    """
    measured, sides = Measured(), Sides(_fresh(folder / "kept"))
    measured.page_rows = make_pages(data, sides)
    check_pages(sides)
    for number in range(rounds):
        say(f"{data.requests:,} requests: round {number + 1} of {rounds}")
        turn = slice(None, None, 1 if number % 2 == 0 else -1)
        for work in (
            *(_our_load, _reference_load)[turn],
            *(_pages, _same_file)[turn],
            *(_our_build, _reference_build)[turn],
            *(_our_pricing, _reference_pricing)[turn],
        ):
            work(_Round(data, _fresh(folder / "round"), sides, measured))
        if not number:
            say(f"{data.requests:,} requests: checking that both sides gave equal rows")
            check(sides)
            # For the growth curve, of whose other sizes there is one run too.
            _build_with_tests(_Round(data, _fresh(folder / "round"), sides, measured))
        _runs(_Round(data, _fresh(folder / "round"), sides, measured))
        yield measured
    shutil.rmtree(folder, ignore_errors=True)


def growth(folder: Path, sizes: Sequence[int], say: Say) -> Iterator[tuple[int, Measured]]:
    """The first load, the first build with its data tests, and one new day: once for each size."""
    for requests in sizes:
        say(f"growth: {requests:,} requests")
        data = prepare(folder, requests)
        place = _fresh(folder / "growth")
        inbox, database, measured = place / "inbox", place / "spend.duckdb", Measured()
        deliver(data.history, inbox)
        measured.add("load", commands.load(database, f"{inbox}/*"))
        measured.add("build with tests", commands.build(database, data))
        deliver([data.new_day], inbox)
        measured.add("new day", commands.run(database, f"{inbox}/*", data))
        yield requests, measured
        shutil.rmtree(place)


@dataclass
class _Round:
    """One part of a round, with an empty folder of its own."""

    data: DataSet
    folder: Path
    sides: Sides
    measured: Measured

    @property
    def database(self) -> Path:
        return self.folder / _BUILT


def _fresh(folder: Path) -> Path:
    """An empty folder. What was written before reaches the disk now, and not while something is timed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    return folder


def _our_load(part: _Round) -> None:
    part.measured.add("load", commands.load(part.database, part.data.history_glob))
    _keep(part.database, part.sides.loaded)


def _reference_load(part: _Round) -> None:
    part.measured.add("load by DuckDB", commands.reference_load(part.database, part.data.history_glob))
    _keep(part.database, part.sides.reference_loaded)


def _pages(part: _Round) -> None:
    with pages.serving(part.sides.rows_of_pages) as address:
        part.measured.add("pages of an API", commands.load_pages(part.database, address))


def _same_file(part: _Round) -> None:
    part.measured.add("pages as a file", commands.load_same_file(part.database, part.sides.rows_of_pages))


def _our_build(part: _Round) -> None:
    _copy(part.sides.loaded, part.database)
    part.measured.add("build", commands.build_without_tests(part.database, part.data))
    _, quotas = commands.quota_models(part.database)
    part.measured.add("quotas", quotas)
    _keep(part.database, part.sides.built)


def _reference_build(part: _Round) -> None:
    cost, steps = commands.reference_build(part.database, part.sides.built)
    part.measured.add("build by hand", cost)
    part.measured.add("quotas by hand", steps["quotas"])
    _keep(part.database, part.sides.reference_built)


def _our_pricing(part: _Round) -> None:
    part.measured.add("pricing", commands.pricing_step(part.sides.built, "ours"))


def _reference_pricing(part: _Round) -> None:
    part.measured.add("pricing by hand", commands.pricing_step(part.sides.built, "by-hand"))


def _build_with_tests(part: _Round) -> None:
    _copy(part.sides.loaded, part.database)
    part.measured.add("build with tests", commands.build(part.database, part.data))


def _runs(part: _Round) -> None:
    """The life of an installation: the first run, a new day, nothing new, late rows."""
    inbox = part.folder / "inbox"
    deliver(part.data.history, inbox)
    for name, files in {
        "first run": [],
        "new day": [part.data.new_day],
        "nothing new": [],
        "late rows": [part.data.late_rows],
    }.items():
        deliver(files, inbox)
        os.sync()
        part.measured.add(name, commands.run(part.database, f"{inbox}/*", part.data))
    part.measured.add("start", commands.start(part.database))


def _keep(database: Path, kept: Path) -> None:
    """Of the first round, for the check and for what follows, with the project that built it."""
    if not kept.exists():
        database.rename(kept)
        where = DuckDb(kept).work_dir
        where.parent.mkdir(exist_ok=True)
        if (found := DuckDb(database).work_dir).exists():
            found.rename(where)


def _copy(source: Path, target: Path) -> None:
    shutil.copy(source, target)
    os.sync()


_TABLES = (_our_load, _reference_load, _our_build, _reference_build, _our_pricing, _reference_pricing)
