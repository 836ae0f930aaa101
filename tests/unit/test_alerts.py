"""Alerts: every target is told once of what got worse, whatever ends in between, and never shows where it is."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text
from pydantic import SecretStr

from llm_spend import cli, dbt_process
from llm_spend.alerts import Report, Rules, render, send, targets, to_json, utc_now, write_metrics
from llm_spend.alerts import metrics as metrics_module
from llm_spend.alerts.decide import Alert, plan
from llm_spend.alerts.digest import digest
from llm_spend.alerts.facts import TOO_OLD, Counter, Entry, Facts, Level, Standing, Voided
from llm_spend.alerts.ledger import Ledger
from llm_spend.alerts.recency import cutoffs
from llm_spend.alerts.targets import Target
from llm_spend.build import BuildReport
from llm_spend.destinations import BigQuery, DuckDb, Snowflake
from llm_spend.destinations import duckdb as duckdb_module
from llm_spend.errors import UserError
from llm_spend.settings import read_settings

NOW = datetime(2026, 11, 22, 12)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RULES = Rules(max_age=2 * DAY)
SECRET = "hunter2-of-the-webhook"

TABLES = """
create schema llm_spend_raw; create schema llm_spend_internal; create schema llm_spend;
create table llm_spend.llm_quota_rules as
    select 'gateway' as rule_set, 'fair' as rule_id, 'tokens_per_day' as unit, date '2026-01-01' as valid_from,
        null::date as valid_to, 'gateway|fair|2026-01-01' as rule_key
    union all select 'gateway', 'burst', 'requests_per_minute', '2026-01-01', null, 'gateway|burst|2026-01-01'
    union all select 'budgets', 'search', 'cost_per_month', '2026-01-01', null, 'budgets|search|2026-01-01';
