"""SQL that runs on every destination: names of tables and columns, and which windows are recent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llm_spend.destinations.base import Connection, Destination
from llm_spend.errors import UserError

LEDGER_TABLE, TURN_TABLE = "llm_spend__alerts", "llm_spend__alerts_turn"
USAGE, BREACHES, BUDGETS, RULES = "llm_quota_usage", "llm_quota_breaches", "llm_budget_status", "llm_quota_rules"

COUNTER = ("rule_set", "rule_id", "subject_type", "subject", "unit", "window_start", "counted_from")

ANOMALIES, ANOMALIES_UNIT = "llm_usage_anomalies", "severity"

_BUILT = frozenset({USAGE, BREACHES, BUDGETS, RULES})


@dataclass(frozen=True)
class Sql:
    """A piece of SQL and what its `%s` stand for."""

    text: str
    parameters: Sequence[Any] = ()


@dataclass(frozen=True)
class Names:
    """What tables are called in a destination, and its type of a naive UTC timestamp.

    `usage` and `breaches` are the tables with `counted_from`: see facts.Counter.
    """

    ledger: str
    turn: str
    usage: str
    breaches: str
    budgets: str
    rules: str
    anomalies: str
    timestamp: str

    @classmethod
    def of(cls, destination: Destination) -> Names:
        """Those of a destination."""
        raw, public = destination.schemas.raw, destination.schemas.public
        timestamp = "timestamp_ntz" if destination.name == "snowflake" else "timestamp"
        return cls(
            ledger=f"{raw}.{LEDGER_TABLE}",
            turn=f"{raw}.{TURN_TABLE}",
            usage=_with_start(f"{public}.{USAGE}", timestamp),
            breaches=_with_start(f"{public}.{BREACHES}", timestamp),
            budgets=f"{public}.{BUDGETS}",
            rules=f"{public}.{RULES}",
            anomalies=_as_counters(f"{public}.{ANOMALIES}", timestamp),
            timestamp=timestamp,
        )


def _with_start(table: str, timestamp: str) -> str:
    """A table with when each counter begins: a rule_key ends with the first date of its version."""
    version_start = f"cast(right(rule_key, 10) as {timestamp})"
    return f"(select *, greatest(window_start, {version_start}) as counted_from from {table})"


def _as_counters(table: str, timestamp: str) -> str:
    """The anomalies that are told, not those that a wider one tells of, with the columns of a counter."""
    started, ends = (f"cast({day} as {timestamp})" for day in ("started_on", "usage_date"))
    return f"""(
        select 'anomalies' as rule_set, kind as rule_id, member_type as subject_type, member_id as subject,
            '{ANOMALIES_UNIT}' as unit, {started} as window_start, {started} as counted_from, {ends} as day_start,
            usage_date, severity, severity_usd, explanation
        from {table}
        where part_of_member_id is null
    )"""


def check_built(destination: Destination, connection: Connection) -> None:
    """Raises UserError when a table that alerts and metrics are read from was not built."""
    missing = _BUILT - connection.tables(destination.schemas.public)
    if missing:
        raise UserError(f"{destination.label} lacks {', '.join(sorted(missing))}.", "Run `llm-spend build` first.")


def text_of(moment: datetime | None) -> str:
    """A naive UTC time as the text that queries cast, which also sorts by time; '' for none."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def columns(alias: str) -> str:
    """The columns that tell a counter, of a table."""
    return ", ".join(f"{alias}.{name}" for name in COUNTER)


def same_counter(left: str, right: str) -> str:
    """The condition that two tables speak of the same counter."""
    return " and ".join(f"{left}.{name} = {right}.{name}" for name in COUNTER)


def is_recent(alias: str, cutoffs: Mapping[str, datetime], timestamp: str) -> Sql:
    """The condition that the window of a row is recent; never NULL. See recency.cutoffs."""
    if not cutoffs:
        return Sql("1 = 0")
    units: dict[datetime, list[str]] = {}
    for unit, cutoff in sorted(cutoffs.items()):
        units.setdefault(cutoff, []).append(unit)
    ends = f"coalesce({alias}.window_end, cast('9999-01-01 00:00:00' as {timestamp}))"
    conditions = [
        f"{alias}.unit in ({', '.join(['%s'] * len(named))}) and {ends} > cast(%s as {timestamp})"
        for named in units.values()
    ]
    return Sql(
        f"(({') or ('.join(conditions)}))",
        [value for cutoff, named in units.items() for value in (*named, text_of(cutoff))],
    )
