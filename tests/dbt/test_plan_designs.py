"""What customers would pay under plans that are not sold: the example of Standard and Professional, and a reference."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from llm_spend.destinations import DuckDb
from tests.conftest import Demo
from tests.dbt.business import NOBODY, Business, Use, business_sql
from tests.dbt.test_unit_economics import QUIET, rounded

pytestmark = pytest.mark.slow

# A Standard tier capped at 200,000 tokens a month and a Professional tier at 1 million.
TIERS = """\
tiers,Two tiers,by_usage,standard,Standard,29,USD,,200000,0,20
tiers,Two tiers,by_usage,professional,Professional,99,USD,,1000000,0,12.5
tiers,Two tiers,by_usage,professional,Professional,99,USD,,1000000,1000000,9.333333
"""
CHEAPEST = TIERS.replace("tiers,Two tiers,by_usage", "cheap,Cheapest,")
COLUMNS = "plan_id, overage_tokens, fee_usd, overage_usd, revenue_usd"


@pytest.fixture(scope="module")
def sql(demo: Demo) -> dict[str, str]:
    return business_sql(DuckDb(demo.database).work_dir / "dbt_project" / "target")


def used(*customers: tuple[str, int, str | None]) -> list[Use]:
    """What customers used in October, as tokens and cost."""
    return [("2026-10-31", "search", customer, tokens, cost) for customer, tokens, cost in customers]


def customer(books: Business, design: str, name: str, columns: str = COLUMNS) -> tuple[Any, ...]:
    (row,) = books.connection.execute(
        f"select {columns} from llm_plan_design_customers where design_id = ? and customer_id = ?", [design, name]
    ).fetchall()
    return tuple(row)


def test_standard_to_200_000_tokens_and_professional_to_a_million(sql: dict[str, str]) -> None:
    usage = used(
        ("none", 0, "0"), ("small", 200_000, "2"), ("middle", 200_001, "5"), ("large", 1_000_000, "20"),
        ("huge", 2_500_000, "150"), (NOBODY, 777, "1"),
    )  # fmt: skip
    books = Business(sql, usage, plan_designs=TIERS + CHEAPEST, customers="silent,Silent,free,,,\n")
    assert customer(books, "tiers", "none") == ("standard", 0, 29, 0, 29)
    assert customer(books, "tiers", "silent") == ("standard", 0, 29, 0, 29)
    assert customer(books, "tiers", "small") == ("standard", 0, 29, 0, 29)
    assert customer(books, "tiers", "middle") == ("professional", 0, 99, 0, 99)
    assert customer(books, "tiers", "large") == ("professional", 0, 99, 0, 99)
    # A million at 12.50, half a million at 9.333333.
    huge = ("professional", 1_500_000, 99, Decimal("17.17"), Decimal("116.17"))
    assert customer(books, "tiers", "huge") == huge
    # Who may choose stays on Standard for longer: 99 - 29 are 3.5 million tokens of overage at 20 a million.
    assert customer(books, "cheap", "middle") == ("standard", 1, 29, 0, 29)
    assert customer(books, "cheap", "large") == ("standard", 800_000, 29, 16, 45)
    assert customer(books, "cheap", "huge") == ("standard", 2_300_000, 29, 46, 75)
    assert customer(books, "tiers", NOBODY) == (None, None, None, None, None)
    assert customer(books, "tiers", "huge", "cost_usd, margin_usd, margin_ratio") == (
        150, Decimal("-33.83"), Decimal("-0.291211"),
    )  # fmt: skip

    plans = books.rows(
        """
        select
            plan_id, customers, customers_above, used_tokens, overage_tokens, fee_usd, overage_usd, revenue_usd,
            cost_usd, margin_usd, margin_ratio
        from llm_plan_designs where design_id = 'tiers' order by plan_id
        """
    )
    assert plans == [
        ("(none)", 0, 0, 777, 0, None, None, None, 1, None, None),
        (
            "professional", 3, 1, 3_700_001, 1_500_000, 297, Decimal("17.17"), Decimal("314.17"), 175,
            Decimal("139.17"), Decimal("0.442977"),
        ),
        ("standard", 3, 0, 200_000, 0, 87, 0, 87, 2, 85, Decimal("0.977011")),
    ]  # fmt: skip
    nobody = "select customers, revenue_usd, margin_usd, margin_ratio from llm_plan_designs"
    assert books.rows(f"{nobody} where design_id = 'cheap' and plan_id = 'professional'") == [(0, 0, 0, None)]
    assert [books.check(name) for name in QUIET] == [[], [], [], []]


def test_a_design_that_is_missing_is_seen(sql: dict[str, str]) -> None:
    books = Business(sql, used(("acme", 1, "1")), plan_designs=TIERS + CHEAPEST)
    books.connection.execute(
        """
        create table designed as from llm_plan_design_customers;
        create or replace view llm_plan_design_customers as from designed where design_id <> 'cheap'
        """
    )
    assert [row[1] for row in books.check("assert_plan_designs_add_up")] == ["cheap"]


def test_it_says_what_changes_against_the_plans_of_today(sql: dict[str, str]) -> None:
    plans = "old,Old,50,USD,,100000,0,100,,,\nfree,Free,0,USD,,10,,,,,\n"
    contracts = "acme,Acme,old,,,\nbolt,,free,,,\n"
    usage = used(("acme", 300_000, "5"), ("bolt", 1_000, "1"), ("stranger", 10, "1"))
    books = Business(sql, usage, plan_designs=TIERS, customer_plans=plans, customers=contracts)
    columns = "customer_name, current_plan_id, current_revenue_usd, plan_id, revenue_usd, revenue_change_usd"
    assert customer(books, "tiers", "acme", columns) == ("Acme", "old", 70, "professional", 99, 29)
    # What it pays above the free tokens nobody knows; a stranger's plan neither.
    assert customer(books, "tiers", "bolt", columns) == (None, "free", None, "standard", 29, None)
    assert customer(books, "tiers", "stranger", columns) == (None, None, None, "standard", 29, None)
    sums = "plan_id, customers, customers_compared, current_revenue_usd, revenue_change_usd"
    assert books.rows(f"select {sums} from llm_plan_designs order by plan_id") == [
        ("professional", 1, 1, 70, 29),
        ("standard", 2, 0, None, None),
    ]


def test_what_has_no_price_is_not_free(sql: dict[str, str]) -> None:
    designs = """\
