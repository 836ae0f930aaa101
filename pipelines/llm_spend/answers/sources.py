"""What was loaded, how complete it is and how old: the answer of `llm-spend status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from llm_spend.answers.formats import ratio
from llm_spend.answers.known import KNOWN_SQL, KNOWN_TABLES, known_usage
from llm_spend.answers.marts import MARTS, RAW, Marts, nothing_loaded, open_marts
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.schema import FILES_TABLE

_HEALTH, _HISTORY = "llm_source_health", "llm_load_history"


@dataclass(frozen=True)
class SourceStatus:
    """One source instance. Times are UTC; shares are of its attempts and None when it has none.

    `known_to`: up to when its usage is known, exclusive. `is_late`: forecasts wait for it, others are known for longer.
    """

    source: str
    source_instance: str
    files: int | None
    size_bytes: int | None
    loads: int | None
    attempts: int | None
    duplicate_rows: int | None
    lines_quarantined: int | None
    unpriced_attempts: int | None
    unpriced_share: Decimal | None
    attempts_without_team: int | None
    without_team_share: Decimal | None
    attempts_without_usage: int | None
    first_event_at: datetime | None
    last_event_at: datetime | None
    last_loaded_at: datetime | None
    event_age: timedelta | None
    known_to: datetime | None
    is_late: bool


@dataclass(frozen=True)
class Status:
    """All sources of a database. `loads_not_built`: loads newer than the tables, None when not known."""

    as_of: datetime
    sources: tuple[SourceStatus, ...]
    loads_not_built: int | None


def status(destination: Destination, *, now: datetime | None = None) -> Status:
    """The state of every source instance; `now` is a naive UTC time.

    Raises UserError when nothing was loaded, or the tables were not built since.
    """
    as_of = now or datetime.now(UTC).replace(tzinfo=None)
    with open_marts(destination, KNOWN_TABLES | {_HEALTH, _HISTORY}) as marts:
        sources = tuple(_sources(marts, as_of))
        not_built = _loads_not_built(marts)
    if not sources:
        if not_built:
            raise UserError(
                f"Logs were loaded into {destination.label} since its tables were built.", "Run `llm-spend build`."
            )
        raise nothing_loaded(destination)
    return Status(as_of, sources, not_built)


def _sources(marts: Marts, as_of: datetime) -> list[SourceStatus]:
    known = known_usage(marts.rows(KNOWN_SQL)[0])
    rows = marts.rows(
        f"""
        with loads as (
            select
                source,
                source_instance,
                cast(sum(files) as bigint) as files,
                cast(sum(size_bytes) as bigint) as size_bytes,
                count(*) as loads,
                max(loaded_at) as last_loaded_at
            from {MARTS}.{_HISTORY}
            group by source, source_instance
        )

        select
            coalesce(health.source_system, loads.source),
            coalesce(health.source_instance, loads.source_instance),
            loads.files,
            loads.size_bytes,
            loads.loads,
            health.attempts,
            health.duplicate_rows,
            health.lines_quarantined,
            health.unpriced_attempts,
            health.attempts_without_team,
            health.attempts_without_usage,
            health.first_event_at,
            health.last_event_at,
            coalesce(loads.last_loaded_at, health.last_loaded_at),
            health.known_to,
            health.is_waited_for
        from {MARTS}.{_HEALTH} as health
        full outer join loads
            on health.source_system = loads.source and health.source_instance = loads.source_instance
        order by 1, 2
        """
    )
    return [
        SourceStatus(
            source=source,
            source_instance=instance,
            files=files,
            size_bytes=size_bytes,
            loads=loads,
            attempts=attempts,
            duplicate_rows=duplicates,
            lines_quarantined=quarantined,
            unpriced_attempts=unpriced,
            unpriced_share=ratio(unpriced, attempts),
            attempts_without_team=teamless,
            without_team_share=ratio(teamless, attempts),
            attempts_without_usage=usageless,
            first_event_at=first,
            last_event_at=last,
            last_loaded_at=loaded,
            event_age=None if last is None else as_of - last,
            known_to=known_to,
            is_late=bool(waited_for and known_to and known and known.is_late(known_to)),
        )
        for (
            source, instance, files, size_bytes, loads, attempts, duplicates, quarantined, unpriced, teamless,
            usageless, first, last, loaded, known_to, waited_for,
        ) in rows
    ]  # fmt: skip


def _loads_not_built(marts: Marts) -> int | None:
    if not {FILES_TABLE, "_dlt_loads"} <= marts.raw_tables():
        return None
    newer = f"""
        select count(distinct files._dlt_load_id)
        from {RAW}.{FILES_TABLE} as files
        inner join {RAW}._dlt_loads as packages
            on files._dlt_load_id = packages.load_id and packages.status = 0
        where files._dlt_load_id not in (select load_id from {MARTS}.{_HISTORY})
    """
    found: int = marts.rows(newer)[0][0]
    return found
