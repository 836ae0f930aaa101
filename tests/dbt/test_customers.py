"""Plans and statements of customers: exact cases over made-up tables, a reference in Python, and the demo's truth."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from llm_spend.demo import Truth, customers
from llm_spend.demo.customers import Contract, Plan
from llm_spend.demo.ledger import COLUMNS
from llm_spend.demo.truth import FORMAT, CustomerMonth
from llm_spend.destinations import DuckDb
from tests.conftest import Demo, query
from tests.dbt.compiled import compiled_sql, known_sources, seed_table

pytestmark = pytest.mark.slow

NOBODY = "(unallocated)"
MODELS = (
    "stg_rules__customer_plans",
    "stg_rules__customers",
    "dim_llm_customers",
    "llm_customer_plan_usage",
    "llm_customer_statements",
)
CHECKS = ("assert_customer_seeds_make_sense", "assert_customers_sum_to_days", "warn_plans_without_amount")
PLANS = """\
plan_id,plan_name,monthly_fee,currency,usd_per_unit,included_tokens,tier_from_tokens,price_per_million_tokens,is_offered,valid_from,valid_to
"""
CUSTOMERS = "customer_id,customer_name,plan_id,account_owner,valid_from,valid_to\n"

DAYS = """
    select
        day as usage_date, customer_id, count(*)::bigint as requests, sum(tokens)::bigint as total_tokens,
        sum(cost)::decimal(38, 12) as cost_usd, (count(*) - count(cost))::bigint as unpriced_requests,
        coalesce(sum(tokens) filter (cost is null), 0)::bigint as unpriced_tokens,
        min(day)::timestamp as first_seen_at, max(day)::timestamp as last_seen_at
    from used group by all
"""
MODEL_DAYS = f"""
    select day as usage_date, customer_id, model_id, sum(tokens)::bigint as total_tokens
    from used where customer_id <> '{NOBODY}' and tokens > 0 group by all
"""
MONTHS = """
    select
        strftime(billing_period, '%Y-%m') as month, customer_id, plan_id, used_tokens, overage_tokens, fee_usd,
        overage_usd, revenue_usd, cost_usd, recommended_plan, recommended_saving_usd
    from llm_customer_plan_usage
"""
TIERS = """
    select strftime(billing_period, '%Y-%m'), customer_id, tier_from_tokens, quantity_tokens, amount_usd
    from llm_customer_statements where line_type = 'overage' order by line_number
"""

Use = tuple[str, str, str, int, str | None]
"""Day, customer, model, tokens, cost in USD."""


@pytest.fixture(scope="module")
def sql(demo: Demo) -> dict[str, str]:
    """The compiled query of every model and data test of customers."""
    target = DuckDb(demo.database).work_dir / "dbt_project" / "target"
    return {name: compiled_sql(target, name) for name in (*MODELS, *CHECKS)}


class Books:
    """The models of customers over made-up seeds and usage."""

    def __init__(
        self,
        sql: dict[str, str],
        plans: str = "",
        contracts: str = "",
        usage: Iterable[Use] = (),
        rates: str = "",
        loaded: str = "day + interval 1 day",
    ) -> None:
        self.sql = sql
        self.connection = duckdb.connect()
        seed_table(self.connection, "customer_plans", PLANS + plans)
        seed_table(self.connection, "customers", CUSTOMERS + contracts)
        seed_table(self.connection, "rates", "currency,usd_per_unit,valid_from,valid_to\n" + rates)
        self.connection.execute(
            """
            create view stg_prices__fx_rates as
            select
                currency, usd_per_unit::decimal(18, 12) as usd_per_unit, valid_from::timestamp as valid_from,
                valid_to::timestamp as valid_to
            from rates;
            create table used (
                day date, customer_id varchar, model_id varchar, tokens bigint, cost decimal(38, 12)
            )
            """
        )
        if lines := list(usage):
            self.connection.executemany("insert into used values (?, ?, ?, ?, ?)", lines)
        self.connection.execute(f"create view llm_usage_by_customer_daily as {DAYS}")
        self.connection.execute(f"create view int_customer_models_daily as {MODEL_DAYS}")
        # Loaded at the end of the last day that is used, unless said otherwise.
        self.connection.execute(known_sources(f"select day as usage_date, {loaded} as last_loaded_at from used"))
        for model in MODELS:
            self.connection.execute(f"create view {model} as {sql[model]}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def check(self, name: str) -> list[tuple[Any, ...]]:
        return self.rows(self.sql[name])

    def month(self, customer: str, columns: str) -> tuple[Any, ...]:
        """Columns of the one month of a customer."""
        (row,) = self.connection.execute(
            f"select {columns} from llm_customer_plan_usage where customer_id = ?", [customer]
        ).fetchall()
        return tuple(row)

    def lines(self, customer: str) -> list[tuple[Any, ...]]:
        """line_type, tier_from_tokens, model_id, quantity_tokens, amount_usd of a customer's one statement."""
        return self.connection.execute(
            """
            select line_type, tier_from_tokens, model_id, quantity_tokens, amount_usd
            from llm_customer_statements where customer_id = ? order by line_number
            """,
            [customer],
        ).fetchall()