tight,Tight,by_usage,only,,10,USD,,1000,0,
choice,Choice,cheapest,only,,1,USD,,1000,0,
choice,Choice,cheapest,all,,50,EUR,1.1,,,
abroad,Abroad,cheapest,only,,10,CHF,,,,
"""
    books = Business(sql, used(("acme", 1_001, None), ("bolt", 1_000, "1")), plan_designs=designs)
    assert customer(books, "tight", "acme") == ("only", 1, 10, None, None)
    assert customer(books, "tight", "bolt", COLUMNS + ", margin_usd") == ("only", 0, 10, 0, 10, 9)
    assert customer(books, "choice", "acme", COLUMNS + ", margin_usd, has_unpriced_usage") == (
        "all", 0, 55, 0, 55, None, True,
    )  # fmt: skip
    assert customer(books, "choice", "bolt") == ("only", 0, 1, 0, 1)
    assert customer(books, "abroad", "acme") == (None, None, None, None, None)
    sums = "design_id, plan_id, customers, customers_without_amount, revenue_usd, margin_usd, margin_ratio"
    assert books.rows(f"select {sums} from llm_plan_designs order by design_id, plan_id") == [
        ("abroad", "(none)", 2, 2, None, None, None),
        ("abroad", "only", 0, 0, 0, 0, None),
        ("choice", "all", 1, 0, 55, None, None),
        ("choice", "only", 1, 0, 1, 0, 0),
        ("tight", "only", 2, 1, 10, 9, Decimal("0.9")),
    ]
    assert [row[:2] for row in books.check("warn_amounts_without_rate")] == [("plan_designs", "abroad|only|")]
    assert books.check("assert_plan_designs_add_up") == books.check("assert_business_seeds_make_sense") == []


def test_equal_plans_go_by_their_id_and_no_limit_holds_all(sql: dict[str, str]) -> None:
    designs = """\
