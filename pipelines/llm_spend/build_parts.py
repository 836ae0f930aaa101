"""A long history in parts: a few runs of dbt, of which each builds the tables by date for some of its dates.

One query on all requests takes memory that grows with them, for joins by their key and for windows of quotas, until
DuckDB has no more. So the first run finds the version of every date; the next ones are told a part each; the last
one builds what follows. Each part is as an incremental build: what is there when one fails, the next build keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from llm_spend.build_constants import FINDS_DATES
from llm_spend.build_record import Extent
from llm_spend.destinations import Destination
from llm_spend.destinations.base import Connection
from llm_spend.schema import Schemas

VARIABLE = "LLM_SPEND_PART"
TABLES_BY_DATE = "config.incremental_strategy:replace_dates"
_FACT = "fct_llm_requests"
# Of dlt and our own: what was loaded, not the rows of it.
_BOOKS = ("_dlt", "llm_spend__")


@dataclass(frozen=True)
class Part:
    """Dates in a row: the first, and the one after the last."""

    first: date
    before: date


def environment_of(part: Part | None) -> Mapping[str, str]:
    """The variable that macros read it from; of None everything is built that is not yet."""
    return {VARIABLE: f"{part.first} {part.before}" if part else ""}


def may_need_parts(destination: Destination, extent: Extent) -> bool:
    """Whether all that may have to be built can be more rows than one run should hold."""
    if destination.rows_at_once is None:
        return False
    schemas = destination.schemas
    with destination.reading() as connection:
        logs = [name for name in connection.tables(schemas.raw) if not name.startswith(_BOOKS)]
        rows = sum(_count(connection, f"{schemas.raw}.{name}") for name in logs)
        if rows > destination.rows_at_once and extent is Extent.NEW_LOADS:
            ((seen,),) = connection.rows(f"select sum(rows_loaded) from {schemas.internal}.int_load_contents")
            rows -= seen or 0
    return rows > destination.rows_at_once


def parts_to_build(destination: Destination, since: datetime) -> list[Part]:
    """The dates with a version since a moment (UTC) or that the fact has not; none if one run can hold them."""
    assert destination.rows_at_once
    schemas = destination.schemas
    with destination.reading() as connection:
        rows_of_dates = connection.rows(_stale_sql(schemas, since, _FACT in connection.tables(schemas.public)))
    parts = list(_parts(rows_of_dates, destination.rows_at_once))
    return parts if len(parts) > 1 else []


def _parts(rows_of_dates: Sequence[tuple[date, int]], rows_at_once: int) -> Iterator[Part]:
    """Dates in order, each with its rows, as parts of at most so many rows; a date with more is one by itself."""
    first, last, rows = None, None, 0
    for day, rows_of_day in rows_of_dates:
        if first and last and rows + rows_of_day > rows_at_once:
            yield Part(first, last + timedelta(days=1))
            first, rows = None, 0
        first, last, rows = first or day, day, rows + rows_of_day
    if first and last:
        yield Part(first, last + timedelta(days=1))


def _stale_sql(schemas: Schemas, since: datetime, has_fact: bool) -> str:
    internal = schemas.internal
    is_not_built = (
        f"dates.date_version not in (select date_version from {schemas.public}.{_FACT} group by date_version)"
    )
    return f"""
        select dates.usage_date, cast(coalesce(sum(contents.rows_loaded), 0) as bigint)
        from {internal}.{FINDS_DATES} as dates
        left join {internal}.int_load_contents as contents on dates.usage_date = contents.usage_date
        where
            dates.versioned_at >= timestamp '{since:%Y-%m-%d %H:%M:%S}'
            or {is_not_built if has_fact else "true"}
        group by dates.usage_date
        order by dates.usage_date
    """


def _count(connection: Connection, table: str) -> int:
    ((rows,),) = connection.rows(f"select count(*) from {table}")
    return int(rows)
