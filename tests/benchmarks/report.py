"""The page about performance and the JSON beside it: nothing on them is written by hand."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

import psutil

from llm_spend.settings import MEMORY_LIMIT
from tests.benchmarks.data import DAYS, LATE_SHARE, DataSet
from tests.benchmarks.measure import Cost
from tests.benchmarks.pairs import Measured

GIB = 1024**3


@dataclass(frozen=True)
class Goal:
    """One line of the table: the cost of `ours` over that of `other`, at most `limit`."""

    work: str
    ours: str
    other: str
    beside: str
    limit: float
    wall_limit: float | None = None

    def ratio(self, measured: Measured, side: str) -> float:
        """The median of the ratios of each round; `side` is `cpu_seconds` or `wall_seconds`."""
        pairs = zip(measured.costs[self.ours], measured.costs[self.other], strict=True)
        return median(getattr(ours, side) / getattr(other, side) for ours, other in pairs)


GOALS = (
    Goal("load", "load", "load by DuckDB", "DuckDB reading the files into one typed table", 1.25, 1.3),
    Goal("first build, without data tests", "build", "build by hand", "SQL by hand", 1.5),
    Goal("pricing step", "pricing", "pricing by hand", "the same join by hand in one query", 1.5),
    Goal("quota windows", "quotas", "quotas by hand", "SQL by hand", 1.5),
    Goal("one new day, `run`", "new day", "first run", "the first `run`", 0.05),
    Goal("late rows of three old days, `run`", "late rows", "new day", "one new day", 3),
)
NOTHING_NEW_SECONDS = 15
MEMORY_GIB = 4
PAGED_ROWS_A_SECOND = 20_000

# What pairs.growth runs for each size.
_GROWN = ("load", "build with tests", "new day")


def document(data: DataSet, lines: int, measured: Measured, growth: Mapping[int, Measured]) -> dict[str, Any]:
    """All that the page says and what it was worked out from; `lines` are those of the log files."""
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "requests": data.requests,
        "days": DAYS,
        "lines": lines,
        "log_bytes": sum(file.stat().st_size for file in data.history),
        "rounds": len(measured.costs["load"]),
        "machine": machine(),
        "memory_limit": MEMORY_LIMIT,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("duckdb", "dlt", "dbt-core", "dbt-duckdb")},
        "goals": [_goal(goal, measured) for goal in GOALS],
        "nothing_new_wall_seconds": _median(measured, "nothing new").wall_seconds,
        "peak_gib": max(cost.peak_bytes for each in _ours(measured, growth) for cost in each) / GIB,
        "pages": _pages(measured),
        "runs": {name: [_numbers(cost) for cost in costs] for name, costs in measured.costs.items()},
        "growth": {
            requests: {name: _numbers(costs[0]) for name, costs in each.costs.items()}
            for requests, each in growth.items()
        },
    }


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / GIB),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _goal(goal: Goal, measured: Measured) -> dict[str, Any]:
    cpu, wall = goal.ratio(measured, "cpu_seconds"), goal.ratio(measured, "wall_seconds")
    return {
        "work": goal.work,
        "beside": goal.beside,
        "ours": _numbers(_median(measured, goal.ours)),
        "other": _numbers(_median(measured, goal.other)),
        "cpu_ratio": round(cpu, 3),
        "wall_ratio": round(wall, 3),
        "cpu_limit": goal.limit,
        "wall_limit": goal.wall_limit,
        "met": cpu <= goal.limit and (goal.wall_limit is None or wall <= goal.wall_limit),
    }


def _pages(measured: Measured) -> dict[str, Any]:
    """Loading pages from a server on the same machine: rows a second, and the cost over that of the same file."""
    goal = Goal("", "pages of an API", "pages as a file", "", 1)
    return {
        "rows": measured.page_rows,
        "rows_a_second": round(measured.page_rows / _median(measured, goal.ours).wall_seconds),
        "cpu_ratio": round(goal.ratio(measured, "cpu_seconds"), 3),
    }


def _ours(measured: Measured, growth: Mapping[int, Measured]) -> list[list[Cost]]:
    return [
        costs
        for each in (measured, *growth.values())
        for name, costs in each.costs.items()
        if not name.endswith(("by hand", "by DuckDB"))
    ]


def _median(measured: Measured, name: str) -> Cost:
    costs = measured.costs[name]
    return Cost(
        median(cost.wall_seconds for cost in costs),
        median(cost.cpu_seconds for cost in costs),
        max(cost.peak_bytes for cost in costs),
    )


def _numbers(cost: Cost) -> dict[str, float]:
    return {
        "wall_seconds": round(cost.wall_seconds, 2),
        "cpu_seconds": round(cost.cpu_seconds, 2),
        "peak_gib": round(cost.peak_bytes / GIB, 2),
    }


def page(found: Mapping[str, Any]) -> str:
    """The page, from what `document` found."""
    runs = {name: _of_rounds(rounds) for name, rounds in found["runs"].items()}
    return "\n".join(
        [
            "# Performance",
            "",
            "<!-- Written by `make bench`: change tests/benchmarks/report.py instead. -->",
            "",
            *_what(found),
            "",
            "## Against the goals",
            "",
            "| work | beside | ours, CPU s | beside, CPU s | CPU ratio | wall ratio | goal | |",
            "|---|---|--:|--:|--:|--:|---|---|",
            *[_goal_line(goal) for goal in found["goals"]],
            "",
            *_absolute(found, runs),
            "",
            "## What a command takes",
            "",
            "Median of the rounds; memory is the highest of them, over all processes of the command.",
            "",
            "| command | CPU s | wall s | peak GiB |",
            "|---|--:|--:|--:|",
            *[_command_line(label, runs[name]) for name, label in COMMANDS.items() if name in runs],
            "",
            *_growth(found),
            *_again(),
        ]
    )


COMMANDS = {
    "load": "`llm-spend load`",
    "load by DuckDB": "DuckDB's `read_json` of the same files",
    "pages of an API": "loading pages of an API, without the start",
    "pages as a file": "loading the same rows from a file, without the start",
    "build": "first build, tables only",
    "build with tests": "first `llm-spend build`, with data tests",
    "build by hand": "the same tables by hand",
    "first run": "first `llm-spend run`",
    "new day": "`llm-spend run`, one new day",
    "late rows": "`llm-spend run`, late rows of three old days",
    "nothing new": "`llm-spend run`, nothing new",
    "start": "of each other `run`: Python, dlt and dbt start",
}


def _what(found: Mapping[str, Any]) -> list[str]:
    where, versions = found["machine"], found["versions"]
    used = ", ".join(f"{name} {number}" for name, number in versions.items())
    return [
        _text(
            "How much `llm-spend` costs beside DuckDB alone, and beside the same tables made by hand in SQL.",
            f"Measured on {found['measured_on']} with {found['requests']:,} requests of {found['days']} days:",
            f"{found['lines']:,} lines, {found['log_bytes'] / 1e6:,.0f} MB of Portkey logs (`.jsonl.gz`), made by the",
            "demo generator with its duplicates and broken lines.",
        ),
        "",
        _text(
            f"{where['cores']} cores ({where['cpu']}), {where['memory_gib']} GiB, {where['system']}; {used}. DuckDB's",
            f"memory limit is {found['memory_limit']}, and 4GB by hand. {_rounds(found['rounds'])}.",
            "CPU seconds are user and system time of all processes of a command: trust them more than wall time, which",
            "other work on the machine makes longer.",
        ),
        "",
        _text(
            "Both sides of the first round were compared before any figure was written: every public table has the",
            "same rows, columns and types, and every line that was loaded the same values.",
        ),
    ]


def _text(*parts: str) -> str:
    return fill(" ".join(parts), 120, break_long_words=False, break_on_hyphens=False)


def _rounds(number: int) -> str:
    return f"Medians of {number} rounds, in which both sides ran in turns" if number > 1 else "One run of each side"


def _goal_line(goal: Mapping[str, Any]) -> str:
    is_share = goal["cpu_limit"] < 1
    limit = f"CPU ≤ {_ratio(goal['cpu_limit'], is_share)}"
    if goal["wall_limit"]:
        limit += f", wall ≤ {_ratio(goal['wall_limit'], is_share)}"
    cells = [
        goal["work"],
        goal["beside"],
        _seconds(goal["ours"]["cpu_seconds"]),
        _seconds(goal["other"]["cpu_seconds"]),
        _ratio(goal["cpu_ratio"], is_share),
        _ratio(goal["wall_ratio"], is_share),
        limit,
        "met" if goal["met"] else "**missed**",
    ]
    return f"| {' | '.join(cells)} |"


def _absolute(found: Mapping[str, Any], runs: Mapping[str, Mapping[str, float]]) -> list[str]:
    wall, peak = found["nothing_new_wall_seconds"], found["peak_gib"]
    return [
        "| | measured | goal | |",
        "|---|--:|---|---|",
        f"| `run` with nothing new, on the day of the last build | {wall:.1f} s; dlt and dbt, which other runs start in"
        f" {runs['start']['wall_seconds']:.1f} s, stay out of it | < {NOTHING_NEW_SECONDS} s"
        f" | {_met(wall < NOTHING_NEW_SECONDS)} |",
        f"| highest memory of any command | {peak:.2f} GiB | ≤ {MEMORY_GIB} GiB | {_met(peak <= MEMORY_GIB)} |",
        *_pages_line(found),
        "",
        _text(
            f"A new day is a sixtieth of the requests, on the day after the others. Late rows are {LATE_SHARE:.0%} of",
            "a day on each of three old days, which are built again. Quota windows are those of eight rules, by",
            "minute, hour and day, over all requests; their models are timed without the start of dbt.",
        ),
    ]


def _pages_line(found: Mapping[str, Any]) -> list[str]:
    if "pages" not in found:  # figures of before there were API sources
        return []
    rows, speed, ratio = (found["pages"][name] for name in ("rows", "rows_a_second", "cpu_ratio"))
    return [
        f"| {rows:,} rows from pages of an API on the same machine, fetched, typed and written | {speed:,} rows/s;"
        f" {_ratio(ratio, False)} × the CPU time of the same rows in a file | ≥ {PAGED_ROWS_A_SECOND:,} rows/s"
        f" | {_met(speed >= PAGED_ROWS_A_SECOND)} |"
    ]


def _command_line(label: str, cost: Mapping[str, float]) -> str:
    cpu, wall = _seconds(cost["cpu_seconds"]), _seconds(cost["wall_seconds"])
    return f"| {label} | {cpu} | {wall} | {cost['peak_gib']:.2f} |"


def _growth(found: Mapping[str, Any]) -> list[str]:
    if not found["growth"]:
        return []
    lines = [
        "## Growth",
        "",
        _text(
            "CPU seconds, and in brackets CPU seconds a million requests; one run of each other size. The start of",
            "Python, dlt and dbt is in all of them, so small sizes look dear: what a further million adds counts.",
        ),
        "",
        "| requests | load | first build, with data tests | one new day | peak GiB |",
        "|--:|--:|--:|--:|--:|",
    ]
    # The size of the pairs above is not run again.
    sizes = {
        **found["growth"],
        str(found["requests"]): {name: _of_rounds(runs) for name, runs in found["runs"].items()},
    }
    for requests, costs in sorted(sizes.items(), key=lambda size: int(size[0])):
        cells = [f"{int(requests):,}"]
        for name in _GROWN:
            cpu = costs[name]["cpu_seconds"]
            cells.append(f"{_seconds(cpu)} ({_seconds(cpu / int(requests) * 1e6)})")
        cells.append(f"{max(costs[name]['peak_gib'] for name in _GROWN):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _again() -> list[str]:
    return [
        "## Run it again",
        "",
        "```console",
        "$ make bench                                     # 1 million requests",
        '$ make bench BENCH="--requests 10_000_000"       # or 30_000_000',
        "```",
        "",
        _text(
            "It writes this page and `performance.json`, which has every single run. The SQL by hand is in",
            "`tests/benchmarks/reference/`.",
        ),
        "",
    ]


def _of_rounds(rounds: list[dict[str, float]]) -> dict[str, float]:
    cost = {name: median(each[name] for each in rounds) for name in ("wall_seconds", "cpu_seconds")}
    return {**cost, "peak_gib": max(each["peak_gib"] for each in rounds)}


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _ratio(value: float, is_share: bool) -> str:
    return f"{value:.1%}" if is_share else f"{value:.2f}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def write(found: Mapping[str, Any], place: Path) -> None:
    """`place`.json and `place`.md."""
    text = json.dumps(found, indent=2, ensure_ascii=False)
    place.with_suffix(".json").write_text(f"{text}\n", encoding="utf-8")
    place.with_suffix(".md").write_text(page(json.loads(text)), encoding="utf-8")
