"""SQL that a build compiled, to be run on made-up tables: hundreds of cases in the time of one dbt."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import duckdb

_RELATION = re.compile(r'"[^"]+"\."[^"]+"\."([^"]+)"')


def compiled_sql(target: Path, model: str, names: Mapping[str, str] | None = None) -> str:
    """The query of a model that dbt compiled into the folder `target`, its tables called by their bare names.

    `names`: other names for some of them. Raises LookupError when the model was not compiled, or more than once.
    """
    found = [path for path in target.glob(f"compiled/**/{model}.sql") if not path.parent.suffix]
    if len(found) != 1:
        raise LookupError(f"{target} has {len(found)} compiled models {model}")
    return _RELATION.sub(lambda match: (names or {}).get(match[1], match[1]), found[0].read_text())


def seed_table(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> None:
    """A table of text columns from CSV, as dbt loads a seed: an empty cell is NULL."""
    header, *rows = csv.reader(StringIO(text))
    connection.execute(f"create table {name} ({', '.join(f'{column} varchar' for column in header)})")
    if rows:
        values = [[cell or None for cell in row] for row in rows]
        connection.executemany(f"insert into {name} values ({', '.join('?' * len(header))})", values)
