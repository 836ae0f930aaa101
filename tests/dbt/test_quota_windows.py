"""Quota windows of random rules and logs: the compiled SQL of the demo's build beside an implementation in Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend.destinations.duckdb import DuckDb
from tests.conftest import Demo
from tests.dbt.compiled import compiled_sql, known_sources
from tests.dbt.quota_oracle import Request, Rule, Window, forecast, known, period, windows

pytestmark = pytest.mark.slow

MODELS = (
    "llm_quota_rules",
    "int_quota_matches",
    "int_quota_sums",
    "llm_quota_usage",
    "int_quota_crossings",
    "int_quota_breach_ledger",
    "llm_quota_breaches",
    "llm_budget_status",
)
LEDGER = "int_quota_breach_ledger"
CHECKS = ("assert_quota_rules_readable", "assert_quota_rule_versions_agree", "assert_breaches_equal_breached_usage")

RULE_COLUMNS = (
    "rule_set", "rule_id", "rule_order", "evaluation", "subject_type", "subject", "models", "metadata_key",
    "metadata_value", "conditions", "applies_per", "unit", "limit_to", "overrides", "time_zone", "enforcement",
    "alert_thresholds", "valid_from", "valid_to",
)  # fmt: skip
COLUMN_OF = {
    "user": "user_id", "team": "team_id", "virtualaccount": "virtual_account", "api_key": "api_key_id",
    "customer": "customer_id", "feature": "feature_id", "cost_center": "cost_center_id", "environment": "environment",
    "model": "requested_model", "provider": "provider",
}  # fmt: skip
NAMED = ("user", "team", "customer", "feature", "cost_center", "environment")
"""The fact has `(unallocated)` where it does not know them."""
FACT = {
    "request_key": "varchar", "usage_date": "date", "started_at": "timestamp", "loaded_at": "timestamp",
    "is_of_record": "boolean", "is_final_attempt": "boolean", "status": "varchar", "price_status": "varchar",
    "is_gateway_cache_hit": "boolean", "model_id": "varchar", "metadata": "json", "input_tokens": "bigint",
    "output_tokens": "bigint", "total_tokens": "bigint", "cost_usd": "decimal(38, 12)",
} | dict.fromkeys(COLUMN_OF.values(), "varchar")  # fmt: skip

LOADED = "select usage_date, loaded_at as last_loaded_at from fct_llm_requests"

MEMBERS = {
    "user": ("ann@acme.com", "bob@x.org", "auth0|7", "50%"),
    "team": ("a|b", "c=d;e", "core"),
    "virtualaccount": ("va-1", "va-2"),
    "api_key": ("k1", "k2"),
    "customer": ("acme", "acme.com", "b"),
    "feature": ("chat", "search"),
    "cost_center": ("cc-1", "cc-2"),
    "environment": ("prod", "test"),
    "model": ("gpt-4.1", "gpt-4o-mini", "main/claude-x", "gpt-4-1"),
    "provider": ("openai", "anthropic"),
    "metadata.plan": ("free", "pro;2", "a.c"),
    "metadata.is=odd": ("1",),
}
MODEL_IDS = ("gpt-4.1", "claude-x", None)
FIRST, DAYS = datetime(2026, 3, 26), 9
"""A change to summer time, a month and a quarter begin in these days."""
UNITS = ("minute", "hour", "day", "day", "week", "month", "quarter", "lifetime", "3d", "1d")
LIMITS = {"requests": ["0", "1", "3", "8"], "tokens": ["0", "9", "40"], "cost": ["0", "0.5", "1.25", "4"]}
ZONES = ("", "", "", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Atlantic/Azores", "UTC")


def quota_sql(target: Path) -> dict[str, str]:
    return {name: compiled_sql(target, name) for name in (*MODELS, *CHECKS)}


def encoded(text: str) -> str:
    for sign in "%;|=":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


class Log:
    """Rules and requests by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        # The last load may be of a day that runs, and some of its requests dated ahead.
        loads = [FIRST + timedelta(days=day, hours=5) for day in (2, 5, self.chance.choice([DAYS + 1, DAYS - 2]))]
        self.rules = [row for number in range(4) for row in self._rule_set(number)]
        self.requests = [self._request(number, loads) for number in range(120)]

    def _rule_set(self, number: int) -> list[Rule]:
        evaluation = self.chance.choice(["first_match", "all_match"])
        rows: list[Rule] = []
        for order in range(1, 8):
            changed = str(FIRST.date() + timedelta(days=self.chance.randrange(8)))
            for since, until in self.chance.choice([[("2026-01-31", "")], [("2026-01-31", changed), (changed, "")]]):
                version = {"rule_set": f"s{number}", "rule_id": f"r{order}", "rule_order": str(order)}
                version |= {"evaluation": evaluation, "valid_from": since, "valid_to": until} | self._rule()
                rows += [version | subject for subject in self._subjects()]
        return rows

    def _rule(self) -> dict[str, str]:
        measure, window = self.chance.choice(["requests", "tokens", "cost"]), self.chance.choice(UNITS)
        per = "|".join(self.chance.sample(sorted(MEMBERS), self.chance.choice([0, 0, 1, 2])))
        limits = {"requests": ["0", "1", "3", "8"], "tokens": ["0", "9", "40"], "cost": ["0", "0.5", "1.25", "4"]}[
            measure
        ]
        members = MEMBERS[per.split("|")[0]] if per and self.chance.random() < 0.5 else ()
        paired = self.chance.random() < 0.1
        return {
            "models": self.chance.choice(["", "", "", "gpt-4.1|gpt-4o-mini", "gpt-4.*", "*claude*|gpt-4-1"]),
            "metadata_key": "plan" if paired else "",
            "metadata_value": self.chance.choice(MEMBERS["metadata.plan"]) if paired else "",
            "conditions": ";".join(self._condition() for _ in range(self.chance.choice([0, 0, 0, 1, 2, 3]))),
            "applies_per": per,
            "unit": f"{measure}_per_{window}",
            "limit_to": self.chance.choice([*limits, *limits, ""]),
            "overrides": "|".join(f"{encoded(each)}={self.chance.choice(limits)}" for each in members[1:]),
            "time_zone": self.chance.choice(ZONES),
            "enforcement": self.chance.choice(["", "audit"]),
            "alert_thresholds": self.chance.choice(["", "", "100|50", "75|90|100|120", "100"]),
        }

    def _subjects(self) -> list[dict[str, str]]:
        kinds = [each for each in MEMBERS if each not in ("model", "provider") and not each.startswith("metadata")]
        if self.chance.random() < 0.6:
            return [{"subject_type": "*", "subject": "*"}]
        chosen = {(kind, self.chance.choice(MEMBERS[kind])) for kind in self.chance.choices(kinds, k=2)}
        return [{"subject_type": kind, "subject": subject} for kind, subject in sorted(chosen)]

    def _condition(self) -> str:
        key = self.chance.choice(sorted(MEMBERS))
        values = [
            encoded(each) for each in self.chance.sample(MEMBERS[key], self.chance.choice([1, 1, len(MEMBERS[key])]))
        ]
        if self.chance.random() < 0.3:
            values[0] = self.chance.choice(["*", values[0][:2] + "*", "*" + values[0][-1:], "*e*"])
            values[0] = values[0] if values[0].count("%") == values[0].count("%2") + values[0].count("%3") else "*"
        return f"{encoded(key)}{self.chance.choice(['', '', '!'])}={'|'.join(values)}"

    def _request(self, number: int, loads: Sequence[datetime]) -> Request:
        step = self.chance.choice([timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=7)])
        started = FIRST + (self.chance.randrange(timedelta(days=DAYS) // step) * step)
        later = [each for each in loads if each > started] or loads[-1:]
        who = {name: self.chance.choice(values) for name, values in MEMBERS.items() if self.chance.random() < 0.8}
        some_cost = Decimal(self.chance.randrange(10**12)).scaleb(-12)
        is_hit, is_measured = self.chance.random() < 0.1, self.chance.random() < 0.8
        return Request(
            key=f"q{number:03}",
            started_at=started,
            loaded_at=self.chance.choice(later),
            who={"model": "gpt-4.1"} | who,
            model_id=self.chance.choice(MODEL_IDS),
            is_final=self.chance.random() < 0.9,
            is_cache_hit=is_hit,
            is_blocked=self.chance.random() < 0.2,
            is_unmeasured=not is_measured,
            is_of_record=self.chance.random() < 0.95,
            input_tokens=self.chance.randrange(20) if is_measured else None,
            output_tokens=self.chance.choice([None, 1, 5]),
            cost=self.chance.choice([None, Decimal(0), Decimal("0.25"), some_cost]),
        )


def fact_row(request: Request) -> dict[str, Any]:
    tags = {
        name.removeprefix("metadata."): value for name, value in request.who.items() if name.startswith("metadata.")
    }
    columns = {
        column: request.who.get(name, "(unallocated)" if name in NAMED else None) for name, column in COLUMN_OF.items()
    }
    return columns | {
        "request_key": request.key,
        "usage_date": request.started_at.date(),
        "started_at": request.started_at,
        "loaded_at": request.loaded_at,
        "is_of_record": request.is_of_record,
        "is_final_attempt": request.is_final,
        "status": "blocked_rate_limit" if request.is_blocked else "success",
        "price_status": "unmeasured" if request.is_unmeasured else "priced",
        "is_gateway_cache_hit": request.is_cache_hit,
        "model_id": request.model_id,
        "metadata": tags,
        "input_tokens": request.input_tokens,
        "output_tokens": request.output_tokens,
        "total_tokens": request.tokens,
        "cost_usd": request.cost,
    }


class Quotas:
    """A database in memory in which the models of the quotas are made from given rules and requests."""

    def __init__(self, sql: dict[str, str]) -> None:
        self.database = duckdb.connect()
        self.sql = sql
        self._create("fct_llm_requests", FACT)
        self._create("quota_rules", dict.fromkeys(RULE_COLUMNS, "varchar"))
        self.database.execute(
            """
            create view int_usage_dates as
            select
                usage_date,
                md5(string_agg(cast(requests as varchar), ';' order by request_key) || rules) as quota_version,
                quota_version as date_version
            from fct_llm_requests as requests
            cross join (
                select coalesce(string_agg(cast(quota_rules as varchar), ';'), '') as rules from quota_rules
            )
            group by usage_date, rules
            """
        )
        self.database.execute(known_sources(LOADED))

    def fill(self, rules: Sequence[Rule], requests: Sequence[Request]) -> None:
        self._insert("quota_rules", RULE_COLUMNS, rules)
        self._insert("fct_llm_requests", list(FACT), [fact_row(each) for each in requests])

    def build(self, models: Sequence[str] = MODELS) -> None:
        for name in models:
            self.database.execute(f"create or replace table {name} as {self.sql[name]}")

    def build_again(self, ledger_sql: str) -> None:
        """What an incremental build leaves; in `int_quota_breach_ledger` it replaces rows by their key."""
        before, after = (MODELS[: MODELS.index(LEDGER)], MODELS[MODELS.index(LEDGER) + 1 :])
        self.build(before)
        self.database.execute(f"create or replace temp table found as {ledger_sql}")
        key = "(rule_key, subject, window_start)"
        self.database.execute(f"delete from {LEDGER} where {key} in (select {key} from found)")
        self.database.execute(f"insert into {LEDGER} by name from found")
        self.build(after)

    def rows(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        return self.database.execute(f"select {columns} from {table}").fetchall()

    def _create(self, name: str, columns: dict[str, str]) -> None:
        self.database.execute(f"create table {name} ({', '.join(f'{each} {kind}' for each, kind in columns.items())})")

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Any]) -> None:
        self.database.execute(f"delete from {table}")
        marks = ", ".join("?" * len(columns))
        values = [[row[column] for column in columns] for row in rows]
        if values:
            self.database.executemany(f"insert into {table} values ({marks})", values)


COUNTER = "rule_key, subject_type, subject, window_start"


@pytest.fixture(scope="module")
def quotas(demo: Demo) -> Quotas:
    return Quotas(quota_sql(DuckDb(demo.database).work_dir / "dbt_project" / "target"))


@settings(max_examples=4, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**32))
def test_windows_breaches_and_budgets_are_those_of_the_rules(quotas: Quotas, seed: int) -> None:
    check(quotas, Log(seed))


