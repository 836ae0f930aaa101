"""Read from the tables what alerts are decided from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from llm_spend.alerts.facts import SEVERITIES, Anomaly, Counter, Entry, Facts, Level, Standing, Voided
from llm_spend.alerts.ledger import has_ledger, ledger_rows, too_old
from llm_spend.alerts.recency import cutoffs
from llm_spend.alerts.tables import (
    ANOMALIES,
    Names,
    Sql,
    check_built,
    columns,
    is_recent,
    same_counter,
    text_of,
)
from llm_spend.destinations.base import Connection, Destination, Row

_DAY = timedelta(days=1)


def _cutoffs(connection: Connection, names: Names, now: datetime, max_age: timedelta) -> Mapping[str, datetime]:
    """From when on windows are recent, for each unit that any rule has."""
    units = connection.rows(f"select distinct unit from {names.rules} where unit is not null")
    return cutoffs((unit for (unit,) in units), now, max_age)


def read_facts(
    destination: Destination, now: datetime, max_age: timedelta, least_severity: str = "none"
) -> tuple[Facts, Mapping[str, datetime]]:
    """The facts, and the cutoffs that they were read with. `least_severity`: of the anomalies; `none` leaves them out.

    Raises UserError when the destination can't be read or its tables were not built.
    """
    names = Names.of(destination)
    with destination.reading() as connection:
        check_built(destination, connection)
        known = has_ledger(connection, destination)
        recent = _cutoffs(connection, names, now, max_age)
        ledger = ledger_rows(names, has_ledger=known)
        old = too_old(names, recent, has_ledger=known)
        ((count,),) = connection.rows(f"select count(*) from ({old.text}) as old_levels", old.parameters)
        # A package of some of the tables may be without them.
        is_asked = least_severity != "none" and ANOMALIES in connection.tables(destination.schemas.public)
        anomalies = _anomalies_sql(names, ledger, now - max_age, least_severity) if is_asked else None
        found = [_anomaly(row) for row in _rows(connection, anomalies)] if anomalies else []
        return Facts(
            standings=_worst(
                [*(_standing(row) for row in _rows(connection, _standings_sql(names, ledger, recent))), *found]
            ),
            voided=tuple(_voided(row) for row in _rows(connection, _voided_sql(names, ledger))),
            entries=tuple({_entry(row) for row in _rows(connection, _entries_sql(names, ledger, recent, anomalies))}),
            too_old=count,
        ), recent


def _rows(connection: Connection, sql: Sql) -> list[Row]:
    return connection.rows(sql.text, sql.parameters)


def _standings_sql(names: Names, ledger: str, recent: Mapping[str, datetime]) -> Sql:
    """Recent counters that reached something, and those with a claim that was not confirmed, however old."""
    is_new = is_recent("usage_rows", recent, names.timestamp)
    text = f"""
        with claimed as (
            select distinct {columns("ledger")} from {ledger} as ledger where ledger.state = 'claimed'
        )
        select {columns("usage_rows")}, usage_rows.window_end, usage_rows.threshold_reached, usage_rows.status,
            usage_rows.used, usage_rows.limit_to, usage_rows.used_ratio, usage_rows.enforcement,
            usage_rows.is_reliable, usage_rows.unpriced_requests,
            breaches.breached_at, breaches.detected_at, breaches.observed_blocks, budgets.forecast_usd
        from {names.usage} as usage_rows
        left join claimed on {same_counter("usage_rows", "claimed")}
        left join {names.breaches} as breaches
            on {same_counter("usage_rows", "breaches")} and usage_rows.rule_key = breaches.rule_key
                and breaches.voided_at is null
        left join {names.budgets} as budgets
            on usage_rows.rule_key = budgets.rule_key and usage_rows.subject = budgets.subject
                and usage_rows.window_start = budgets.period_start
        where (usage_rows.threshold_reached is not null or usage_rows.status = 'breached')
            and ({is_new.text} or claimed.rule_id is not null)
    """
    return Sql(text, is_new.parameters)


def _anomalies_sql(names: Names, ledger: str, cutoff: datetime, least_severity: str) -> Sql:
    """Anomalies of days that ended after a time, and those with a claim that was not confirmed, however old."""
    severities = SEVERITIES[SEVERITIES.index(least_severity) :]
    text = f"""
        select {columns("anomalies")}, anomalies.day_start, anomalies.severity, anomalies.severity_usd,
            anomalies.usage_date, anomalies.explanation
        from {names.anomalies} as anomalies
        left join (
            select distinct {columns("ledger")} from {ledger} as ledger where ledger.state = 'claimed'
        ) as claimed
            on {same_counter("anomalies", "claimed")}
        where anomalies.severity in ({", ".join(["%s"] * len(severities))})
            and (anomalies.day_start > cast(%s as {names.timestamp}) or claimed.rule_id is not null)
    """
    return Sql(text, [*severities, text_of(cutoff - _DAY)])


def _voided_sql(names: Names, ledger: str) -> Sql:
    """Withdrawn breaches that somebody was told of, or may have been.

    Not those that a version from the same start has too, nor those of versions that are gone: these were breaches all
    the same.
    """
    return Sql(f"""
        select {columns("breaches")}, max(breaches.window_end), max(breaches.voided_at)
        from {names.breaches} as breaches
        inner join {ledger} as ledger on {same_counter("breaches", "ledger")}
        inner join {names.rules} as rules
            on breaches.rule_set = rules.rule_set and breaches.rule_id = rules.rule_id
                and breaches.counted_from
                    = greatest(breaches.window_start, cast(rules.valid_from as {names.timestamp}))
        left join {names.breaches} as standing
            on {same_counter("breaches", "standing")} and standing.voided_at is null
        where breaches.voided_at is not null and standing.rule_id is null and ledger.state in ('claimed', 'sent')
        group by {columns("breaches")}
    """)


def _entries_sql(names: Names, ledger: str, recent: Mapping[str, datetime], anomalies: Sql | None) -> Sql:
    """What the ledger says of the same counters; of anomalies since their run began."""
    is_new = is_recent("ledger", recent, names.timestamp)
    text = f"""
        with wanted as (
            select {columns("ledger")} from {ledger} as ledger where ledger.state = 'claimed'
            union all
            select {columns("breaches")} from {names.breaches} as breaches where breaches.voided_at is not null
            {f"union all select {columns('found')} from ({anomalies.text}) as found" if anomalies else ""}
        ),
        counters as (
            select distinct {columns("wanted")} from wanted
        )
        select {columns("ledger")}, ledger.window_end, ledger.alert_level, ledger.episode, ledger.target, ledger.state,
            ledger.reason
        from {ledger} as ledger
        left join counters on {same_counter("ledger", "counters")}
        where {is_new.text} or counters.rule_id is not null
    """
    return Sql(text, [*(anomalies.parameters if anomalies else ()), *is_new.parameters])


def _standing(row: Row) -> Standing:
    (
        *key, window_end, threshold, status, used, limit_to, used_ratio, enforcement, is_reliable, unpriced,
        breached_at, detected_at, blocks, forecast,
    ) = row  # fmt: skip
    level = Level.of(threshold, is_breached=status == "breached")
    assert level
    return Standing(
        counter=Counter(*key),
        window_end=window_end,
        level=level,
        used=Decimal(used),
        limit_to=Decimal(limit_to),
        used_ratio=used_ratio,
        enforcement=enforcement,
        is_reliable=is_reliable is not False,
        unpriced_requests=unpriced,
        breached_at=breached_at,
        detected_at=detected_at,
        observed_blocks=blocks,
        forecast_usd=forecast,
    )


def _anomaly(row: Row) -> Anomaly:
    *key, day_start, severity, severity_usd, usage_date, explanation = row
    return Anomaly(Counter(*key), day_start + _DAY, severity, severity_usd, usage_date, explanation)


def _worst(standings: Iterable[Standing | Anomaly]) -> tuple[Standing | Anomaly, ...]:
    """One of each counter, whatever versions of the rule share it, or days of a run."""
    found: dict[Counter, Standing | Anomaly] = {}
    for standing in standings:
        known = found.get(standing.counter)
        if known is None or known.level < standing.level:
            found[standing.counter] = standing
    return tuple(found.values())


def _voided(row: Row) -> Voided:
    *key, window_end, voided_at = row
    return Voided(Counter(*key), window_end, voided_at)


def _entry(row: Row) -> Entry:
    *key, window_end, level, episode, target, state, reason = row
    found: Any = state
    return Entry(Counter(*key), window_end, level, int(episode), target, found, reason or "")
