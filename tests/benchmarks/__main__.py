"""`make bench`: measures, and writes docs/performance.md with performance.json beside it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb

from tests.benchmarks import pairs, report
from tests.benchmarks.commands import CHECKOUT
from tests.benchmarks.data import DataSet, prepare

GROWTH = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)


def main(arguments: list[str]) -> None:
    """Measure, and write what is known after each round and size. Raises NotEqualError when two sides differ."""
    options = _options(arguments)
    folder = options.folder.absolute()
    data = prepare(folder, options.requests)
    lines = _lines(data)
    grown: dict[int, pairs.Measured] = {}
    for measured in pairs.measure(data, folder / "work", options.rounds, _say):
        report.write(report.document(data, lines, measured, grown), options.out)
    sizes = [size for size in GROWTH if size < options.requests] if options.growth is None else options.growth
    for size, found in pairs.growth(folder, sizes, _say):
        grown[size] = found
        report.write(report.document(data, lines, measured, grown), options.out)
    _say(f"wrote {options.out.with_suffix('.md')}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="size of the data set, such as 10_000_000")
    parser.add_argument("--rounds", type=int, default=3, help="how often each pair is run; medians are shown")
    parser.add_argument("--growth", type=int, nargs="*", help=f"sizes of the growth curve; default {GROWTH} up to size")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "data" / "bench", help="where data and databases go")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "docs" / "performance", help="page, without .md")
    return parser.parse_args(arguments)


def _lines(data: DataSet) -> int:
    with duckdb.connect() as connection:
        files = f"read_csv('{data.history_glob}', columns={{line: 'varchar'}}, delim='\\0', quote='', header=false)"
        counted = connection.execute(f"select count(*) from {files}").fetchone()
    return int(counted[0]) if counted else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
