"""Gauges for scrapers: a text file that is OpenMetrics and the Prometheus text format at once.

Both read the same lines of a gauge; what ends an OpenMetrics file is a comment to Prometheus. Numbers are floats there,
whatever one writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_spend.alerts.tables import ANOMALIES, Names, check_built, text_of
from llm_spend.answers.sources import Status, status
from llm_spend.build_record import RECORD_TABLE
from llm_spend.destinations.base import Connection, Destination
from llm_spend.errors import UserError

MOST_SERIES = 1_000
"""Of one metric: a scraper keeps every combination of labels that it ever saw."""

_COUNTER = ("rule_set", "rule", "subject_type", "subject")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Gauge:
    """A metric; `series` are values by their labels, and of those the first MOST_SERIES are written."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    series: Sequence[tuple[tuple[str, ...], Decimal | int | float]]


def write_metrics(destination: Destination, file: Path, now: datetime) -> int:
    """Write the file, at once or not at all; how many series were left out. `now` is naive UTC.

    Raises UserError when the destination can't be read, or the file not be written.
    """
    return write(read_gauges(destination, now), file)


def write(gauges: Sequence[Gauge], file: Path) -> int:
    """Write gauges into a file, and how many series of each were left out. Raises UserError when it can't."""
    text, left_out = exposition(gauges)
    partial = file.with_name(f".{file.name}.{os.getpid()}")  # collectors read what ends in .prom
    try:
        partial.write_bytes(text)
        partial.replace(file)
    except OSError as error:
        raise UserError(f"{file} can't be written: {error.strerror}.", "Give another with --prometheus.") from error
    return left_out


def exposition(gauges: Sequence[Gauge]) -> tuple[bytes, int]:
    """The text of the file, and how many series were left out."""
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client import Gauge as Exposed
        from prometheus_client.openmetrics.exposition import generate_latest
    except ImportError as error:
        raise UserError(
            "A file of metrics needs prometheus-client.", "Install it: pip install 'llm-spend[alerts]'."
        ) from error
    registry = CollectorRegistry()
    left_out = {gauge.name: max(len(gauge.series) - MOST_SERIES, 0) for gauge in gauges}
    counts = [((name,), count) for name, count in left_out.items()]
    for gauge in (
        *gauges,
        Gauge("llm_spend_series_left_out", "Series above the limit of a metric.", ("metric",), counts),
    ):
        if gauge.series:  # without labels it would say 0
            exposed = Exposed(gauge.name, gauge.meaning, gauge.labels, registry=registry)
        for labels, value in gauge.series[:MOST_SERIES]:
            (exposed.labels(*labels) if labels else exposed).set(float(value))
    return generate_latest(registry), sum(left_out.values())  # type: ignore[no-untyped-call]


def read_gauges(destination: Destination, now: datetime) -> list[Gauge]:
    """Those of the windows and budgets that are current at a naive UTC time, highest first, and of the sources."""
    with destination.reading() as connection:
        check_built(destination, connection)
        found = quota_gauges(destination, connection, now)
    return [*found, *_sources(status(destination, now=now))]


def quota_gauges(destination: Destination, connection: Connection, now: datetime) -> list[Gauge]:
    """Those of quotas and budgets, and of the build that they are from."""
    names = Names.of(destination)
    return [
        *_quotas(connection, names, now),
        *_budgets(connection, names),
        _breaches(connection, names, now),
        *_anomalies(destination, connection, names, now),
        _last_build(connection, destination),
    ]


def _versions(names: Names) -> str:
    """Versions of rules, and when each ends."""
    ends_at = f"cast(coalesce(valid_to, cast('9999-01-01' as date)) as {names.timestamp})"
    return f"(select distinct rule_key, {ends_at} as ends_at from {names.rules})"


def _quotas(connection: Connection, names: Names, now: datetime) -> Iterator[Gauge]:
    moment = f"cast(%s as {names.timestamp})"
    rows = connection.rows(
        f"""
        select usage_rows.rule_set, usage_rows.rule_id, usage_rows.subject_type, usage_rows.subject, usage_rows.unit,
            usage_rows.used_ratio
        from {names.usage} as usage_rows
        inner join {_versions(names)} as versions on usage_rows.rule_key = versions.rule_key
        where usage_rows.counted_from <= {moment} and versions.ends_at > {moment}
            and (usage_rows.window_end > {moment} or usage_rows.window_end is null)
            and usage_rows.used_ratio is not null
        order by 6 desc, 1, 2, 3, 4, 5
        """,
        [text_of(now)] * 3,
    )
    yield Gauge(
        "llm_spend_quota_used_ratio",
        "Used part of a quota in its current window, by the version of the rule that holds; 1 is the limit.",
        (*_COUNTER, "unit"),
        [(tuple(labels), ratio) for *labels, ratio in rows],
    )