def check(quotas: Quotas, log: Log) -> None:
    quotas.fill(log.rules, log.requests)
    quotas.build()
    for name in CHECKS:
        assert quotas.database.execute(quotas.sql[name]).fetchall() == [], name
    expected = windows(log.rules, log.requests)
    found = {
        tuple(row[:4]): tuple(row[4:])
        for row in quotas.rows(
            f"{COUNTER}, window_end, limit_to, used, status, threshold_reached, observed_blocks, unmeasured_requests,"
            " unpriced_requests, unpriced_tokens, is_reliable",
            "llm_quota_usage",
        )
    }
    assert found == {tuple(counter): _usage(window) for counter, window in expected.items()}
    breached = {counter: window for counter, window in expected.items() if window.status == "breached"}
    assert {tuple(row[:4]): row[4:] for row in quotas.rows(
        f"{COUNTER}, breached_at, breach_request_key, detected_at, overage, voided_at", "llm_quota_breaches"
    )} == {
        tuple(counter): (request.started_at, request.key, detected_at, window.used - window.limit, None)
        for counter, window in breached.items()
        for request, detected_at in [window.crossing()]
    }  # fmt: skip
    _check_budgets(quotas, log, expected)


def _usage(window: Window) -> tuple[Any, ...]:
    return (
        window.end,
        window.limit,
        window.used,
        window.status,
        window.threshold_reached,
        window.blocked,
        window.unmeasured,
        len(window.unpriced),
        sum(request.tokens for request in window.unpriced),
        window.is_reliable,
    )


