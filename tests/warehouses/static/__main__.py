"""Prints what the static checks find in a compiled project.

python -m tests.warehouses.static snowflake FIRST_MANIFEST [LATER_MANIFEST]
python -m tests.warehouses.static bigquery FIRST_MANIFEST [LATER_MANIFEST] --googlesql VENV_PYTHON --cache FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.warehouses.static import check_googlesql, check_sqlglot


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warehouse", choices=["bigquery", "snowflake"])
    parser.add_argument("first", type=Path)
    parser.add_argument("later", type=Path, nargs="?")
    parser.add_argument(
        "--googlesql", type=Path, metavar="VENV_PYTHON", help="have BigQuery's SQL analysed by Google's"
    )
    parser.add_argument("--cache", type=Path, help="folder that keeps the compiled analyser")
    given = parser.parse_args()
    if given.googlesql and not given.cache:
        parser.error("--googlesql needs --cache")
    problems = check_sqlglot(given.first, given.warehouse, given.later)
    if given.googlesql and given.warehouse == "bigquery":
        problems += check_googlesql(given.first, given.later, python=given.googlesql, cache=given.cache)
    print("\n".join(problems) or "no problems")
    return 1 if problems else 0


raise SystemExit(main())