def months(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], CustomerMonth]:
    tiers: dict[tuple[str, str], list[tuple[int, int, Decimal | None]]] = {}
    for month, customer, *tier in connection.execute(TIERS).fetchall():
        tiers.setdefault((month, customer), []).append((tier[0], tier[1], tier[2]))
    return {
        (month, customer): CustomerMonth(*values, tuple(tiers.get((month, customer), ())))
        for month, customer, *values in connection.execute(MONTHS).fetchall()
    }


# --- the demo -------------------------------------------------------------------------------------


def test_every_customer_used_and_pays_what_the_truth_says(demo: Demo) -> None:
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        connection.execute("set schema = 'llm_spend'")
        found = months(connection)
    expected = demo.truth.customer_months()
    assert found == expected
    assert {each.plan_id for each in expected.values()} >= {None, "free", "standard", "professional", "enterprise"}
    assert any(len(each.tiers) > 1 for each in expected.values())
    assert any(each.revenue_usd is None for each in expected.values() if each.plan_id)


def test_statements_have_the_usage_of_the_fact_by_model_and_add_up(demo: Demo) -> None:
    by_model = """
        select date_trunc('month', usage_date)::date, customer_id, coalesce(model_id, '(unresolved)'),
            sum(total_tokens)::bigint
        from llm_spend.fct_llm_requests
        where is_gateway_cache_hit is not true and customer_id <> '(unallocated)' and is_of_record
        group by all having sum(total_tokens) > 0
    """
    usage = "from llm_spend.llm_customer_statements where line_type = 'usage'"
    found = query(demo.database, f"select billing_period, customer_id, model_id, quantity_tokens {usage}")
    assert sorted(found) == sorted(query(demo.database, by_model))
    months_differ = """
        select billing_period, customer_id, sum(amount_usd), any_value(revenue_usd)
        from llm_spend.llm_customer_statements
        inner join llm_spend.llm_customer_plan_usage using (billing_period, customer_id)
        where revenue_usd is not null
        group by all having sum(amount_usd) is distinct from any_value(revenue_usd)
    """
    assert query(demo.database, months_differ) == []


def test_everyone_who_was_ever_seen_is_a_customer(demo: Demo) -> None:
    rows = query(
        demo.database,
        "select customer_id, is_known, plan_id, first_seen_at is null from llm_spend.dim_llm_customers",
    )
    seen = {customer for _, customer in demo.truth.by_member("customer")} - {NOBODY}
    assert {customer for customer, _, _, unseen in rows if not unseen} == seen
    assert {row for row in rows if row[3] or not row[1]} > {("cust-new", True, "standard", True)}
    assert ("cust-0024", False, None, False) in rows
    assert ("MÜLLER-AG", True, "standard", False) in rows