def _check_budgets(quotas: Quotas, log: Log, expected: dict[Any, Window]) -> None:
    as_of, known_to = known(log.requests)
    budgets = {
        tuple(counter): (counter, window)
        for counter, window in expected.items()
        if window.rule["unit"].startswith("cost") and not window.rule["unit"].endswith(("minute", "hour"))
    }
    found = quotas.rows(
        "rule_key, subject_type, subject, period_start, period_end, budget_usd, spent_usd, remaining_usd, status,"
        " reliability, is_current, as_of, known_to, forecast_usd",
        "llm_budget_status",
    )
    assert {tuple(row[:4]) for row in found} == set(budgets)
    for row in found:
        counter, window = budgets[tuple(row[:4])]
        start, end = period(window, counter)
        assert row[4:13] == (
            window.end,
            window.limit,
            window.used,
            window.limit - window.used,
            window.status,
            "exact" if not window.unpriced else "unreliable",
            start < known_to and (end is None or end >= known_to),
            as_of,
            known_to,
        ), counter
        exact = forecast(window, counter, known_to)
        assert (row[13] is None) == (exact is None), counter
        if exact is not None:
            assert abs(Fraction(row[13]) - exact) <= Fraction(51, 10_000), counter


def rule(rule_id: str, unit: str, limit: str, **others: str) -> Rule:
    plain = dict.fromkeys(RULE_COLUMNS, "") | {"subject_type": "*", "subject": "*", "valid_from": "2020-01-01"}
    named = {"rule_set": "s", "rule_id": rule_id, "rule_order": "1", "evaluation": "all_match"}
    return plain | named | {"unit": unit, "limit_to": limit} | others