same,Same,cheapest,b,,5,USD,,,,
same,Same,cheapest,a,,5,USD,,,,
size,Size,by_usage,z,,1,USD,,100,,
size,Size,by_usage,y,,2,USD,,100,0,1
size,Size,by_usage,all,,3,USD,,,,
"""
    books = Business(sql, used(("acme", 100, "0"), ("bolt", 101, "0")), plan_designs=designs)
    assert customer(books, "same", "acme", "plan_id") == ("a",)
    assert customer(books, "size", "acme", "plan_id, included_tokens") == ("y", 100)
    assert customer(books, "size", "bolt", "plan_id, included_tokens, overage_tokens") == ("all", None, 0)


def test_without_designs_or_usage_there_are_no_rows(sql: dict[str, str]) -> None:
    for books in (Business(sql, used(("acme", 1, "1"))), Business(sql, plan_designs=TIERS)):
        assert books.rows("from llm_plan_design_customers") == books.rows("from llm_plan_designs") == []
        assert [books.check(name) for name in QUIET] == [[], [], [], []]


PROBLEMS = [
    (",,,p,,1,USD,,,,", "design_id is empty"),
    ("d,,,,,1,USD,,,,", "plan_id is empty"),
    ("d,,,(none),,1,USD,,,,", "plan_id is the name of usage without a plan"),
    ("d,,best,p,,1,USD,,,,", "assignment is neither cheapest nor by_usage"),
    ("d,,,p,,,USD,,,,", "monthly_fee is not a number from 0 on"),
    ("d,,,p,,1,,,,,", "currency is no code of three letters: it is never assumed"),
    ("d,,,p,,1,USD,,1e6,,", "included_tokens is not a whole number from 0 on"),
    ("d,,,p,,1,USD,,5,0,-1", "price_per_million_tokens is not a number from 0 on with at most 6 decimals"),
    ("d,,,p,,1,USD,,5,10,1", "no tier begins with 0"),
    ("d,,,p,,1,USD,,5,0,1\nd,,,p,,1,USD,,5,,2", "two rows have the same tier_from_tokens"),
    ("d,,,p,,1,USD,,5,0,1\nd,,,p,,2,USD,,5,9,2", "its rows differ in more than tier and price"),
    ("d,,,p,,1,USD,,5,0,1\nd,,by_usage,q,,2,USD,,5,,2", "its rows have different names or assignments"),
]


@pytest.mark.parametrize(("rows", "problem"), PROBLEMS)
def test_a_row_that_cannot_be_meant_is_told(sql: dict[str, str], rows: str, problem: str) -> None:
    found = Business(sql, plan_designs=rows + "\n").check("assert_business_seeds_make_sense")
    assert {row[2] for row in found} == {problem}, found


@pytest.mark.parametrize("seed", range(3))
def test_whatever_designs_and_usage_there_are_sql_and_python_agree(sql: dict[str, str], seed: int) -> None:
    chance = Random(seed)
    plans: dict[str, tuple[int, int | None, list[tuple[int, Decimal]]]] = {}
    lines = []
    assignment = chance.choice(["cheapest", "by_usage"])
    for index in range(chance.randrange(1, 6)):
        fee, included = chance.randrange(5_000), chance.choice([None, 0, 100_000, chance.randrange(400_000)])
        starts = [0, *sorted(chance.sample(range(1, 400_000), chance.randrange(3)))]
        tiers = [(start, Decimal(chance.randrange(10**4)).scaleb(-2)) for start in starts]
        plans[f"p{index}"] = (fee, included, tiers)
        shown = "" if included is None else str(included)
        lines += [
            f"d,D,{assignment},p{index},,{fee / 100:.2f},USD,,{shown},{start},{price}\n" for start, price in tiers
        ]
    tokens = {f"c{index}": chance.choice([0, 100_000, chance.randrange(900_000)]) for index in range(30)}
    books = Business(sql, used(*((name, count, "1") for name, count in tokens.items())), plan_designs="".join(lines))

    def charge(plan: str, count: int) -> tuple[int, int]:
        fee, included, tiers = plans[plan]
        above = 0 if included is None else max(0, count - included)
        ends = [start for start, _ in tiers[1:]] + [above]
        dollars = sum(
            (max(0, min(above, end) - start) * price for (start, price), end in zip(tiers, ends, strict=True)),
            Decimal(0),
        ).scaleb(-6)
        return above, fee + int(rounded(Fraction(dollars) * 100, 0))

    expected = {}
    for name, count in tokens.items():
        charges = {plan: charge(plan, count) for plan in plans}
        if assignment == "cheapest":
            plan = min(charges, key=lambda each: (charges[each][1], each))
        else:
            size = {plan: plans[plan][1] for plan in plans}
            fits = {plan: size[plan] if size[plan] is not None else 10**18 for plan in plans if not charges[plan][0]}
            largest = {plan: -(size[plan] or 0) for plan in plans}
            sizes = fits or largest
            plan = min(sizes, key=lambda each: (sizes[each], each))
        expected[name] = (plan, charges[plan][0], Decimal(charges[plan][1]).scaleb(-2))
    found = books.rows("select customer_id, plan_id, overage_tokens, revenue_usd from llm_plan_design_customers")
    assert {row[0]: tuple(row[1:]) for row in found} == expected
    assert [books.check(name) for name in QUIET] == [[], [], [], []]
