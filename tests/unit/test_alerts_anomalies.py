"""Alerts of anomalies: once for a run of days, again when it gets worse, and only what no wider one tells of."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from llm_spend.alerts import metrics as metrics_module
from llm_spend.alerts import to_json
from llm_spend.destinations import DuckDb

# The fixtures and helpers of the alerts of quotas.
from tests.unit.test_alerts import DAY, HOUR, NOW, RULES, KeptOpen, Receiver, built, ledger, receiver, told, use

__all__ = ["built", "receiver"]

TABLE = """
create table llm_spend.llm_usage_anomalies (
    usage_date date, kind varchar, member_type varchar, member_id varchar, severity varchar,
    severity_usd decimal(38, 12), explanation varchar, started_on date, part_of_member_type varchar,
    part_of_member_id varchar
)
"""


@pytest.fixture
def watched(built: KeptOpen) -> KeptOpen:
    built.execute(TABLE)
    return built


def see(
    built: DuckDb,
    day: str,
    severity: str,
    *,
    member: str = "growth",
    started_on: str | None = None,
    part_of: str | None = None,
    usd: str | None = "12.5",
) -> None:
    """A spike of a team on a day."""
    values = [
        day, "cost_spike", "team", member, severity, usd, f"Team {member} cost 20.00 USD on {day}.", started_on or day,
        part_of and "total", part_of,
    ]  # fmt: skip
    shown = ", ".join("null" if value is None else f"'{value}'" for value in values)
    built.execute(f"insert into llm_spend.llm_usage_anomalies values ({shown})")


def test_an_anomaly_is_told_once_and_a_worse_day_of_its_run_again(watched: KeptOpen, receiver: Receiver) -> None:
    see(watched, "2026-11-21", "medium")
    for hours in range(2):
        told(watched, receiver, at=NOW + hours * HOUR)
    see(watched, "2026-11-22", "medium", started_on="2026-11-21")
    told(watched, receiver, at=NOW + DAY)
    see(watched, "2026-11-23", "high", started_on="2026-11-21")
    for hours in range(2):
        told(watched, receiver, at=NOW + 2 * DAY + hours * HOUR)
    assert receiver.messages == [
        "anomalies, cost spike\n- medium: Team growth cost 20.00 USD on 2026-11-21.",
        "anomalies, cost spike\n- high: Team growth cost 20.00 USD on 2026-11-23.",
    ]
    assert [(post["title"], post["type"]) for post in receiver.posts] == [("LLM spend: 1 anomaly", "warning")] * 2
    assert ledger(watched) == [("growth", "2", "sent", ""), ("growth", "3", "sent", "")]


def test_a_long_run_is_not_told_again_when_its_first_days_are_old(watched: KeptOpen, receiver: Receiver) -> None:
    for day in range(10):
        see(watched, f"{date(2026, 11, 21) + timedelta(days=day)}", "medium", started_on="2026-11-21")
        told(watched, receiver, at=NOW + day * DAY)
    see(watched, "2026-12-09", "medium")
    told(watched, receiver, at=NOW + 19 * DAY)
    assert len(receiver.posts) == 2


def test_what_is_small_old_or_told_by_a_wider_one_is_not_told(watched: KeptOpen, receiver: Receiver) -> None:
    see(watched, "2026-11-21", "low", member="a")
    see(watched, "2026-11-18", "high", member="b")
    see(watched, "2026-11-21", "high", member="c", part_of="(all)")
    for severity, messages in {"medium": 0, "none": 0, "high": 0, "low": 1}.items():
        told(watched, receiver, rules=replace(RULES, anomalies=severity))
        assert len(receiver.posts) == messages, severity
    assert "Team a cost" in receiver.messages[0]


def test_one_that_did_not_arrive_is_told_later_however_old(watched: KeptOpen, receiver: Receiver) -> None:
    see(watched, "2026-11-21", "high")
    receiver.status = 500
    told(watched, receiver)
    receiver.status = 200
    for days in (9, 10):
        told(watched, receiver, at=NOW + days * DAY)
    assert len(receiver.posts) == 2 and "- * high: Team growth" in receiver.messages[1]


def test_one_that_is_gone_before_it_arrived_is_given_up(watched: KeptOpen, receiver: Receiver) -> None:
    see(watched, "2026-11-21", "high")
    receiver.status = 500
    told(watched, receiver)
    watched.execute("delete from llm_spend.llm_usage_anomalies")
    receiver.status = 200
    told(watched, receiver, at=NOW + HOUR)
    assert len(receiver.posts) == 1
    assert [row[1:] for row in ledger(watched)] == [("3", "not_sent", "no longer so")]


def test_quotas_and_anomalies_are_one_message_and_names_obey_nobody(watched: KeptOpen, receiver: Receiver) -> None:
    use(watched, 101, 100)
    see(watched, "2026-11-21", "medium", member="@everyone <http://evil>", usd=None)
    report = told(watched, receiver, dry_run=True)
    (outcome,) = report.outcomes
    assert outcome.message and outcome.message.title == "LLM spend: 1 over the limit, 1 anomaly"
    quota, anomaly = outcome.message.body.split("\nanomalies, cost spike\n")
    assert "OVER THE LIMIT: user jo" in quota
    assert anomaly == "- medium: Team @ everyone ‹http://evil› cost 20.00 USD on 2026-11-21."
    shown = to_json(report)["targets"][0]["alerts"]
    assert [each.get("severity_usd", "-") for each in shown] == [None, "-"]
    assert not receiver.posts


def test_of_many_the_rest_is_counted(watched: KeptOpen, receiver: Receiver) -> None:
    for number in range(50):
        see(watched, "2026-11-21", "medium", member=f"team-{number:02d}")
    told(watched, receiver)
    assert receiver.messages[0].endswith(" more: see the table llm_usage_anomalies.")
    assert len(ledger(watched)) == 50


def test_without_the_table_quotas_are_told_all_the_same(built: KeptOpen, receiver: Receiver) -> None:
    use(built, 85, 80)
    told(built, receiver)
    assert len(receiver.posts) == 1


def test_the_file_of_metrics_counts_them(watched: KeptOpen) -> None:
    see(watched, "2026-11-21", "medium", member="a")
    see(watched, "2026-11-20", "medium", member="b")
    see(watched, "2026-11-21", "medium", member="c", part_of="(all)")
    see(watched, "2026-11-18", "high", member="d")
    with watched.reading() as connection:
        gauges = {gauge.name: gauge for gauge in metrics_module.quota_gauges(watched, connection, NOW)}
    assert gauges["llm_spend_anomalies"].series == [(("cost_spike", "medium"), 2)]


def test_a_grave_anomaly_stays_in_a_message_full_of_quotas(watched: KeptOpen, receiver: Receiver) -> None:
    for number in range(30):
        use(watched, 101 + number, 100, subject=f"user-{number:02d}")
    see(watched, "2026-11-20", "medium", member="quiet")
    see(watched, "2026-11-21", "high")
    told(watched, receiver)
    (message,) = receiver.messages
    assert message.index("- high: Team growth cost") < message.index("user-29")
    assert "Team quiet" not in message
    assert message.endswith(" more: see the tables llm_quota_usage and llm_usage_anomalies.")