def costs(*usd: tuple[str, str, str | None]) -> list[Request]:
    """Requests of $x: when they were made and loaded (`2026-03-14 17:20`), and the cost, None without a price."""
    return [
        Request(
            key=f"r{number}",
            started_at=datetime.fromisoformat(made),
            loaded_at=datetime.fromisoformat(loaded),
            who={"model": "m"},
            input_tokens=100,
            cost=None if cost is None else Decimal(cost),
        )
        for number, (made, loaded, cost) in enumerate(usd)
    ]


def test_c84_a_monthly_budget_begins_with_the_month_and_one_of_30_days_with_its_rule(quotas: Quotas) -> None:
    days = ("2026-03-10", "2026-03-31", "2026-04-01", "2026-04-08", "2026-04-09")
    budgets = [
        rule(unit, f"cost_per_{unit}", "10", rule_order=str(order), valid_from="2026-03-10")
        for order, unit in enumerate(("month", "30d"))
    ]
    quotas.fill(budgets, costs(*((f"{day} 00:00", "2026-05-01", "1") for day in days)))
    quotas.build()
    found = quotas.rows("rule_id, period_start, period_end, spent_usd", "llm_budget_status order by all")
    assert found == [
        ("30d", datetime(2026, 3, 10), datetime(2026, 4, 9), 4),
        ("30d", datetime(2026, 4, 9), datetime(2026, 5, 9), 1),
        ("month", datetime(2026, 3, 1), datetime(2026, 4, 1), 2),
        ("month", datetime(2026, 4, 1), datetime(2026, 5, 1), 3),
    ]