create table llm_spend.llm_quota_usage (
    rule_set varchar, rule_id varchar, subject_type varchar, subject varchar, unit varchar, measure varchar,
    window_unit varchar, enforcement varchar, limit_to decimal(38, 12), window_start timestamp, window_end timestamp,
    used decimal(38, 12), used_ratio decimal(18, 6), status varchar, threshold_reached bigint,
    unpriced_requests bigint, unpriced_tokens bigint, is_reliable boolean, rule_key varchar
);
create table llm_spend.llm_quota_breaches (
    rule_set varchar, rule_id varchar, subject_type varchar, subject varchar, unit varchar, window_start timestamp,
    window_end timestamp, breached_at timestamp, detected_at timestamp, voided_at timestamp, observed_blocks bigint,
    rule_key varchar
);
create table llm_spend.llm_budget_status (
    rule_set varchar, rule_id varchar, subject_type varchar, subject varchar, period_start timestamp,
    period_end timestamp, budget_usd decimal(38, 12), spent_usd decimal(38, 12), used_ratio decimal(18, 6),
    forecast_usd decimal(38, 12), reliability varchar, is_current boolean, rule_key varchar
);
"""


class Receiver:
    """A web server that takes JSON posts, and answers with `status`; while one is answered, `during` is called."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.status = 200
        self.during = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                receiver.during()
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self._server.server_port}/{SECRET}"

    @cached_property
    def target(self) -> Target:
        (found,) = targets([SecretStr(self.url)], 2)
        return found

    @property
    def messages(self) -> list[str]:
        return [post["message"] for post in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


class KeptOpen(DuckDb):
    """A file that is opened once: to open one takes longer than what is asked of it."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self._kept = duckdb.connect(str(database))

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        return self._kept.cursor()

    def close(self) -> None:
        self._kept.close()


@pytest.fixture
def built(tmp_path: Path) -> Iterator[KeptOpen]:
    destination = KeptOpen(tmp_path / "spend.duckdb")
    destination.execute(TABLES)
    yield destination
    destination.close()


def use(
    built: DuckDb,
    used: int,
    threshold: int | None,
    *,
    rule: str = "fair",
    subject: str = "jo",
    start: str = "2026-11-22",
) -> None:
    """The tokens that somebody used of 100 in a day."""
    key = f"rule_id = '{rule}' and subject = '{subject}' and window_start = '{start}'"
    breached = used > 100
    built.execute(
        f"delete from llm_spend.llm_quota_usage where {key}",
        f"""
        insert into llm_spend.llm_quota_usage values (
            'gateway', '{rule}', 'user', '{subject}', 'tokens_per_day', 'tokens', 'day', 'enforce', 100, '{start}',
            timestamp '{start}' + interval 1 day, {used}, {used} / 100.0, '{"breached" if breached else "warning"}',
            {threshold or "null"}, 0, 0, true, 'gateway|{rule}|2026-01-01'
        )
        """,
    )
    if breached:
        built.execute(
            f"delete from llm_spend.llm_quota_breaches where {key}",
            f"""
            insert into llm_spend.llm_quota_breaches values (
                'gateway', '{rule}', 'user', '{subject}', 'tokens_per_day', '{start}',
                timestamp '{start}' + interval 1 day, timestamp '{start}' + interval 9 hour,
                timestamp '{start}' + interval 10 hour, null, 2, 'gateway|{rule}|2026-01-01'
            )
            """,
        )


def void(built: DuckDb, used: int, threshold: int | None) -> None:
    """The breach of jo proves to be none."""
    use(built, used, threshold)
    built.execute("update llm_spend.llm_quota_breaches set voided_at = timestamp '2026-11-22 13:00:00'")


def told(built: DuckDb, *receivers: Receiver, at: datetime = NOW, rules: Rules = RULES, **options: Any) -> Report:
    """A run of alerts for these receivers."""
    found = [receiver.target for receiver in receivers]
    return send(built, found, rules, clock=lambda: at, wait=lambda seconds: None, **options)


def ledger(built: DuckDb) -> list[tuple[Any, ...]]:
    return built.query(
        "select subject, alert_level, state, reason from llm_spend_raw.llm_spend__alerts order by claimed_at, 1, 2"
    )


def test_two_runs_post_once_and_a_worse_threshold_posts_again(built: DuckDb, receiver: Receiver) -> None:
    use(built, 85, 80)
    first = told(built, receiver)
    assert [outcome.problem for outcome in first.outcomes] == [None]
    told(built, receiver, at=NOW + HOUR)
    assert receiver.messages == [
        "fair (gateway), tokens per day\n- 80% reached: user jo used 85 of 100 (85.0%), 2026-11-22"
    ]
    use(built, 100, 100)
    told(built, receiver, at=NOW + 2 * HOUR)
    use(built, 101, 100)
    told(built, receiver, at=NOW + 3 * HOUR)
    use(built, 120, 120)
    told(built, receiver, at=NOW + 4 * HOUR)
    told(built, receiver, at=NOW + 5 * HOUR)
    assert [(level, state) for _, level, state, _ in ledger(built)] == [
        ("80", "sent"), ("100", "sent"), ("breached", "sent"), ("120", "sent"),
    ]  # fmt: skip
    assert "OVER THE LIMIT: user jo used 101 of 100" in receiver.messages[2]
    assert len(receiver.posts) == 4


def test_the_next_window_is_news_again_and_the_next_user_too(built: DuckDb, receiver: Receiver) -> None:
    use(built, 85, 80)
    told(built, receiver)
    use(built, 85, 80, subject="al")
    use(built, 85, 80, start="2026-11-23")
    told(built, receiver, at=NOW + DAY)
    assert len(receiver.posts) == 2
    assert "user al" in receiver.messages[1] and "2026-11-23" in receiver.messages[1]
    assert "2026-11-22" in receiver.messages[1].split("user al")[1] and receiver.messages[1].count("user jo") == 1


def test_nothing_is_said_of_what_got_better(built: DuckDb, receiver: Receiver) -> None:
    use(built, 100, 100)
    told(built, receiver)
    use(built, 85, 80)
    told(built, receiver, at=NOW + HOUR)
    use(built, 100, 100)
    told(built, receiver, at=NOW + 2 * HOUR)
    assert len(receiver.posts) == 1


def test_a_withdrawn_breach_is_told_once_and_a_new_one_again(built: DuckDb, receiver: Receiver) -> None:
    use(built, 130, 120)
    told(built, receiver)
    void(built, 85, 80)
    for hours in (1, 2):
        told(built, receiver, at=NOW + hours * HOUR)
    assert len(receiver.posts) == 2
    assert receiver.posts[1]["title"] == "LLM quotas: 1 withdrawn" and receiver.posts[1]["type"] == "info"
    assert "user jo was not over the limit after all, 2026-11-22" in receiver.messages[1]
    use(built, 101, 100)
    told(built, receiver, at=NOW + 3 * HOUR)
    assert len(receiver.posts) == 3 and "OVER THE LIMIT" in receiver.messages[2]
    void(built, 100, 100)
    told(built, receiver, at=NOW + 4 * HOUR)
    told(built, receiver, at=NOW + 5 * HOUR)
    assert len(receiver.posts) == 4 and "after all" in receiver.messages[3]


def test_a_withdrawal_is_told_however_old_the_window_and_not_if_it_is_not_wanted(
    built: DuckDb, receiver: Receiver, other: Receiver
) -> None:
    use(built, 130, 120)
    told(built, receiver, other)
    void(built, 0, None)
    built.execute("delete from llm_spend.llm_quota_usage")
    told(built, other, at=NOW + 20 * DAY, rules=replace(RULES, withdraw=False))
    told(built, receiver, at=NOW + 20 * DAY)
    assert (len(receiver.posts), len(other.posts)) == (2, 1)


def test_a_breach_of_a_rule_that_is_gone_is_not_withdrawn(built: DuckDb, receiver: Receiver) -> None:
    use(built, 130, 120)
    told(built, receiver)
    void(built, 0, None)
    built.execute("update llm_spend.llm_quota_rules set rule_id = 'another' where rule_id = 'fair'")
    told(built, receiver, at=NOW + HOUR)
    assert len(receiver.posts) == 1


def test_a_breach_that_a_new_version_of_the_rule_has_too_is_not_withdrawn(built: DuckDb, receiver: Receiver) -> None:
    use(built, 130, 120)
    told(built, receiver)
    breaches = "llm_spend.llm_quota_breaches"
    built.execute(
        f"insert into {breaches} select * replace ('gateway|fair|2026-11-20' as rule_key) from {breaches}",
        f"update {breaches} set voided_at = timestamp '2026-11-22 13:00:00' where rule_key like '%2026-01-01'",
        "update llm_spend.llm_quota_usage set rule_key = 'gateway|fair|2026-11-20'",
        "update llm_spend.llm_quota_rules set rule_key = 'gateway|fair|2026-11-20', valid_from = '2026-11-20'"
        " where rule_id = 'fair'",
    )
    told(built, receiver, at=NOW + HOUR)
    told(built, receiver, at=NOW + 20 * DAY)
    assert len(receiver.posts) == 1


def test_nobody_is_told_of_a_withdrawal_who_did_not_know_of_the_breach(built: DuckDb, receiver: Receiver) -> None:
    use(built, 130, 120)
    void(built, 85, 80)
    told(built, receiver)
    assert ["withdrawn" in message for message in receiver.messages] == [False]


def test_a_target_that_fails_is_tried_again_and_the_others_are_not(
    built: DuckDb, receiver: Receiver, other: Receiver
) -> None:
    use(built, 85, 80)
    other.status = 500
    report = told(built, receiver, other)
    (problem,) = report.problems
    assert problem.endswith("it answered with status 500")
    other.status = 200
    report = told(built, receiver, other, at=NOW + 9 * DAY)  # not recent any more, but not lost either
    assert not report.problems
    assert (len(receiver.posts), len(other.posts)) == (1, 2)
    assert "- * 80% reached" in other.messages[1] and "may be a repeat" in other.messages[1]
    told(built, receiver, other, at=NOW + 10 * DAY)
    assert (len(receiver.posts), len(other.posts)) == (1, 2)


def test_what_rose_while_a_target_was_down_is_told_however_old(
    built: DuckDb, receiver: Receiver, other: Receiver
) -> None:
    use(built, 101, 100)
    other.status = 500
    told(built, receiver, other)
    use(built, 130, 120)
    for days in (3, 4):
        told(built, other, at=NOW + days * DAY)
    other.status = 200
    told(built, other, at=NOW + 5 * DAY)
    told(built, other, at=NOW + 6 * DAY)
    assert len(other.posts) == 4 and "used 130 of 100" in other.messages[3]
    assert [row[1:3] for row in ledger(built) if row[2] != "not_sent"] == [("breached", "sent"), ("120", "sent")]


def spend(built: DuckDb, spent: int, budget: int, threshold: int | None, version: str) -> None:
    """What the team search spent of a budget for November, USD, since the version of 1 or 15 November began."""
    key, breached = f"budgets|search|{version}", spent > budget
    values = "'budgets', 'search', 'team', 'search', 'cost_per_month'"
    built.execute(
        f"delete from llm_spend.llm_quota_usage where rule_key = '{key}'",
        f"""
        insert into llm_spend.llm_quota_usage values (
            {values}, 'cost', 'month', 'enforce', {budget}, '2026-11-01', '2026-12-01', {spent}, {spent} / {budget},
            '{"breached" if breached else "warning"}', {threshold or "null"}, 0, 0, true, '{key}'
        )
        """,
    )
    if breached:
        built.execute(
            f"""
            insert into llm_spend.llm_quota_breaches values (
                {values}, '2026-11-01', '2026-12-01', '{version}', '{version}', null, 0, '{key}'
            )
            """
        )


def raise_budget(built: DuckDb) -> None:
    """From 15 November on another version of the rule holds."""
    rules = "llm_spend.llm_quota_rules"
    built.execute(
        f"update {rules} set valid_from = '2026-11-01', valid_to = '2026-11-15', rule_key = 'budgets|search|2026-11-01'"
        " where rule_id = 'search'",
        f"insert into {rules} values"
        " ('budgets', 'search', 'cost_per_month', '2026-11-15', null, 'budgets|search|2026-11-15')",
    )


def test_a_budget_that_was_raised_is_told_anew_at_each_level(built: DuckDb, receiver: Receiver) -> None:
    spend(built, 1100, 1000, 100, "2026-11-01")
    told(built, receiver, at=datetime(2026, 11, 12))
    raise_budget(built)
    told(built, receiver, at=datetime(2026, 11, 15))
    for hours, (spent, threshold) in enumerate([(900, None), (4100, 80), (5000, 100), (5001, 100)]):
        spend(built, spent, 5000, threshold, "2026-11-15")
        for _ in range(2):
            told(built, receiver, at=datetime(2026, 11, 20) + hours * HOUR)
    assert [message.splitlines()[1].split(" (")[0] for message in receiver.messages] == [
        "- OVER THE LIMIT: team search used 1,100.00 of 1,000.00 USD",
        "- 80% reached: team search used 4,100.00 of 5,000.00 USD",
        "- 100% reached: team search used 5,000.00 of 5,000.00 USD",
        "- OVER THE LIMIT: team search used 5,001.00 of 5,000.00 USD",
    ]


def test_a_breach_of_an_ended_version_is_withdrawn_though_the_next_one_has_its_own(
    built: DuckDb, receiver: Receiver
) -> None:
    raise_budget(built)
    spend(built, 1100, 1000, 100, "2026-11-01")
    spend(built, 5001, 5000, 100, "2026-11-15")
    told(built, receiver)
    built.execute(
        "update llm_spend.llm_quota_breaches set voided_at = '2026-11-22' where rule_key = 'budgets|search|2026-11-01'"
    )
    spend(built, 700, 1000, None, "2026-11-01")
    told(built, receiver, at=NOW + HOUR)
    told(built, receiver, at=NOW + 2 * HOUR)
    assert [post["title"] for post in receiver.posts] == ["LLM quotas: 2 over the limit", "LLM quotas: 1 withdrawn"]


def test_gauges_are_those_of_the_version_that_holds(built: DuckDb) -> None:
    raise_budget(built)
    spend(built, 1100, 1000, 100, "2026-11-01")
    spend(built, 500, 5000, None, "2026-11-15")

    def gauges(now: datetime) -> dict[str, list[float]]:
        with built.reading() as connection:
            found = metrics_module.quota_gauges(built, connection, now)
        return {gauge.name: [float(value) for _, value in gauge.series] for gauge in found}

    before, after = gauges(datetime(2026, 11, 14)), gauges(datetime(2026, 11, 22))
    assert (before["llm_spend_quota_used_ratio"], before["llm_spend_breaches"]) == ([1.1], [1])
    assert (after["llm_spend_quota_used_ratio"], after["llm_spend_breaches"]) == ([0.1], [])
    built.execute("delete from llm_spend.llm_quota_usage where rule_key like '%2026-11-15'")
    assert gauges(datetime(2026, 11, 22))["llm_spend_quota_used_ratio"] == [], "nothing was used since it changed"


class Killed(BaseException):
    """The process ends here."""


def test_a_kill_between_sending_and_confirming_repeats_and_says_so(
    built: DuckDb, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any) -> None:
        raise Killed

    use(built, 85, 80)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "confirm", killed)
        with pytest.raises(Killed):
            told(built, receiver)
    assert ledger(built) == [("jo", "80", "claimed", "")]
    told(built, receiver, at=NOW + HOUR)
    told(built, receiver, at=NOW + 2 * HOUR)
    assert len(receiver.posts) == 2
    assert "may be a repeat" not in receiver.messages[0] and "may be a repeat" in receiver.messages[1]
    assert ledger(built) == [("jo", "80", "sent", "")]


def test_a_kill_before_sending_loses_nothing(
    built: DuckDb, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any) -> None:
        raise Killed

    use(built, 85, 80)
    with monkeypatch.context() as patched:
        patched.setattr(Target, "send", killed)
        with pytest.raises(Killed):
            told(built, receiver)
    use(built, 101, 100)
    told(built, receiver, at=NOW + HOUR)
    assert len(receiver.posts) == 1 and "OVER THE LIMIT" in receiver.messages[0]
    assert ledger(built) == [("jo", "80", "not_sent", "overtaken by another level"), ("jo", "breached", "sent", "")]


def test_two_runs_at_once_send_once(built: DuckDb, receiver: Receiver) -> None:
    refused: list[str] = []

    def second_run() -> None:
        with pytest.raises(UserError) as found:
            told(built, receiver)
        refused.append(found.value.problem)

    use(built, 85, 80)
    receiver.during = second_run
    told(built, receiver)
    assert refused == ["Another run is sending alerts, or ended while it did."]
    assert len(receiver.posts) == 1


def test_a_turn_ends_when_its_run_was_killed(built: DuckDb) -> None:
    killed, later = Ledger(built, "killed"), Ledger(built, "later")
    killed.create()
    later.create()
    its_turn = killed.turn(NOW, NOW + HOUR)
    assert its_turn.__enter__()
    with later.turn(NOW + HOUR / 2, NOW + 2 * HOUR) as has_turn:
        assert not has_turn
    with later.turn(NOW + 2 * HOUR, NOW + 3 * HOUR) as has_turn:
        assert has_turn
    with killed.turn(NOW + 2 * HOUR, NOW + 3 * HOUR) as has_turn:
        assert has_turn, "it was given back"


def test_a_confirmation_is_tried_again_while_somebody_reads_the_file(
    built: DuckDb, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm, tries = Ledger.confirm, []

    def locked_at_first(self: Ledger, target: str, now: datetime) -> None:
        tries.append(target)
        if len(tries) < 3:
            raise UserError("The file is locked.")
        confirm(self, target, now)

    monkeypatch.setattr(Ledger, "confirm", locked_at_first)
    use(built, 85, 80)
    assert told(built, receiver).problems == () and len(tries) == 3
    monkeypatch.setattr(Ledger, "confirm", lambda self, target, now: exec("raise UserError('Locked.')", globals()))
    use(built, 100, 100)
    (problem,) = told(built, receiver, at=NOW + HOUR).problems
    assert "it took the message, but that can't be recorded, and it will get it again: Locked." in problem


def test_a_dry_run_sends_and_records_nothing(built: DuckDb, receiver: Receiver) -> None:
    use(built, 85, 80)
    use(built, 85, 80, start="2025-11-22")
    report = told(built, receiver, dry_run=True)
    assert not receiver.posts and built.tables("llm_spend_raw") == frozenset()
    shown = "\n".join(render(report))
    assert "1 alert would be sent" in shown and "user jo used 85 of 100" in shown
    assert "1 level reached in windows that are no longer recent, are not sent" in shown
    assert to_json(report)["targets"][0]["alerts"][0]["level"] == "80"
    assert "nobody yet: 1 alert would be sent" in "\n".join(render(told(built, dry_run=True)))


def test_a_first_run_does_not_send_history(built: DuckDb, receiver: Receiver) -> None:
    for days in range(300):
        built.execute(
            f"""
            insert into llm_spend.llm_quota_usage select 'gateway', 'fair', 'user', 'jo', 'tokens_per_day', 'tokens',
                'day', 'enforce', 100, timestamp '2026-11-22' - interval {days} day,
                timestamp '2026-11-23' - interval {days} day, 130, 1.3, 'breached', 80, 0, 0, true,
                'gateway|fair|2025-01-01'
            """
        ) if days % 100 == 0 else None
    use(built, 130, 120, start="2026-11-19")
    report = told(built, receiver)
    assert (len(report.outcomes[0].alerts), report.too_old) == (1, 3)
    assert sorted(row[1:] for row in ledger(built)) == [
        ("120", "not_sent", TOO_OLD),
        ("breached", "not_sent", TOO_OLD),
        ("breached", "not_sent", TOO_OLD),
        ("breached", "sent", ""),
    ]
    assert told(built, receiver, at=NOW + HOUR).too_old == 0
    told(built, receiver, at=NOW + 2 * HOUR, rules=Rules(max_age=400 * DAY))
    assert len(receiver.posts) == 1, "what was recorded as not sent stays so"


@pytest.mark.parametrize(
    ("unit", "recent", "old"),
    [
        ("requests_per_minute", "2026-11-20 12:00:01", "2026-11-20 12:00:00"),
        ("tokens_per_day", "2026-11-21 00:00:00", "2026-11-20 00:00:00"),
        ("cost_per_week", "2026-11-16 00:00:00", "2026-11-09 00:00:00"),
        ("cost_per_month", "2026-10-31 23:00:00", "2026-09-30 22:00:00"),
        ("cost_per_quarter", "2026-10-01 00:00:00", "2026-07-01 00:00:00"),
        ("cost_per_30d", "2026-10-23 12:00:00", "2026-10-20 00:00:00"),
        ("cost_per_lifetime", "9999-12-31 00:00:00", "2026-11-20 00:00:00"),
    ],
)
def test_the_current_and_the_previous_window_are_recent(unit: str, recent: str, old: str) -> None:
    """Ends of windows, as seen on Sunday, 22 November."""
    cutoff = cutoffs([unit], NOW, 2 * DAY)[unit]
    assert datetime.fromisoformat(recent) > cutoff >= datetime.fromisoformat(old)


def test_the_previous_month_is_recent_all_through_this_one() -> None:
    for day in range(365):
        now = datetime(2026, 1, 1, 5) + timedelta(days=day)
        cutoff = cutoffs(["cost_per_month"], now, 2 * DAY)["cost_per_month"]
        start = now.replace(day=1, hour=0)
        before_previous = (start - DAY).replace(day=1)
        assert cutoff < start and (cutoff >= before_previous or now.day == 1)


def standing(percent: int, **changes: Any) -> Standing:
    level = Level.of(percent, is_breached=percent > 100)
    assert level
    counter = Counter("gateway", "fair", "user", "jo", "tokens_per_day", *[datetime(2026, 11, 22)] * 2)
    ratio = Decimal(percent) / 100
    found = Standing(counter, datetime(2026, 11, 23), level, Decimal(percent), Decimal(100), ratio, "enforce", True, 0)
    return replace(found, **changes)


def test_what_was_claimed_is_told_as_it_is_now_or_given_up() -> None:
    now = standing(100)
    claim = Entry(now.counter, now.window_end, "120", 0, "t", "claimed")
    below = plan(Facts((now,), (), (claim,), 0), "t", withdraw=True)
    assert [(alert.level, alert.may_repeat) for alert in below.alerts] == [("100", True)]
    assert [entry.reason for entry in below.given_up] == ["overtaken by another level"]
    known = plan(Facts((now,), (), (claim, replace(claim, level="100", state="sent")), 0), "t", withdraw=True)
    assert known.alerts == () and [entry.reason for entry in known.given_up] == ["no longer so"]
    gone = plan(Facts((), (), (claim,), 0), "t", withdraw=True)
    assert gone.alerts == () and len(gone.given_up) == 1
    assert plan(Facts((), (), (claim,), 0), "another", withdraw=True).given_up == ()


def test_a_withdrawal_that_was_not_confirmed_is_repeated() -> None:
    about = standing(130)
    voided = Voided(about.counter, about.window_end, NOW)
    sent = Entry(about.counter, about.window_end, "120", 0, "t", "sent")
    claim = replace(sent, level="withdrawn", state="claimed")
    (again,) = plan(Facts((), (voided,), (sent, claim), 0), "t", withdraw=True).alerts
    assert (again.level, again.may_repeat, again.episode) == ("withdrawn", True, 0)
    done = replace(claim, state="sent")
    assert plan(Facts((), (voided,), (sent, done), 0), "t", withdraw=True).alerts == ()


def test_the_message_is_bounded_grouped_and_worst_first() -> None:
    def alert(rule: str, subject: str, percent: int) -> Alert:
        counter = replace(standing(80).counter, rule_id=rule, subject=subject)
        return Alert(standing(percent, counter=counter), 0, may_repeat=False)

    many = [alert("many", f"u{number:03}", 80) for number in range(150)]
    found = digest([alert("mild", "al", 90), *many, alert("mild", "jo", 130), alert("mild", "a" * 5000, 85)])
    lines = found.body.splitlines()
    assert found.title == "LLM quotas: 1 over the limit, 152 near it" and found.urgency == "failure"
    assert lines[0] == "mild (gateway), tokens per day"
    assert [line.split(":")[0] for line in lines[1:4]] == ["- OVER THE LIMIT", "- 90% reached", "- 85% reached"]
    assert lines[4] == "many (gateway), tokens per day"
    said = len([line for line in lines if line.startswith("- ")])
    assert lines[-1] == f"And {153 - said} more: see the table llm_quota_usage."
    assert len(found.body) <= 1_900 and said >= 15


def test_one_line_speaks_of_all_windows_of_a_subject() -> None:
    def alert(minute: int, percent: int) -> Alert:
        start = datetime(2026, 11, 22, 9, minute)
        counter = replace(standing(80).counter, unit="requests_per_minute", window_start=start, counted_from=start)
        about = standing(percent, counter=counter, window_end=start + timedelta(minutes=1))
        return Alert(about, 0, may_repeat=minute == 7)

    found = digest([alert(5, 90), alert(6, 140), alert(7, 130)])
    assert found.title == "LLM quotas: 2 over the limit, 1 near it"
    assert found.body.splitlines()[1] == (
        "- * OVER THE LIMIT: user jo used 140 of 100 (140.0%), 2026-11-22 09:06-09:07 UTC; and in 2 other windows"
    )


def test_a_budget_says_its_currency_its_forecast_and_whether_it_can_be_relied_on() -> None:
    month = Counter("budgets", "search", "team", "search", "cost_per_month", *[datetime(2026, 11, 1)] * 2)
    about = standing(
        130, counter=month, window_end=datetime(2026, 12, 1), used=Decimal("1300.5"), limit_to=Decimal(1000),
        used_ratio=Decimal("1.3005"), is_reliable=False, unpriced_requests=7, forecast_usd=Decimal("1900"),
        enforcement="audit", breached_at=datetime(2026, 11, 14, 17, 20), detected_at=datetime(2026, 11, 16, 12),
    )  # fmt: skip
    assert digest([Alert(about, 0, may_repeat=False)]).body.splitlines()[1] == (
        "- OVER THE LIMIT: team search used 1,300.50 of 1,000.00 USD (130.1%), 2026-11-01 to 2026-11-30;"
        " crossed 2026-11-14 17:20, known since 2026-11-16 12:00; heading for 1,900.00 USD; audit rule;"
        " at least: 7 requests have no price"
    )


def test_a_name_out_of_a_log_commands_no_chat() -> None:
    counter = replace(standing(80).counter, subject="<!channel> @everyone\nfine", rule_id="\x1b[2J")
    body = digest([Alert(standing(80, counter=counter), 0, may_repeat=False)]).body
    assert "<" not in body and "@everyone" not in body and "\x1b" not in body and len(body.splitlines()) == 2


def test_no_url_is_shown_anywhere(
    built: KeptOpen,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    use(built, 85, 80, start=f"{utc_now():%Y-%m-%d}")
    built.close()
    unreachable = f"json://user:{SECRET}@127.0.0.1:9/{SECRET}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_SPEND_DATABASE", str(built.database))
    monkeypatch.setenv("LLM_SPEND_ALERT_URLS", f"{receiver.url} {unreachable}")
    shown = ""
    for arguments, code in (
        (["alerts", "--dry-run"], 0),
        (["--verbose", "alerts"], cli.NOT_ALERTED),
        (["alerts", "--json"], cli.NOT_ALERTED),
    ):
        assert run(monkeypatch, *arguments) == code
        captured = capsys.readouterr()
        shown += captured.out + captured.err
    monkeypatch.setenv("LLM_SPEND_ALERT_URLS", f"nowhere://{SECRET}")
    assert run(monkeypatch, "alerts") == cli.FAILED
    captured = capsys.readouterr()
    assert "Alert URL 1 of 1 is none that apprise can use" in captured.err
    monkeypatch.setenv("LLM_SPEND_ALERT_TIMEOUT_SECONDS", SECRET)
    assert run(monkeypatch, "alerts") == cli.FAILED
    monkeypatch.delenv("LLM_SPEND_ALERT_TIMEOUT_SECONDS")
    shown += captured.err + capsys.readouterr().err
    assert len(receiver.posts) == 1 and "no answer" in shown
    written = str(DuckDb(built.database).query("select * from llm_spend_raw.llm_spend__alerts"))
    shown += repr(read_settings()) + repr(targets(read_settings(alert_urls=unreachable).alert_urls, 2))
    assert SECRET not in shown + written and "127.0.0.1" not in shown + written


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call the command as the shell does; its exit code."""
    monkeypatch.setattr("sys.argv", ["llm-spend", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UserError, match=r"llm-spend\[alerts\]"):
        targets([SecretStr("json://localhost")], 2)
    assert targets([], 2) == ()


def test_without_a_target_it_says_where_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "alerts", "--database", "absent.duckdb") == cli.FAILED
    assert "LLM_SPEND_ALERT_URLS" in capsys.readouterr().err


def test_the_same_target_named_twice_is_told_once(receiver: Receiver) -> None:
    (once,) = targets([SecretStr(receiver.url), SecretStr(f" {receiver.url}")], 2)
    assert once.id == receiver.target.id


SOURCES = """
create table llm_spend.llm_source_health as select 'portkey' as source_system, 'prod' as source_instance,
    10::bigint as attempts, 0::bigint as duplicate_rows, 2::bigint as lines_quarantined, 1::bigint as unpriced_attempts,
    0::bigint as attempts_without_team, 0::bigint as attempts_without_usage, timestamp '2026-11-21' as first_event_at,
    timestamp '2026-11-22 11:00:00' as last_event_at, timestamp '2026-11-22 11:30:00' as last_loaded_at,
    timestamp '2026-11-22 11:30:00' as known_to, true as is_waited_for;
create table llm_spend.llm_usage_by_team_daily as select date '2026-11-22' as usage_date;
create table llm_spend.llm_load_history as select 'portkey' as source, 'prod' as source_instance, 1::bigint as files,
    9::bigint as size_bytes, timestamp '2026-11-22 11:30:00' as loaded_at, '1' as load_id;
create table llm_spend_internal.llm_spend__last_build as select '2026-11-22 11:45:00' as built_at;
insert into llm_spend.llm_budget_status values
    ('budgets', 'search "x"', 'team', 'search\\ny', '2026-11-01', '2026-12-01', 1000, 1300.5, 1.3005, 1900,
    'unreliable', true, 'v1'),
    ('budgets', 'search "x"', 'team', 'search\\ny', '2026-10-01', '2026-11-01', 1000, 1, 0.001, null,
    'exact', false, 'v1');
"""


@pytest.fixture
def with_sources(built: DuckDb) -> DuckDb:
    built.execute(SOURCES)
    use(built, 130, 120)
    use(built, 85, 80, subject="al")
    use(built, 130, 120, start="2026-11-20")
    return built


def test_the_file_of_metrics_is_read_by_both_parsers(with_sources: DuckDb, tmp_path: Path) -> None:
    file = tmp_path / "spend.prom"
    assert write_metrics(with_sources, file, NOW) == 0
    text = file.read_text()
    assert [path.name for path in tmp_path.glob("*prom*")] == ["spend.prom"], "nothing half written is left"
    found = {sample.name: sample for family in open_metrics(text) for sample in family.samples}
    assert {sample.name for family in prometheus_text(text) for sample in family.samples} == set(found)
    samples = [sample for family in open_metrics(text) for sample in family.samples]
    ratios = {s.labels["subject"]: s.value for s in samples if s.name == "llm_spend_quota_used_ratio"}
    assert ratios == {"jo": 1.3, "al": 0.85}, "of the current windows only"
    assert found["llm_spend_budget_spent_usd"].value == 1300.5
    assert found["llm_spend_budget_spent_usd"].labels == {
        "rule_set": "budgets", "rule": 'search "x"', "subject_type": "team", "subject": "search\\ny",
    }  # fmt: skip
    assert found["llm_spend_budget_limit_usd"].value == 1000
    assert found["llm_spend_budget_is_reliable"].value == 0
    assert found["llm_spend_breaches"].value == 1
    assert found["llm_spend_source_unpriced_ratio"].value == 0.1
    assert found["llm_spend_last_build_timestamp_seconds"].value == 1795347900
    with_sources.execute("drop table llm_spend_internal.llm_spend__last_build")
    write_metrics(with_sources, file, NOW)
    assert "\nllm_spend_last_build" not in file.read_text()


def test_metrics_are_bounded_and_say_how_many_are_left_out(
    with_sources: DuckDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "MOST_SERIES", 1)
    assert write_metrics(with_sources, tmp_path / "m.prom", NOW) == 1
    text = (tmp_path / "m.prom").read_text()
    assert 'subject="jo"' in text and 'subject="al"' not in text, "the highest stays"
    assert 'llm_spend_series_left_out{metric="llm_spend_quota_used_ratio"} 1.0' in text
    with pytest.raises(UserError, match="can't be written"):
        write_metrics(with_sources, tmp_path / "absent" / "m.prom", NOW)


@pytest.mark.parametrize("warehouse", [Snowflake.name, BigQuery.name])
def test_statements_are_ones_that_a_warehouse_parses(
    warehouse: str, with_sources: DuckDb, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are collected while DuckDB carries out what is said to the warehouse."""
    spoken: list[str] = []

    def with_literals(sql: str, parameters: Any) -> str:
        spoken.append(sql)
        return literals(sql, parameters)

    literals = duckdb_module._with_literals
    with_sources.execute("create type timestamp_ntz as timestamp")
    monkeypatch.setattr(DuckDb, "name", warehouse)
    monkeypatch.setattr(duckdb_module, "_with_literals", with_literals)
    told(with_sources, receiver)
    void(with_sources, 85, 80)
    told(with_sources, receiver, at=NOW + HOUR)
    with with_sources.reading() as connection:
        metrics_module.quota_gauges(with_sources, connection, NOW)
    assert len(receiver.posts) == 2 and len(spoken) > 15
    for statement in spoken:
        sqlglot.parse_one(statement.replace("%s", "'x'"), read=warehouse)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "slack://a/b/c mailto://x:y@z.com?to=a@z.com,b@z.com",
            ["slack://a/b/c", "mailto://x:y@z.com?to=a@z.com,b@z.com"],
        ),
        (" json://a,jsons://b,\n json://c ", ["json://a", "jsons://b", "json://c"]),
    ],
)
def test_urls_in_the_environment_are_told_apart(
    given: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_SPEND_ALERT_URLS", given)
    assert [url.get_secret_value() for url in read_settings().alert_urls] == expected


OK = BuildReport(3, 0, 5, (), (), (), 1.0)


@pytest.mark.parametrize(
    ("report", "status", "quarantined", "code", "posts"),
    [
        (OK, 200, 0, 0, 1),
        (OK, 200, 2, cli.QUARANTINED, 1),
        (OK, 500, 2, cli.NOT_ALERTED, 1),
        (replace(OK, failed_tests=("sums differ",)), 500, 0, cli.UNTRUSTED, 1),
        (replace(OK, failures=("fct: broken",)), 200, 0, cli.FAILED, 0),
    ],
)
def test_a_run_ends_with_alerts_and_says_when_one_could_not_be_sent(
    report: BuildReport,
    status: int,
    quarantined: int,
    code: int,
    posts: int,
    built: KeptOpen,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(built, 85, 80, start=f"{utc_now():%Y-%m-%d}")
    receiver.status = status
    monkeypatch.setattr(cli, "_load", lambda *arguments, **options: [{"quarantined": quarantined}])
    monkeypatch.setattr(cli, "_build", lambda *arguments, **options: report)
    monkeypatch.setattr(dbt_process, "DbtProcess", lambda destination: nullcontext())
    monkeypatch.setattr(cli, "_destination", lambda settings: built)
    monkeypatch.setenv("LLM_SPEND_ALERT_URLS", receiver.url)
    assert run(monkeypatch, "run", "portkey", "--path", "x", "--json") == code
    shown = capsys.readouterr()
    assert len(receiver.posts) == posts
    assert ("it answered with status 500" in shown.err) == (status == 500)
    assert ("No alerts: the tables were not built." in shown.err) == bool(report.failures)
    assert ["these numbers may be wrong" in message for message in receiver.messages] == [
        bool(report.failed_tests)
    ] * posts


def test_a_run_whose_alerts_fail_altogether_is_a_run_all_the_same(
    built: KeptOpen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    built.execute("drop table llm_spend.llm_budget_status")
    monkeypatch.setattr(cli, "_load", lambda *arguments, **options: [{"quarantined": 0}])
    monkeypatch.setattr(cli, "_build", lambda *arguments, **options: OK)
    monkeypatch.setattr(dbt_process, "DbtProcess", lambda destination: nullcontext())
    monkeypatch.setattr(cli, "_destination", lambda settings: built)
    monkeypatch.setenv("LLM_SPEND_METRICS_FILE", str(tmp_path / "m.prom"))
    monkeypatch.setenv("LLM_SPEND_ALERT_URLS", f"json://127.0.0.1:9/{SECRET}")
    assert run(monkeypatch, "run", "portkey", "--path", "x") == cli.NOT_ALERTED
    said = " ".join(capsys.readouterr().err.split())  # where lines break depends on how long the file's name is
    assert said.count("lacks llm_budget_status") == 2, "of metrics and of alerts"


def test_a_turn_that_is_nearly_over_sends_nothing_and_loses_nothing(built: DuckDb, receiver: Receiver) -> None:
    use(built, 85, 80)
    times = iter([NOW, *[NOW + 8 * timedelta(minutes=1)] * 9])
    report = send(built, [receiver.target], RULES, clock=lambda: next(times))
    assert "took too long" in report.problems[0] and not receiver.posts
    told(built, receiver, at=NOW + HOUR)
    assert len(receiver.posts) == 1
