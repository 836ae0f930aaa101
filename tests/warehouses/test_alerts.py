"""Alerts are told once on a warehouse as they are on a DuckDB file: its SQL reads, claims and confirms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from llm_spend.alerts import Rules, send
from llm_spend.alerts.metrics import quota_gauges
from llm_spend.alerts.targets import Target, Urgency
from llm_spend.destinations import Destination
from tests.warehouses.conftest import History

pytestmark = pytest.mark.slow

RULES = Rules(max_age=timedelta(days=2))
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Listener(Target):
    """Takes messages, or all but the first."""

    takes_the_first: bool = True
    heard: list[str] = field(default_factory=list, compare=False)

    def send(self, title: str, body: str, urgency: Urgency) -> str | None:
        # When a row arrived differs from one destination to the other.
        self.heard.append(re.sub(r"known since [\d:\- ]+", "known since then", f"{title}\n{body}"))
        return None if self.takes_the_first or len(self.heard) > 1 else "it is deaf"


def hear(destination: Destination, now: datetime) -> tuple[Any, ...]:
    """What two targets, of which one fails at first, hear in three runs, and what the ledger says then."""
    good, deaf = Listener("good", "good", None), Listener("deaf", "deaf", None, takes_the_first=False)
    reports = [
        send(destination, [good, deaf], RULES, clock=lambda at=now + hours * HOUR: at, wait=lambda seconds: None)
        for hours in range(3)
    ]
    states = destination.query(
        f"""
        select target, alert_level, state, reason, episode, count(*)
        from {destination.schemas.raw}.llm_spend__alerts
        group by target, alert_level, state, reason, episode
        order by 1, 2, 3, 4, 5
        """
    )
    with destination.reading() as connection:
        gauges = [gauge for gauge in quota_gauges(destination, connection, now) if "last_build" not in gauge.name]
    return good.heard, deaf.heard, [(report.too_old, report.problems) for report in reports], states, gauges


@pytest.mark.parametrize("fixture", ["in_snowflake", "in_bigquery"])
def test_alerts_are_those_of_duckdb(fixture: str, in_duckdb: History, request: pytest.FixtureRequest) -> None:
    warehouse: History = request.getfixturevalue(fixture)
    reached = "select max(window_start) from llm_spend.llm_quota_usage where threshold_reached is not null"
    ((latest,),) = in_duckdb.destination.query(reached)
    for each in (warehouse, in_duckdb):
        raw = each.destination.schemas.raw
        for table in {"llm_spend__alerts", "llm_spend__alerts_turn"} & each.destination.tables(raw):
            each.destination.execute(f"drop table {raw}.{table}")
    found, expected = (hear(each.destination, latest + HOUR) for each in (warehouse, in_duckdb))
    assert found == expected
    good, deaf, reports, *_ = expected
    assert len(good) == 1 and len(deaf) == 2 and "may be a repeat" in deaf[1]
    assert [too_old > 0 for too_old, _ in reports] == [True, False, False]