_BUDGET_METRICS: Mapping[str, str] = {
    "spent_usd": "Spent of a budget in its current period, USD; usage without a price is not in it.",
    "limit_usd": "The budget of the current period, USD.",
    "forecast_usd": "What the current period will come to at its rate so far, USD.",
    "is_reliable": "1 when all usage of the budget has a price.",
}


def _budgets(connection: Connection, names: Names) -> Iterator[Gauge]:
    rows = connection.rows(f"""
        select rule_set, rule_id, subject_type, subject, spent_usd, budget_usd, forecast_usd,
            case when reliability = 'exact' then 1 else 0 end
        from {names.budgets}
        where is_current
        order by used_ratio desc, 1, 2, 3, 4
    """)
    for index, (name, meaning) in enumerate(_BUDGET_METRICS.items(), start=len(_COUNTER)):
        series = [(tuple(row[: len(_COUNTER)]), row[index]) for row in rows if row[index] is not None]
        yield Gauge(f"llm_spend_budget_{name}", meaning, _COUNTER, series)


def _breaches(connection: Connection, names: Names, now: datetime) -> Gauge:
    moment = f"cast(%s as {names.timestamp})"
    rows = connection.rows(
        f"""
        select breaches.rule_set, breaches.rule_id, count(*)
        from {names.breaches} as breaches
        inner join {_versions(names)} as versions on breaches.rule_key = versions.rule_key
        where breaches.voided_at is null and versions.ends_at > {moment}
            and (breaches.window_end > {moment} or breaches.window_end is null)
        group by breaches.rule_set, breaches.rule_id
        order by 3 desc, 1, 2
        """,
        [text_of(now - _DAY)] * 2,
    )
    return Gauge(
        "llm_spend_breaches",
        "Breaches that stand, of windows and rule versions that have not ended or did in the last 24 hours.",
        ("rule_set", "rule"),
        [((rule_set, rule), count) for rule_set, rule, count in rows],
    )


def _anomalies(destination: Destination, connection: Connection, names: Names, now: datetime) -> Iterator[Gauge]:
    """Those of days that ended in the last two days: before that no day can be wholly known."""
    if ANOMALIES not in connection.tables(destination.schemas.public):
        return
    rows = connection.rows(
        f"""
        select rule_id, severity, count(*)
        from {names.anomalies} as anomalies
        where day_start > cast(%s as {names.timestamp})
        group by rule_id, severity
        order by 3 desc, 1, 2
        """,
        [text_of(now - 3 * _DAY)],
    )
    yield Gauge(
        "llm_spend_anomalies",
        "Anomalies of days that ended in the last 2 days, without those that a wider one tells of.",
        ("kind", "severity"),
        [((kind, severity), count) for kind, severity, count in rows],
    )


def _sources(found: Status) -> Iterator[Gauge]:
    metrics: Mapping[str, tuple[str, Any]] = {
        "last_event_timestamp_seconds": ("Start of the last request of a source.", lambda each: each.last_event_at),
        "last_load_timestamp_seconds": ("When a source was last loaded.", lambda each: each.last_loaded_at),
        "unpriced_ratio": ("Attempts of a source without a price, as a part of all.", lambda each: each.unpriced_share),
        "lines_quarantined": ("Lines of a source that could not be read.", lambda each: each.lines_quarantined),
    }
    for name, (meaning, value_of) in metrics.items():
        values = [((each.source, each.source_instance), value_of(each)) for each in found.sources]
        series = [(labels, _number(value)) for labels, value in values if value is not None]
        yield Gauge(f"llm_spend_source_{name}", meaning, ("source", "instance"), series)


def _last_build(connection: Connection, destination: Destination) -> Gauge:
    schema = destination.schemas.internal
    is_noted = RECORD_TABLE in connection.tables(schema)
    rows = connection.rows(f"select built_at from {schema}.{RECORD_TABLE}") if is_noted else []
    meaning = "When the tables were last built and passed their tests; not there after a build that did not."
    series = [((), _number(datetime.fromisoformat(at))) for (at,) in rows]
    return Gauge("llm_spend_last_build_timestamp_seconds", meaning, (), series)


def _number(value: datetime | Decimal | int) -> Decimal | int | float:
    return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else value