# --- exact cases ----------------------------------------------------------------------------------

STANDARD = "standard,Standard,29,USD,,200000,0,20,,,\nstandard,Standard,29,USD,,200000,100000,15.5,,,\n"
PROFESSIONAL = "professional,Professional,99,USD,,1000000,0,12,,,\n"


OVERAGE = """\
tokens,overage,overage_usd,recommended,saving_usd
200000,0,0.00,standard,0.00
200001,1,0.00,standard,0.00
200249,249,0.00,standard,0.00
200250,250,0.01,standard,0.00
300000,100000,2.00,standard,0.00
300001,100001,2.00,standard,0.00
1000000,800000,12.85,standard,0.00
14000000,13800000,214.35,standard,0.00
20000000,19800000,307.35,professional,9.35
"""


def test_overage_is_charged_tier_by_tier(sql: dict[str, str]) -> None:
    cases = list(csv.DictReader(StringIO(OVERAGE)))
    contracts = "".join(f"{case['tokens']},,standard,,,\n" for case in cases)
    usage: list[Use] = [("2026-10-05", case["tokens"], "m", int(case["tokens"]), "1") for case in cases]
    books = Books(sql, STANDARD + PROFESSIONAL, contracts, usage)
    found = books.rows(
        """
        select
            customer_id, overage_tokens::varchar, overage_usd::varchar, recommended_plan,
            recommended_saving_usd::varchar, fee_usd, revenue_usd - overage_usd
        from llm_customer_plan_usage order by used_tokens
        """
    )
    assert found == [(*case.values(), 29, 29) for case in cases]


def test_a_statement_is_the_fee_the_included_tokens_the_tiers_and_the_models(sql: dict[str, str]) -> None:
    usage: list[Use] = [
        ("2026-10-05", "acme", "gpt-4o", 150_000, "1"),
        ("2026-10-06", "acme", "claude", 150_333, "1"),
        ("2026-10-06", "acme", "(unresolved)", 7, None),
    ]
    books = Books(sql, STANDARD, "acme,Acme,standard,the owner,,\n", usage)
    # 2.00 and 0.00527 are 2.01 together: the cent is the second tier's.
    assert books.lines("acme") == [
        ("fee", None, None, None, Decimal("29.00")),
        ("included", None, None, 200_000, None),
        ("overage", 0, None, 100_000, Decimal("2.00")),
        ("overage", 100_000, None, 340, Decimal("0.01")),
        ("usage", None, "claude", 150_333, None),
        ("usage", None, "gpt-4o", 150_000, None),
        ("usage", None, "(unresolved)", 7, None),
    ]
    assert books.month("acme", "cost_usd, unpriced_tokens, unpriced_requests, has_unpriced_usage, margin_usd") == (
        2, 7, 1, True, Decimal("29.01"),
    )  # fmt: skip
    assert books.month("acme", "used_ratio, margin_ratio") == (Decimal("1.501700"), Decimal("0.935505"))
    assert books.check("assert_customers_sum_to_days") == []


def test_cents_of_tiers_add_up_to_the_overage(sql: dict[str, str]) -> None:
    """Three tiers of 0.4 cents are 1.2 cents: 1 cent, which is the first tier's."""
    tiers = "".join(f"p,P,0,USD,,0,{start},4,,,\n" for start in (0, 1_000, 2_000))
    books = Books(sql, tiers, "acme,,p,,,\n", [("2026-10-05", "acme", "m", 3_000, "0")])
    assert [line[4] for line in books.lines("acme") if line[0] == "overage"] == [Decimal("0.01"), 0, 0]
    assert books.month("acme", "overage_usd") == (Decimal("0.01"),)