@pytest.mark.parametrize(
    ("loaded", "ahead", "as_of", "known_to", "forecast"),
    [
        ("2026-03-16 00:00", None, "2026-03-15", "2026-03-16 00:00", "310.00"),
        ("2026-04-05 08:00", None, "2026-03-15", "2026-03-16 00:00", "310.00"),
        ("2026-03-15 12:00", None, "2026-03-15", "2026-03-15 12:00", "320.69"),
        ("2026-03-15 12:00", "2026-03-30 00:00", "2026-03-15", "2026-03-15 12:00", "320.69"),
        ("2026-03-15 12:00", "2031-01-01 00:00", "2026-03-15", "2026-03-15 12:00", "320.69"),
    ],
)
def test_a_forecast_knows_no_more_than_was_loaded(
    quotas: Quotas, loaded: str, ahead: str | None, as_of: str, known_to: str, forecast: str
) -> None:
    usd = [("2026-03-01 09:00", loaded, "100"), ("2026-03-15 09:00", loaded, "50")]
    quotas.fill([rule("m", "cost_per_month", "999")], costs(*usd, *([(ahead, loaded, "0")] if ahead else [])))
    quotas.build()
    found = quotas.rows(
        "as_of, known_to, forecast_usd, is_current", "llm_budget_status where period_start = '2026-03-01'"
    )
    assert found == [(date.fromisoformat(as_of), datetime.fromisoformat(known_to), Decimal(forecast), True)]
    assert quotas.rows("count(*)", "llm_budget_status where is_current") == [(1,)]


@pytest.mark.parametrize(
    ("slow_to", "usd", "known_to", "forecast"),
    [
        # $100 in ten days; what comes after them is spent, and tells no rate.
        ("2026-03-11 07:00", 90, "2026-03-11 00:00", "310.00"),
        ("2026-03-11 07:00", 400, "2026-03-11 00:00", "500.00"),
        ("2026-02-27 07:00", 90, "2026-02-27 00:00", None),
    ],
)
def test_a_forecast_is_that_of_the_days_before_a_source_is_late(
    quotas: Quotas, slow_to: str, usd: int, known_to: str, forecast: str | None
) -> None:
    loaded = "2026-03-16 00:00"
    quotas.fill(
        [rule("m", "cost_per_month", "999")],
        costs(("2026-03-01 09:00", loaded, "100"), ("2026-03-15 09:00", loaded, str(usd))),
    )
    quotas.database.execute(known_sources(LOADED, slow_to))
    quotas.build()
    quotas.database.execute(known_sources(LOADED))
    assert quotas.rows("known_to, forecast_usd, spent_usd, is_current", "llm_budget_status") == [
        (datetime.fromisoformat(known_to), forecast and Decimal(forecast), 100 + usd, True)
    ]


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("Atlantic/Azores", "2026-10-25 00:00", "2026-10-26 01:00"),
        ("Atlantic/Azores", "2026-03-29 01:00", "2026-03-30 00:00"),
        ("America/Havana", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("America/Nuuk", "2026-03-29 01:00", "2026-03-30 01:00"),
    ],
)
def test_a_day_begins_with_the_first_of_two_midnights_and_where_there_is_none(
    quotas: Quotas, zone: str, start: str, end: str
) -> None:
    hours = [datetime.fromisoformat(start) + timedelta(hours=hour) for hour in range(-1, 26)]
    in_day = [at for at in hours if datetime.fromisoformat(start) <= at < datetime.fromisoformat(end)]
    requests = costs(*((f"{at:%Y-%m-%d %H:%M}", "2027-01-01", "1") for at in hours))
    quotas.fill([rule("d", "cost_per_day", "99", time_zone=zone)], requests)
    quotas.build()
    (found,) = quotas.rows("window_start, window_end, used", f"llm_quota_usage where window_start = '{start}'")
    assert found == (datetime.fromisoformat(start), datetime.fromisoformat(end), len(in_day))


