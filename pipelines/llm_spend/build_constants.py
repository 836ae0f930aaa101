"""What dbt must know before it compiles where a warehouse prunes by constants only: new loads, and the dates to build.

BigQuery prunes nothing for loads and dates that come from a subquery: a build of one day would read all history. So dbt
runs twice there. The first run is told which loads are new, and finds the version of every date; which of them differ
from those that the last build ended with is asked in between, and handed to the second run. All asked are small tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date

from llm_spend.destinations import Destination
from llm_spend.destinations.base import Connection
from llm_spend.schema import Schemas

VARIABLE = "LLM_SPEND_CONSTANTS"
BUILT_TABLE = "llm_spend__built_dates"
FINDS_DATES = "int_usage_dates"
"""The model that ends the first run."""

# A query may have a megabyte of text, and one job change some thousand partitions.
_MOST_DATES = _MOST_LOADS = 1_000

Constants = Mapping[str, Sequence[str]]
"""Lists by the name that macros know them by. None of them: queries find the same, and read more."""


def can_be_asked(destination: Destination) -> bool:
    """Whether there is anything to ask: tables by date were built before, all of them, and it was noted."""
    return {BUILT_TABLE, FINDS_DATES} <= destination.tables(destination.schemas.internal)


def new_loads(destination: Destination) -> Constants:
    """The loads that were not looked at yet; before the first run. What arrives meanwhile waits for the next build."""
    loads = destination.query(_new_loads_sql(destination.schemas))
    return {"new_loads": [load_id for (load_id,) in loads]} if len(loads) <= _MOST_LOADS else {}


def stale_dates(destination: Destination) -> Constants:
    """The dates to build, and those that hold other versions of their requests; after the first run.

    For a large part of a long history no list is made: it is read anyway.
    """
    schemas = destination.schemas
    with destination.reading() as connection:
        stale = connection.rows(_stale_sql(schemas))
        if len(stale) > _MOST_DATES:
            return {}
        moved_from = _moved_from(connection, schemas, [day for day, _ in stale])
    return _stale_dates(stale, moved_from)


def _stale_dates(stale: Sequence[tuple[date, bool]], moved_from: Sequence[date]) -> Constants:
    """From dates, each with whether only its quota tables are stale, and dates of moved requests."""
    to_build = {day for day, is_only_quotas in stale if not is_only_quotas}
    lists = {
        "date_version": to_build,
        "quota_version": {day for day, _ in stale},
        "moved_from": set(moved_from) - to_build,
    }
    return {name: [day.isoformat() for day in sorted(days)] for name, days in lists.items()}


def _new_loads_sql(schemas: Schemas) -> str:
    # int_load_contents looks at a load first, int_moved_requests last: a build may have ended in between.
    internal = schemas.internal
    return f"""
        select load_id
        from {internal}.int_loads
        where
            load_id not in (select load_id from {internal}.int_load_contents)
            or load_id in (
                select contents.load_id
                from {internal}.int_load_contents as contents
                left join {internal}.int_moved_requests as moved
                    on contents.load_id = moved.load_id and contents.usage_date = moved.usage_date
                where contents.usage_date is not null and moved.load_id is null
            )
        order by load_id
    """


def _stale_sql(schemas: Schemas) -> str:
    # A version that went and came back (other seeds, and again the old ones) has another time: what was built meanwhile
    # by dbt alone is not known.
    internal = schemas.internal
    return f"""
        select
            dates.usage_date,
            coalesce(
                dates.date_version = built.date_version and dates.quota_version <> built.quota_version, false
            ) as is_only_quotas
        from {internal}.{FINDS_DATES} as dates
        left join {internal}.{BUILT_TABLE} as built on dates.usage_date = built.usage_date
        where
            built.usage_date is null
            or dates.quota_version <> built.quota_version
            or dates.versioned_at <> built.versioned_at
        order by 1
    """


def _moved_from(connection: Connection, schemas: Schemas, stale: Sequence[date]) -> list[date]:
    if not stale:
        return []
    moved = f"{schemas.internal}.int_moved_requests"
    dates = ", ".join(f"date '{day.isoformat()}'" for day in stale)
    hashes = f"select request_hash from {moved} where usage_date in ({dates})"
    query = f"select usage_date from {moved} where request_hash in ({hashes}) group by usage_date"
    return [day for (day,) in connection.rows(query)]


def note_built(destination: Destination) -> None:
    """Write which version of each date the tables by date have now: for after a build of all of them."""
    internal = destination.schemas.internal
    columns = "usage_date, date_version, quota_version, versioned_at"
    destination.execute(
        f"create or replace table {internal}.{BUILT_TABLE} as select {columns} from {internal}.{FINDS_DATES}"
    )


def in_environment(constants: Constants) -> Mapping[str, str]:
    """The variable that macros read them from."""
    return {VARIABLE: json.dumps(constants)}