def test_nothing_used_costs_the_fee_and_nothing_is_unknown(sql: dict[str, str]) -> None:
    books = Books(sql, STANDARD, "acme,Acme,standard,,,\n", [("2026-10-30", NOBODY, "m", 5, "1")])
    columns = (
        "used_tokens, used_ratio, overage_tokens, revenue_usd, cost_usd, margin_usd, margin_ratio, last_usage_date"
    )
    assert books.month("acme", columns) == (0, 0, 0, 29, 0, 29, 1, date(2026, 10, 30))
    assert books.lines("acme") == [
        ("fee", None, None, None, Decimal("29.00")),
        ("included", None, None, 0, None),
    ]


@pytest.mark.parametrize(
    ("last", "loaded", "is_whole"),
    [
        ("2026-10-31", "2026-11-01 00:00", True),
        ("2026-10-31", "2026-10-31 23:59", False),
        # Nobody used anything on the last day, which shows when there is usage after it.
        ("2026-10-30", "2026-11-09 08:00", False),
        ("2026-11-02", "2026-11-09 08:00", True),
        # A clock that is wrong ends no month.
        ("2031-01-01", "2026-10-30 08:00", False),
    ],
)
def test_a_month_is_whole_when_usage_is_known_to_its_end(
    sql: dict[str, str], last: str, loaded: str, is_whole: bool
) -> None:
    usage: list[Use] = [(day, "acme", "m", 5, "1") for day in ("2026-10-30", last)]
    books = Books(sql, STANDARD, "acme,Acme,standard,,,\n", usage, loaded=f"timestamp '{loaded}'")
    for table in ("llm_customer_plan_usage", "llm_customer_statements"):
        found = books.rows(f"select distinct is_whole_month from {table} where billing_period = '2026-10-01'")
        assert found == [(is_whole,)]


def test_a_free_plan_has_a_price_of_nothing_and_above_it_none(sql: dict[str, str]) -> None:
    usage: list[Use] = [("2026-10-05", "a", "m", 100, "1"), ("2026-10-05", "b", "m", 101, "1")]
    books = Books(sql, "free,Free,0,USD,,100,,,,,\n" + STANDARD, "a,,free,,,\nb,,free,,,\n", usage)
    columns = (
        "overage_tokens, overage_usd, revenue_usd, margin_usd, margin_ratio, recommended_plan, recommended_saving_usd"
    )
    assert books.month("a", columns) == (0, 0, 0, -1, None, "free", 0)
    # Nobody agreed on a price for the token above: it is not known, and so is no saving.
    assert books.month("b", columns) == (1, None, None, None, None, "standard", None)
    assert [line for line in books.lines("b") if line[0] == "overage"] == [("overage", 0, None, 1, None)]
    assert books.check("assert_customers_sum_to_days") == []


def test_a_tier_without_a_price_leaves_no_tier_with_an_amount(sql: dict[str, str]) -> None:
    tiers = "p,P,5,USD,,0,0,4000,,,\np,P,5,USD,,0,10,,,,\n"
    usage: list[Use] = [("2026-10-05", "acme", "m", 11, "0"), ("2026-10-05", "bolt", "m", 10, "0")]
    books = Books(sql, tiers, "acme,,p,,,\nbolt,,p,,,\n", usage)
    assert [line[4] for line in books.lines("acme") if line[0] == "overage"] == [None, None]
    assert books.month("acme", "fee_usd, overage_usd, revenue_usd") == (5, None, None)
    assert books.month("bolt", "fee_usd, overage_usd, revenue_usd") == (5, Decimal("0.04"), Decimal("5.04"))


def test_no_limit_is_no_overage_and_no_ratio(sql: dict[str, str]) -> None:
    plan = "all,All,900,USD,,,,,,,\n"
    books = Books(sql, plan, "acme,,all,,,\n", [("2026-10-05", "acme", "m", 10**15, "901")])
    columns = "included_tokens, used_ratio, overage_tokens, overage_usd, revenue_usd, margin_usd, margin_ratio"
    assert books.month("acme", columns) == (None, None, 0, 0, 900, -1, Decimal("-0.001111"))
    assert books.lines("acme")[1] == ("included", None, None, 10**15, None)