def test_c86_a_breach_that_is_found_late_has_the_time_of_its_request(quotas: Quotas) -> None:
    quotas.fill(
        [rule("month", "cost_per_month", "500")],
        costs(
            ("2026-03-02 09:00", "2026-03-02 12:00", "400"),
            ("2026-03-14 17:20", "2026-03-16 08:00", "101"),
            ("2026-03-15 10:00", "2026-03-15 12:00", "90"),
        ),
    )
    quotas.build()
    assert quotas.rows("breached_at, breach_request_key, detected_at, used, overage", "llm_quota_breaches") == [
        (datetime(2026, 3, 14, 17, 20), "r1", datetime(2026, 3, 16, 8), 591, 91)
    ]


def test_c88_every_rule_that_a_request_exceeds_is_there(quotas: Quotas) -> None:
    names = ("first", "second", "third")
    limits = [rule(name, "requests_per_day", str(n), rule_order=str(n)) for n, name in enumerate(names)]
    quotas.fill(limits, costs(("2026-03-14 09:00", "2026-03-15", "1"), ("2026-03-14 10:00", "2026-03-15", "1")))
    quotas.build()
    assert quotas.rows("rule_id, used, breach_request_key", "llm_quota_breaches order by all") == [
        ("first", 2, "r0"),
        ("second", 2, "r1"),
    ]


def test_c89_what_has_no_price_makes_a_budget_unreliable_and_is_not_nothing(quotas: Quotas) -> None:
    days = [("2026-03-01 09:00", "2026-03-15", "40"), ("2026-03-10 09:00", "2026-03-15", None)]
    quotas.fill([rule("month", "cost_per_month", "50")], costs(*days))
    quotas.build()
    columns = "spent_usd, unpriced_tokens, unpriced_requests, status, reliability, forecast_usd"
    assert quotas.rows(columns, "llm_budget_status") == [(40, 100, 1, "warning", "unreliable", 124)]
    assert quotas.rows("used, is_reliable", "llm_quota_usage") == [(40, False)]


def test_cells_that_cannot_be_read_are_named(quotas: Quotas) -> None:
    wrong = {
        "rule_order": ("first",),
        "evaluation": ("any_match", ""),
        "subject_type": ("model", "person"),
        "unit": ("cost_per_year", "usd_per_day", "requests_per_0d", "tokens_per_10_days", ""),
        "limit_to": ("-1", "1e3", "5 USD", "0.1234567890123"),
        "conditions": ("user", "colour=red", "user=", "team=a=b", ";".join(f"metadata.k{n}=v" for n in range(7))),
        "applies_per": ("colour", "user|team|model", "metadata."),
        "overrides": ("ann", "ann=x", "ann=1|"),
        "time_zone": ("+02:00", "Berlin time"),
        "enforcement": ("block",),
        "alert_thresholds": ("80%", "0.8", "80,100", "1|2|3|4|5|6|7"),
        "valid_from": ("yesterday", ""),
        "valid_to": ("2026-02-30",),
    }
    right = rule("r", "cost_per_day", "5.25", applies_per="user|metadata.a.b", conditions="user!=*%7C;metadata.k%3D=v")
    right |= {"overrides": "50%25=0.5|b=1", "time_zone": "America/Argentina/Buenos_Aires", "alert_thresholds": "50|120"}
    cells = [(column, text) for column, texts in wrong.items() for text in texts]
    rules = [right | {"rule_id": f"{number}", column: text} for number, (column, text) in enumerate(cells)]
    others = {
        "conditions (user ids are lower case)": {"conditions": "team=A;user=Ann@x.org"},
        "overrides (user ids are lower case)": {"overrides": "b=1|Ann@x.org=0.5"},
        "limit_to or overrides (requests and tokens are whole)": {"unit": "tokens_per_day", "overrides": "b=0.5"},
        "conditions or overrides (% is written %25)": {"conditions": "user=50%"},
    }
    rules += [right | {"limit_to": "5", "rule_id": name} | columns for name, columns in others.items()]
    quotas.fill([right, *rules], [])
    found = quotas.database.execute(quotas.sql[CHECKS[0]]).fetchall()
    named = {(column, rule_id) for column, _, rule_id, *_ in found}
    assert named >= {(column, str(number)) for number, (column, _) in enumerate(cells)}
    assert named >= {(name, name) for name in others}
    assert "r" not in {rule_id for _, rule_id in named}
