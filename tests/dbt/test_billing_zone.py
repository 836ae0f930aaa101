"""Months of statements in a time zone: whole hours of requests, closed months that keep theirs, bills by UTC day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from llm_spend.billing_months import hours
from llm_spend.close_ledger import Action, Entry, closings
from llm_spend.windows import Window
from tests.dbt.test_period_close import NOV, OCT, SEP, Installation, compiled

pytestmark = pytest.mark.slow

# At $10 a million; September ends in New York at 04:00 UTC, October in Kolkata at 18:30 UTC.
LOG = """september,2026-09-15 12:00:00,100000000,0,ads
last of september,2026-10-01 03:59:59.999,10000000,0,ads
first of october,2026-10-01 04:00:00,20000000,0,ads
halloween,2026-10-31 20:00:00,30000000,0,ads
last of october,2026-11-01 03:59:59,40000000,0,ads
november,2026-11-01 04:00:00,50000000,0,ads
"""
LATE = "late,2026-10-01 02:00:00,1000000,0,ads\nnot late,2026-10-01 06:00:00,1000000,0,ads\n"
MODELS = ["+llm_chargeback_restatements", "+llm_chargeback_statements", "+llm_usage_by_team_daily"]
MODELS += ["+llm_chargeback_current_view", "+focus_cost_and_usage"]
MONTHS = [date(2026, number, 1) for number in range(1, 13)]
LEDGER = "ledger(billing_period, action, closed_at, time_zone, closing)"
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "Pacific/Kiritimati", "Australia/Lord_Howe")
PERIODS = """
    select distinct x_BillingPeriod, BillingPeriodStart, BillingPeriodEnd
    from llm_spend.focus_cost_and_usage order by all
"""


class ZonedInstallation(Installation):
    """One whose months begin in a time zone."""

    zone = "America/New_York"
    models = MODELS

    def own_usage(self) -> dict[date, int]:
        """What statements charge for the usage of each month."""
        own = "line_type = 'direct' group by billing_period"
        return dict(
            self.rows(f"select billing_period, sum(amount_usd) from llm_spend.llm_chargeback_lines where {own}")
        )

    def costs(self) -> dict[str, int]:
        """What each request costs, by its id."""
        return dict(self.rows("select source_record_id, cost_usd from llm_spend.fct_llm_requests"))


def test_closed_months_keep_their_hours_and_prices_and_every_cent_is_in_one_month(tmp_path: Path) -> None:
    books = ZonedInstallation(tmp_path)
    books.load(LOG)
    books.price(("10", "2026-01-01", ""))
    books.close(SEP, "2026-10-05 09:00:00")
    books.build()
    closed = books.closed()
    assert books.own_usage() == {SEP: 1_100, OCT: 900, NOV: 500}

    # The price is corrected, and of one UTC date, in which September ended, rows of both months come late.
    books.price(("8", "2026-01-01", ""))
    books.load(LATE)
    books.build()
    assert books.closed() == closed
    costs = books.costs()
    assert (costs["last of september"], costs["late"]) == (100, 10), "at the price of the closing"
    assert (costs["first of october"], costs["not late"]) == (160, 8), "at today's"
    assert books.own_usage() == {SEP: 1_100, OCT: 728, NOV: 400}
    assert books.restated() == [
        (OCT, SEP, "late_data", "cc1", 10),
        (OCT, SEP, "price_correction", "cc1", -222),
    ]

    # Another zone: September stays, October begins where it ended. And a bill of October, which is one of UTC days: on
    # those a price corrects nothing, and what it adds is October's, though some of its usage is of other months.
    books.zone = "Asia/Kolkata"
    invoice = {"billing_period": "2026-10-01", "provider": "openai", "invoice_id": "1", "charge_category": "Usage"}
    books.write("provider_invoices", invoice | {"amount": "1000", "currency": "USD"})
    books.build(test=True)
    assert books.closed() == closed
    assert books.own_usage() == {SEP: 1_100, OCT: 168, NOV: 960}
    assert books.restated() == [
        (OCT, SEP, "late_data", "cc1", 10),
        (OCT, SEP, "price_correction", "cc1", -200),
    ]
    usage_of_bill = 100 + 10 + 160 + 8 + 240
    true_up = "select billing_period, sum(amount_usd) from llm_spend.llm_chargeback_lines where line_type = 'true_up'"
    assert books.rows(f"{true_up} group by 1") == [(OCT, 1000 - usage_of_bill)]
    total = "select sum(amount_usd) from llm_spend.llm_chargeback_lines where line_type <> 'shared'"
    assert books.rows(total) == [(800 + 1000 + 720,)], "September's usage, the bill of October, November's usage"
    starts = [datetime(2026, 9, 1, 4), datetime(2026, 10, 1, 4), datetime(2026, 10, 31, 18, 30)]
    assert books.rows(PERIODS) == [
        (SEP, starts[0], starts[1]),
        (OCT, starts[1], starts[2]),
        (NOV, starts[2], datetime(2026, 11, 30, 18, 30)),
    ]
    check_months_of_random_ledgers(books)


def check_months_of_random_ledgers(books: Installation) -> None:
    """Months follow each other without a gap, whatever was closed when and in which zone, in SQL as in Python."""
    names = ("int_closed_periods", "int_month_starts")
    statements = [(name, compiled(books.destination, name)) for name in names]
    chance = random.Random(5)
    with duckdb.connect(":memory:") as asked:
        asked.execute("set TimeZone = 'UTC'; attach ':memory:' as closed; use closed; create schema llm_spend_internal")
        for _ in range(12):
            entries = list(random_ledger(chance))
            lines = ", ".join(
                f"(date '{each.billing_period}', '{each.action}', timestamp '{each.closed_at}', '{each.time_zone}', '')"
                for each in entries
            )
            for name, sql in [("stg_rules__period_close", f"from (values {lines}) as {LEDGER}"), *statements]:
                asked.execute(f"create or replace table llm_spend_internal.{name} as {sql}")
            in_force = closings(entries)
            expected = {month: hours(month, books.zone, in_force) for month in MONTHS}
            assert all(one.end == next_one.start for one, next_one in pairwise(expected.values()))
            closed = {month: expected[month] for month in in_force}
            found = asked.execute(
                "select billing_period, starts_at, ends_at from llm_spend_internal.int_closed_periods"
            )
            assert {month: Window(start, end) for month, start, end in found.fetchall()} == closed
            found = asked.execute("select billing_period, starts_at from llm_spend_internal.int_month_starts")
            starts = {month: datetime.combine(month, time()) for month in MONTHS} | dict(found.fetchall())
            assert [starts[month] for month in MONTHS] == [each.start for each in expected.values()]


def random_ledger(chance: random.Random) -> Iterator[Entry]:
    at = datetime(2026, 12, 1)
    for month in chance.sample(MONTHS[1:-1], chance.randrange(1, 7)):
        actions: tuple[Action, ...] = ("close", "reopen", "close")
        for action in actions[: chance.choice((1, 1, 2, 3))]:
            at += timedelta(hours=chance.randrange(1, 50))
            yield Entry(month, action, at, "jo", "", chance.choice(ZONES))