def test_usage_without_any_price_has_no_cost_and_no_margin(sql: dict[str, str]) -> None:
    books = Books(sql, STANDARD, "acme,,standard,,,\n", [("2026-10-05", "acme", "m", 10, None)])
    columns = "revenue_usd, cost_usd, margin_usd, margin_ratio, unpriced_tokens, has_unpriced_usage"
    assert books.month("acme", columns) == (29, None, None, None, 10, True)


def test_who_is_in_no_seed_and_usage_of_nobody_have_no_plan(sql: dict[str, str]) -> None:
    usage: list[Use] = [("2026-10-05", "stranger", "m", 10, "1"), ("2026-10-05", NOBODY, "m", 20, "2")]
    books = Books(sql, STANDARD, "known,Known,,Ann,,\n", usage)
    columns = "plan_id, used_tokens, overage_tokens, revenue_usd, cost_usd, margin_usd, recommended_plan"
    assert books.month("stranger", columns) == (None, 10, None, None, 1, None, "standard")
    assert books.month(NOBODY, columns) == (None, 20, None, None, 2, None, None)
    assert books.rows("select count(*) from llm_customer_plan_usage") == [(2,)]
    assert books.lines("stranger") == [("usage", None, "m", 10, None)]
    assert books.lines(NOBODY) == []
    assert sorted(books.rows("select customer_id, account_owner, is_known from dim_llm_customers")) == [
        ("known", "Ann", True),
        ("stranger", None, False),
    ]
    assert books.check("assert_customers_sum_to_days") == []


def test_without_seeds_there_is_usage_without_amounts(sql: dict[str, str]) -> None:
    books = Books(sql, usage=[("2026-10-05", "acme", "m", 10, "1"), ("2026-10-05", NOBODY, "m", 20, "2")])
    assert books.month("acme", "used_tokens, cost_usd, revenue_usd, recommended_plan") == (10, 1, None, None)
    assert books.rows("select distinct is_charged, amount_usd from llm_customer_statements") == [(False, None)]
    assert [books.check(name) for name in CHECKS] == [[], [], []]


def test_without_usage_no_month_is_known(sql: dict[str, str]) -> None:
    books = Books(sql, STANDARD, "acme,,standard,,,\n")
    assert books.rows("from llm_customer_plan_usage") == books.rows("from llm_customer_statements") == []
    assert books.rows("select customer_id, plan_id, is_known from dim_llm_customers") == [("acme", "standard", True)]


def test_a_change_of_plan_and_of_a_plan_hold_from_the_first_of_a_month(sql: dict[str, str]) -> None:
    plans = "a,A,10,USD,,100,0,0,,,2026-10-01\na,A,12,USD,,100,0,0,,2026-10-01,\nb,B,50,USD,,100,0,0,,,\n"
    contracts = "acme,Acme,a,,,2026-11-01\nacme,Acme AG,b,Ann,2026-11-01,2026-12-01\n"
    days = ("2026-09-30", "2026-10-01", "2026-11-15", "2026-12-01")
    books = Books(sql, plans, contracts, [(day, "acme", "m", 1, "0") for day in days])
    found = "select month(billing_period), customer_name, plan_id, fee_usd from llm_customer_plan_usage order by 1"
    assert books.rows(found) == [
        (9, "Acme", "a", 10),
        (10, "Acme", "a", 12),
        (11, "Acme AG", "b", 50),
        (12, None, None, None),
    ]
    assert books.check("assert_customer_seeds_make_sense") == []


