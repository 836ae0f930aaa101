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


def known_sources(days: str, slow_to: str | None = None) -> str:
    """A statement that makes the int_known_sources of a source, from `days`: a SELECT of usage_date, last_loaded_at.

    `slow_to`: up to when the usage of another source is known, which is waited for; none without it.
    """
    statement = f"""
        create or replace view int_known_sources as
        with days as ({days}), newest as (select max(last_loaded_at) as loaded_at from days)
        select
            'portkey' as source_system, 'ws' as source_instance,
            max(case when usage_date <= newest.loaded_at::date then usage_date end) as last_usage_date,
            max(newest.loaded_at) as last_loaded_at, max(newest.loaded_at) as known_to, true as is_waited_for
        from days cross join newest
    """
    if slow_to:
        at = f"timestamp '{slow_to}'"
        statement += f"union all select 'litellm', 'proxy', cast({at} - interval 1 day as date), {at}, {at}, true"
    return statement