@pytest.mark.parametrize(
    ("own_rate", "rates", "fee", "rate"),
    [
        ("1.085", "", "1085.00", "1.085"),
        ("", "EUR,1.1,2026-10-01,2026-10-02\nEUR,1.2,2026-10-02,2026-12-01\n", "1100.00", "1.1"),
        ("", "EUR,1.1,2026-10-02,2026-12-01\nGBP,1.3,2026-01-01,2026-12-01\n", None, None),
    ],
)
def test_another_currency_is_worth_what_plan_or_rates_say_and_never_assumed(
    sql: dict[str, str], own_rate: str, rates: str, fee: str | None, rate: str | None
) -> None:
    plan = f"eur,Euro,1000,EUR,{own_rate},100,0,500,,,\n"
    usage: list[Use] = [("2026-10-05", "acme", "m", 100_100, "1")]
    books = Books(sql, plan + STANDARD, "acme,,eur,,,\n", usage, rates)
    known = None if rate is None else Decimal(rate)
    total = None if fee is None or known is None else Decimal(fee) + 50 * known
    assert books.month("acme", "fee_usd, revenue_usd, usd_per_unit, plan_currency") == (
        fee and Decimal(fee), total, known, "EUR",
    )  # fmt: skip
    prices = "select price_per_million_usd from llm_customer_statements where line_type = 'overage'"
    assert books.rows(prices) == [(None if known is None else 500 * known,)]
    assert len(books.check("warn_plans_without_amount")) == (rate is None)
    assert books.check("assert_customers_sum_to_days") == []


def test_of_equal_plans_the_present_one_and_none_that_is_not_offered_is_recommended(sql: dict[str, str]) -> None:
    plans = "b,B,10,USD,,,,,,,\na,A,10,USD,,,,,,,\ngift,Gift,0,USD,,,,,false,,\n"
    usage: list[Use] = [("2026-10-05", each, "m", 1, "0") for each in ("has-b", "has-gift", "has-none")]
    books = Books(sql, plans, "has-b,,b,,,\nhas-gift,,gift,,,\n", usage)
    assert sorted(books.rows("select customer_id, recommended_plan from llm_customer_plan_usage")) == [
        ("has-b", "b"),
        ("has-gift", "gift"),
        ("has-none", "a"),
    ]


# --- seeds that can't be meant --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plans", "contracts", "problem"),
    [
        ("p,P,5,USD,,,,,,2026-10-15,\n", "", "valid_from is not the first of a month, written as YYYY-MM-01"),
        ("p,P,5,USD,,,,,,,2026-10-15\n", "", "valid_to is not the first of a month, written as YYYY-MM-01"),
        ("p,P,5,USD,,,,,,2026-10-01,2026-10-01\n", "", "valid_to is not after valid_from"),
        ("p,P,,USD,,,,,,,\n", "", "monthly_fee is not a number from 0 on"),
        ("p,P,5,,,,,,,,\n", "", "currency is no code of three letters: it is never assumed"),
        ("p,P,5,EUR,0,,,,,,\n", "", "usd_per_unit is not a positive number"),
        ("p,P,5,USD,1.1,,,,,,\n", "", "usd_per_unit is not 1 for USD"),
        ("p,P,5,USD,,200k,,,,,\n", "", "included_tokens is not a whole number from 0 on"),
        ("p,P,5,USD,,1,0.5,,,,\n", "", "tier_from_tokens is not a whole number from 0 on"),
        (
            "p,P,5,USD,,1,0,0.0000001,,,\n",
            "",
            "price_per_million_tokens is not a number from 0 on with at most 6 decimals",
        ),
        ("p,P,5,USD,,1,0,-1,,,\n", "", "price_per_million_tokens is not a number from 0 on with at most 6 decimals"),
        ("p,P,5,USD,,,,,no,,\n", "", "is_offered is neither true nor false"),
        ("p,P,5,USD,,1,0,1,,,\np,P,6,USD,,1,9,1,,,\n", "", "its rows differ in more than tier and price"),
        ("p,P,5,USD,,1,0,1,,,\np,P,5,USD,,,9,1,,,\n", "", "its rows differ in more than tier and price"),
        ("p,P,5,USD,,1,0,1,,,\np,P,5,USD,,1,0,2,,,\n", "", "two rows have the same tier_from_tokens"),
        ("p,P,5,USD,,1,9,1,,,\n", "", "no tier begins with 0"),
        (
            "p,P,5,USD,,,,,,,\np,P,5,USD,,,,,,2026-10-01,\n",
            "",
            "it overlaps a later version of the plan: give it a valid_to",
        ),
        ("", "acme,,,,2026-10-15,\n", "valid_from is not the first of a month, written as YYYY-MM-01"),
        ("", "acme,,,,,soon\n", "valid_to is not the first of a month, written as YYYY-MM-01"),
        ("", f"{NOBODY},,,,,\n", "customer_id is the name of usage without a customer"),
        ("", "acme,,,,,\nacme,,,,2026-10-01,\n", "it overlaps a later row of the customer: give it a valid_to"),
        ("", "acme,,,,,\nacme,Acme,,,,\n", "two rows of one customer begin at the same time"),
        ("", "acme,,typo,,,\n", "customer_plans does not know its plan"),
    ],
)
def test_a_seed_that_cannot_be_meant_is_told(sql: dict[str, str], plans: str, contracts: str, problem: str) -> None:
    found = Books(sql, plans, contracts).check("assert_customer_seeds_make_sense")
    assert [row[2] for row in found] == [problem], found


def test_the_seeds_of_the_page_can_be_meant(sql: dict[str, str]) -> None:
    plans, contracts = re.findall(r"```csv\n(.*?)```", Path("docs/customers.md").read_text(encoding="utf-8"), re.DOTALL)
    assert plans.startswith(PLANS) and contracts.startswith(CUSTOMERS)
    usage: list[Use] = [("2026-09-05", "acme", "m", 1_700_000, "1"), ("2026-10-05", "acme", "m", 900_000, "1")]
    books = Books(sql, plans.removeprefix(PLANS), contracts.removeprefix(CUSTOMERS), usage)
    assert books.check("assert_customer_seeds_make_sense") == []
    found = "select revenue_usd, recommended_plan from llm_customer_plan_usage order by billing_period"
    assert books.rows(found) == [(29 + 20 + Decimal("7.5"), "standard"), (Decimal("109.90"), "standard")]


# --- a reference in Python ------------------------------------------------------------------------


def random_plans(chance: Random) -> tuple[Plan, ...]:
    """Plans with and without tiers, limit, dollars, offer and a new version in October."""
    found = []
    october = date(2026, 10, 1)
    for index in range(chance.randrange(1, 6)):
        rate = chance.choice([None, None, Decimal(chance.randrange(1, 20_000)).scaleb(-4)])
        always: list[tuple[date, date | None]] = [(customers.ALWAYS, None)]
        for since, until in chance.choice([always, [(customers.ALWAYS, october), (october, None)]]):
            starts = [0, *sorted(chance.sample(range(1, 4_000), chance.randrange(3)))]
            prices = [Decimal(chance.randrange(10**7)).scaleb(-2) for _ in starts]
            found.append(
                Plan(
                    f"plan-{index}",
                    f"Plan {index}",
                    Decimal(chance.randrange(5_000)).scaleb(-2),
                    chance.choice([None, 0, 1_000, chance.randrange(5_000)]),
                    chance.choice([(), tuple(zip(starts, prices, strict=True))]),
                    "USD" if rate is None else "EUR",
                    rate or Decimal(1),
                    chance.random() < 0.8,
                    since,
                    until,
                )
            )
    return tuple(found)


def random_contracts(chance: Random, plans: tuple[Plan, ...]) -> tuple[Contract, ...]:
    names = ["", *(plan.plan_id for plan in plans)]
    october = date(2026, 10, 1)
    found = []
    for index in range(40):
        one, other = chance.choice(names), chance.choice(names)
        if chance.random() < 0.3:
            found.append(Contract(f"c{index}", f"C {index}", one, valid_to=october))
            found.append(Contract(f"c{index}", f"C {index}", other, "Ann", valid_from=october))
        elif chance.random() < 0.8:
            found.append(Contract(f"c{index}", f"C {index}", one))
    return tuple(found)


def random_usage(chance: Random) -> list[Use]:
    usage: list[Use] = [(f"2026-{month}-30", NOBODY, "m", 1, "1") for month in ("09", "10")]
    for index in range(40):
        for _ in range(chance.randrange(4)):
            cost = chance.choice([None, "0", str(Decimal(chance.randrange(10**13)).scaleb(-12))])
            tokens = chance.choice([0, 1, 1_000, 1_001, chance.randrange(9_000)])
            day = f"2026-{chance.choice(['09', '10'])}-{chance.randrange(1, 30):02d}"
            usage.append((day, f"c{index}", chance.choice("xyz"), tokens, cost))
    return usage


def seed_text(plans: Iterable[Plan], contracts: Iterable[Contract], folder: Path) -> tuple[str, str]:
    """The two seeds as the demo writes them, without their headings."""
    customers.write_seeds(plans, contracts, folder)
    one, two = ((folder / f"{name}.csv").read_text().partition("\n")[2] for name in ("customer_plans", "customers"))
    return one, two


def cells(usage: Iterable[Use]) -> dict[tuple[str, str], list[int]]:
    """The ledger's cells of that usage."""
    found: dict[tuple[str, str], list[int]] = {}
    for day, customer, _, tokens, cost in usage:
        cell = found.setdefault((day, customer), [0] * len(COLUMNS))
        cell[COLUMNS.index("total_tokens")] += tokens
        cell[COLUMNS.index("cost_units")] += int(Decimal(cost or 0).scaleb(12))
        cell[COLUMNS.index("priced_rows")] += cost is not None
    return found


def world(seed: int) -> tuple[tuple[Plan, ...], tuple[Contract, ...], list[Use]]:
    """Plans, contracts and usage, all made up by chance."""
    chance = Random(seed)
    plans = random_plans(chance)
    return plans, random_contracts(chance, plans), random_usage(chance)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_plans_and_usage_there_are_sql_and_python_agree(
    sql: dict[str, str], seed: int, tmp_path: Path
) -> None:
    plans, contracts, usage = world(seed)
    books = Books(sql, *seed_text(plans, contracts, tmp_path), usage)
    expected = Truth({"format": FORMAT, "customers": customers.truth(cells(usage), plans, contracts)})
    assert months(books.connection) == expected.customer_months()
    assert [books.check(name) for name in CHECKS] == [[], [], []]


@pytest.mark.parametrize("seed", range(2))
def test_a_statement_depends_on_nothing_that_is_anothers(sql: dict[str, str], seed: int, tmp_path: Path) -> None:
    """What a customer gets is the same when there is no other customer, and no cost, owner or margin."""
    plans, contracts, usage = world(seed)
    books = Books(sql, *seed_text(plans, contracts, tmp_path), usage)
    lines = "from llm_customer_statements where customer_id = ? order by billing_period, line_number"
    compared = 0
    for customer in ("c1", "c2"):
        own = [each for each in contracts if each.customer_id == customer]
        known = [each for each in plans if each.plan_id in {contract.plan_id for contract in own}]
        private = [
            Contract(each.customer_id, each.name, each.plan_id, "Bob", each.valid_from, each.valid_to) for each in own
        ]
        own_usage: list[Use] = [(*use[:4], "7") for use in usage if use[1] in (customer, NOBODY)]
        alone = Books(sql, *seed_text(known, private, tmp_path), own_usage)
        found = books.connection.execute(lines, [customer]).fetchall()
        assert found == alone.connection.execute(lines, [customer]).fetchall()
        assert {row[0] for row in alone.rows("select distinct customer_id from llm_customer_statements")} <= {customer}
        compared += len(found)
    assert compared
