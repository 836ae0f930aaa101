"""KPIs: exact cases over made-up events and usage, what is not known, coverage, and a reference in Python."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from llm_spend.destinations import DuckDb
from tests.conftest import Demo, query
from tests.dbt.business import DESIGNS, EVENTS, KPIS, NOBODY, Business, Use, business_sql

pytestmark = pytest.mark.slow

TOTAL = "(all)"
QUIET = [
    "assert_business_seeds_make_sense",
    "assert_unit_economics_add_up",
    "assert_plan_designs_add_up",
    "warn_amounts_without_rate",
]


@pytest.fixture(scope="module")
def sql(demo: Demo) -> dict[str, str]:
    return business_sql(DuckDb(demo.database).work_dir / "dbt_project" / "target")


USAGE: list[Use] = [
    ("2026-10-05", "search", "acme", 1_000, "3"),
    ("2026-10-05", "chat", "acme", 500, "1"),
    ("2026-10-06", "search", "bolt", 2_000, "1.5"),
    ("2026-10-06", NOBODY, NOBODY, 500, "0.5"),
    ("2026-10-31", "chat", NOBODY, 1_000, None),
]


def test_the_kpis_that_come_with_it(sql: dict[str, str]) -> None:
    events = """\
2026-10-05,sessions,search,,20,,,
2026-10-06,sessions,search,,25,,,
2026-10-05,sessions,chat,,5,,,
2026-10-05,conversions,search,,4,,,
2026-10-06,tickets,,acme,8,,,
2026-10-05,active_users,search,,10,,,
2026-10-06,active_users,search,,20,,,
2026-10-05,revenue,,acme,30,USD,,
2026-10-01,revenue,,bolt,12.5,USD,1,month
"""
    books = Business(sql, USAGE, business_events=events)
    assert books.kpi("feature", "search", "cost_per_engagement") == Decimal("0.1")
    assert books.kpi("feature", "chat", "cost_per_engagement") == Decimal("0.2")
    assert books.kpi("total", TOTAL, "cost_per_engagement") == Decimal("0.12")
    assert books.kpi("feature", "search", "tokens_per_conversion") == 750
    assert books.kpi("total", TOTAL, "tokens_per_conversion") == 1_250
    assert books.kpi("customer", "acme", "cost_per_ticket") == Decimal("0.5")
    assert books.kpi("feature", "search", "cost_per_active_user") == Decimal("0.3")
    assert books.kpi("customer", "acme", "revenue_per_1000_tokens") == 20
    assert books.kpi("total", TOTAL, "revenue_per_1000_tokens") == Decimal("8.5")
    assert books.kpi("customer", "bolt", "gross_margin_ratio") == Decimal("0.88")
    money = "numerator_value, denominator_value, cost_usd, revenue_usd, margin_usd"
    assert books.kpi("customer", "acme", "gross_margin_ratio", money) == (26, 30, 4, 30, 26)
    shown = "unit, per, currency, total_tokens, requests, is_whole_month"
    assert books.kpi("total", TOTAL, "revenue_per_1000_tokens", shown) == (
        "USD per 1,000 tokens", 1000, "USD", 5_000, 5, True,
    )  # fmt: skip
    # Usage without a price is in no cost, and is told.
    known = "cost_usd, unpriced_tokens, unpriced_requests, has_unpriced_usage"
    assert books.kpi("feature", "chat", "cost_per_engagement", known) == (1, 1_000, 1, True)
    assert [books.check(name) for name in QUIET] == [[], [], [], []]


@pytest.mark.parametrize(
    "broken",
    [
        "denominator_value = null, kpi_value = null",
        "denominator_value = denominator_value + 1",
        "numerator_value = numerator_value * 2",
        "kpi_value = kpi_value * 1.01",
    ],
)
def test_what_is_divided_is_compared_with_what_was_recorded(sql: dict[str, str], broken: str) -> None:
    books = Business(sql, USAGE, business_events="2026-10-05,sessions,search,,20,,,\n2026-10-06,sessions,chat,,5,,,\n")
    books.connection.execute(
        f"""
        create table economics as from llm_unit_economics;
        drop view llm_unit_economics;
        alter table economics rename to llm_unit_economics;
        update llm_unit_economics set {broken} where member_type = 'total' and kpi_id = 'cost_per_engagement'
        """
    )
    found = books.check("assert_unit_economics_add_up")
    assert {row[1:] for row in found} == {("cost_per_engagement", "total")}


def test_no_events_no_rows(sql: dict[str, str]) -> None:
    books = Business(sql, USAGE)
    assert books.rows("from llm_unit_economics") == []
    assert [books.check(name) for name in QUIET] == [[], [], [], []]


def test_a_month_without_usage_is_not_known(sql: dict[str, str]) -> None:
    books = Business(sql, USAGE, business_events="2026-09-30,sessions,search,,20,,,\n")
    assert books.rows("from llm_unit_economics") == []


def test_who_has_no_events_shows_without_a_value(sql: dict[str, str]) -> None:
    """Others have some: high cost and no engagement is what people look for."""
    books = Business(sql, USAGE, business_events="2026-10-05,sessions,search,,45,,,\n2026-10-05,sessions,idle,,3,,,\n")
    columns = "kpi_value, numerator_value, denominator_value, days_with_usage, days_with_events, coverage_ratio"
    assert books.kpi("feature", "chat", "cost_per_engagement", columns) == (None, 1, None, 2, 0, 0)
    assert books.kpi("feature", NOBODY, "cost_per_engagement", columns) == (None, Decimal("0.5"), None, 1, 0, 0)
    # Nothing was used, so it cost nothing.
    assert books.kpi("feature", "idle", "cost_per_engagement", columns) == (0, 0, 3, 0, 1, None)
    # No event names a customer, so customers are not asked.
    assert books.rows("select distinct member_type, kpi_id from llm_unit_economics order by all") == [
        ("feature", "cost_per_engagement"),
        ("total", "cost_per_engagement"),
    ]


def test_nothing_is_divided_by_nothing(sql: dict[str, str]) -> None:
    events = "2026-10-05,sessions,search,,0,,,\n2026-10-05,revenue,search,,-5,USD,,\n"
    books = Business(sql, USAGE, business_events=events)
    assert books.kpi("feature", "search", "cost_per_engagement", "kpi_value, denominator_value") == (None, 0)
    assert books.kpi("feature", "search", "gross_margin_ratio", "kpi_value, margin_usd") == (None, Decimal("-9.5"))
    assert books.kpi("feature", "search", "revenue_per_1000_tokens") == Decimal("-1.666666666667")


def test_no_known_cost_is_no_cost_of_nothing(sql: dict[str, str]) -> None:
    usage: list[Use] = [("2026-10-05", "search", NOBODY, 1_000, None)]
    events = "2026-10-05,sessions,search,,20,,,\n2026-10-05,revenue,search,,20,USD,,\n"
    books = Business(sql, usage, business_events=events)
    columns = "kpi_value, numerator_value, cost_usd, margin_usd, coverage_ratio, unpriced_tokens, has_unpriced_usage"
    assert books.kpi("feature", "search", "cost_per_engagement", columns) == (None, None, None, None, None, 1_000, True)
    assert books.kpi("feature", "search", "gross_margin_ratio") is None
    assert books.kpi("feature", "search", "revenue_per_1000_tokens") == 20


@pytest.mark.parametrize(
    ("cost", "sessions", "expected"),
    [
        ("1", "3", "0.333333333333"),
        ("2", "3", "0.666666666667"),
        ("0.000000000001", "2", "0.000000000001"),
        ("0.000000000001", "2.000001", "0"),
        ("0.999999999999", "1", "0.999999999999"),
        ("123456789.123456789012", "0.000001", "123456789123456.789012"),
        ("100000000000", "7", "14285714285.714285714286"),
        ("1", "999999999999999999", "0"),
    ],
)
def test_a_quotient_is_exact_and_rounded_half_up(sql: dict[str, str], cost: str, sessions: str, expected: str) -> None:
    usage: list[Use] = [("2026-10-05", "search", NOBODY, 1, cost)]
    books = Business(sql, usage, business_events=f"2026-10-05,sessions,search,,{sessions},,,\n")
    assert books.kpi("total", TOTAL, "cost_per_engagement") == Decimal(expected)


def test_active_users_are_a_mean_of_days_and_of_who_is_meant(sql: dict[str, str]) -> None:
    events = """\
2026-10-05,active_users,search,,10,,,
2026-10-06,active_users,search,,14,,,
2026-10-06,active_users,chat,,7,,,
2026-10-07,active_users,,,11,,,
2026-10-05,active_users,chat,acme,2,,,
2026-10-05,active_users,chat,bolt,3,,,
2026-10-01,active_users,,acme,9,,,month
2026-10-07,active_users,,acme,1,,,
"""
    books = Business(sql, USAGE, business_events=events)
    found = {
        (kind, member): value
        for kind, member, value in books.rows(
            "select member_type, member_id, denominator_value from llm_unit_economics"
            " where kpi_id = 'cost_per_active_user'"
        )
    }
    assert found == {
        # 10 + 5, 14 + 7 and, said of the whole, 11; what covers the month goes before the days: 9 of acme.
        ("total", TOTAL): 9,
        ("feature", "search"): 12,
        ("feature", "chat"): 6,
        ("feature", NOBODY): None,
        ("customer", "acme"): 9,
        ("customer", "bolt"): 3,
        ("customer", NOBODY): None,
    }
    without_month = Business(
        sql, USAGE, business_events=events.replace("2026-10-01,active_users,,acme,9,,,month\n", "")
    )
    assert without_month.kpi("total", TOTAL, "cost_per_active_user", "denominator_value") == Decimal("15.666666666667")
    assert without_month.check("assert_unit_economics_add_up") == []


@pytest.mark.parametrize(
    ("own_rate", "rates", "revenue"),
    [
        ("1.0853", "", "10.853"),
        ("", "EUR,1.1,2026-10-05,2026-10-06\nEUR,1.2,2026-10-06,2026-12-01\n", "11"),
        ("", "EUR,1.2,2026-10-06,2026-12-01\n", None),
    ],
)
def test_amounts_are_worth_what_the_row_says_else_the_rate_of_the_day(
    sql: dict[str, str], own_rate: str, rates: str, revenue: str | None
) -> None:
    events = f"2026-10-05,revenue,,acme,10,eur,{own_rate},\n2026-10-06,revenue,,bolt,7,USD,,\n"
    books = Business(sql, USAGE, rates=rates, business_events=events)
    found = books.kpi("customer", "acme", "gross_margin_ratio", "revenue_usd, margin_usd")
    assert found == ((None, None) if revenue is None else (Decimal(revenue), Decimal(revenue) - 4))
    # A part that is not known leaves the whole unknown.
    total = books.kpi("total", TOTAL, "gross_margin_ratio", "revenue_usd")
    assert total == (None if revenue is None else Decimal(revenue) + 7)
    assert bool(books.check("warn_amounts_without_rate")) == (revenue is None)
    assert books.check("assert_business_seeds_make_sense") == books.check("assert_unit_economics_add_up") == []


def test_coverage_says_of_what_part_of_the_cost_there_are_records(sql: dict[str, str]) -> None:
    usage: list[Use] = [
        ("2026-10-05", "search", "acme", 1, "3"),
        ("2026-10-06", "search", "acme", 1, "1"),
        ("2026-10-06", "chat", "acme", 1, "4"),
        ("2026-10-31", NOBODY, NOBODY, 1, "2"),
    ]

    def covered(events: str, kpi: str = "cost_per_engagement") -> dict[tuple[str, str], tuple[int, Decimal]]:
        books = Business(sql, usage, business_events=events)
        rows = books.rows(
            "select member_type, member_id, days_with_events, coverage_ratio from llm_unit_economics"
            f" where kpi_id = '{kpi}' and days_with_events > 0"
        )
        return {(kind, member): (days, ratio) for kind, member, days, ratio in rows}

    one_day = covered("2026-10-05,sessions,search,,5,,,\n")
    assert one_day == {("feature", "search"): (1, Decimal("0.75")), ("total", TOTAL): (1, Decimal("0.3"))}
    # A row that names neither speaks of the whole day.
    assert covered("2026-10-06,sessions,,,5,,,\n") == {("total", TOTAL): (1, Decimal("0.5"))}
    month = covered("2026-10-01,sessions,search,,5,,,month\n")
    assert month == {("feature", "search"): (2, Decimal(1)), ("total", TOTAL): (3, Decimal("0.4"))}
    assert covered("2026-10-01,sessions,,,5,,,month\n") == {("total", TOTAL): (3, Decimal(1))}
    # Both in rows of the day and of the month: no day counts twice.
    both = covered("2026-10-01,sessions,search,,5,,,month\n2026-10-05,sessions,search,,5,,,\n")
    assert both == month
    # Of customers all is known on the 6th, of features a part: the larger part counts.
    more = covered("2026-10-06,sessions,search,,1,,,\n2026-10-06,sessions,,acme,1,,,\n")
    assert more[("total", TOTAL)] == (1, Decimal("0.5"))
    assert more[("customer", "acme")] == (1, Decimal("0.625"))


def test_a_kpi_of_two_events_needs_both_and_one_of_usage_none(sql: dict[str, str]) -> None:
    kpis = "own,Own,,revenue,sessions,1,,\nratio,Ratio,,cost_usd,requests,1000,,\nsame,,,sessions,sessions,,,\n"
    events = "2026-10-05,sessions,search,,8,,,\n2026-10-06,sessions,search,,8,,,\n2026-10-06,revenue,search,,4,USD,,\n"
    books = Business(sql, USAGE, kpis=kpis, business_events=events)
    columns = "kpi_value, days_with_events, coverage_ratio"
    assert books.kpi("feature", "search", "own", columns) == (Decimal("0.25"), 1, Decimal("0.333333"))
    assert books.kpi("customer", "acme", "ratio", columns) == (2_000, None, None)
    assert books.kpi("feature", "search", "same", columns) == (1, 2, 1)
    assert books.kpi("feature", "search", "same", "kpi_name, unit, per") == ("same", None, 1)
    assert [books.check(name) for name in QUIET] == [[], [], [], []]


PROBLEMS = {
    "business_events": [
        ("05.10.2026,sessions,,,1,,,", "event_date is no date, written as YYYY-MM-DD"),
        ("2026-10-05,Active users,,,1,,,", "event_type is no word of lower case letters, digits and _"),
        ("2026-10-05,requests,,,1,,,", "event_type is the name of a measure"),
        ("2026-10-05,sessions,,,many,,,", "quantity is no number with at most 6 decimals"),
        ("2026-10-05,sessions,,,1.0000001,,,", "quantity is no number with at most 6 decimals"),
        ("2026-10-05,sessions,,,,,,", "quantity is no number with at most 6 decimals"),
        ("2026-10-05,sessions,,,-1,,,", "a number of events is below 0"),
        ("2026-10-05,revenue,,,1,,,", "revenue has no currency: it is never assumed"),
        ("2026-10-05,revenue,,,1,US$,,", "currency is no code of three letters"),
        ("2026-10-05,revenue,,,1,EUR,-1,", "usd_per_unit is not a positive number"),
        ("2026-10-05,revenue,,,1,USD,1.1,", "usd_per_unit is not 1 for USD"),
        ("2026-10-05,sessions,,,1,,,week", "covers is neither day nor month"),
        ("2026-10-05,sessions,,,1,,,month", "what covers a month has its first day as event_date"),
        ("2026-10-05,sessions,(unallocated),,1,,,", "a feature or customer that is not known is left empty"),
        ("2026-10-05,sessions,a,,1,,,\n2026-10-05,sessions,a,,2,,,day", "two rows say the same: add them up"),
        (
            "2026-10-05,deals,a,,1,,,\n2026-10-06,deals,a,,2,USD,,",
            "some rows of the type are amounts, with a currency, and some are not",
        ),
    ],
    "kpis": [
        ("Cost,,,cost_usd,sessions,1,,", "kpi_id is no word of lower case letters, digits and _"),
        ("a,,,,sessions,1,,", "numerator is neither a measure nor a type of business event"),
        ("a,,,cost_usd,Sessions,1,,", "denominator is neither a measure nor a type of business event"),
        ("a,,,cost_usd,sessions,0,,", "per is not a whole number from 1 on"),
        ("a,,,cost_usd,sessions,1,,\na,,,cost_usd,tickets,1,,", "two rows have the same kpi_id"),
    ],
    "features": [
        (",Search,,", "feature_id is empty"),
        ("(unallocated),,,", "feature_id is the name of usage without a feature"),
        ("search,,,\nsearch,Search,,", "two rows have the same feature_id"),
    ],
}


@pytest.mark.parametrize(
    ("seed", "rows", "problem"), [(seed, rows, problem) for seed, cases in PROBLEMS.items() for rows, problem in cases]
)
def test_a_row_that_cannot_be_meant_is_told(sql: dict[str, str], seed: str, rows: str, problem: str) -> None:
    found = Business(sql, **{seed: rows + "\n"}).check("assert_business_seeds_make_sense")
    assert {row[2] for row in found} == {problem}, found
    assert {row[0] for row in found} == {seed}


# --- a reference in Python ------------------------------------------------------------------------


def rounded(value: Fraction, places: int = 12) -> Decimal:
    with localcontext(prec=60):
        return (Decimal(value.numerator) / value.denominator).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


Event = tuple[str, str, str, str, str, str]
"""Day, type, feature, customer, quantity, covers."""


def random_world(seed: int) -> tuple[list[Use], list[Event]]:
    chance = Random(seed)
    features, customers = ["f1", "f2", "f3"], ["c1", "c2"]
    usage: list[Use] = [("2026-09-30", NOBODY, NOBODY, 5, "1"), ("2026-10-31", NOBODY, NOBODY, 5, "1")]
    for _ in range(60):
        cost = chance.choice([None, "0", str(Decimal(chance.randrange(10**13)).scaleb(-12))])
        day = f"2026-{chance.choice(['09', '10'])}-{chance.randrange(1, 31):02d}"
        usage.append((day, chance.choice([*features, NOBODY]), chance.choice([*customers, NOBODY]), 9, cost))
    events: dict[tuple[str, ...], Event] = {}
    for _ in range(80):
        kind = chance.choice(["sessions", "conversions", "active_users"])
        covers = chance.choice(["", "", "", "month"])
        month = chance.choice(["09", "10"])
        day = f"2026-{month}-{'01' if covers else f'{chance.randrange(1, 31):02d}'}"
        feature, customer = chance.choice(["", *features]), chance.choice(["", *customers])
        quantity = str(Decimal(chance.randrange(10**4)).scaleb(-chance.randrange(3)))
        events[day, kind, feature, customer, covers] = (day, kind, feature, customer, quantity, covers)
    return usage, list(events.values())


def expected_quantities(events: Iterable[Event]) -> dict[tuple[str, str, str, str], Decimal]:
    """(month, member type, member, event type) -> its quantity."""
    parts: dict[tuple[str, ...], list[tuple[bool, Decimal]]] = defaultdict(list)
    for day, kind, feature, customer, quantity, covers in events:
        for member_type, member, own in (
            ("total", TOTAL, not feature and not customer),
            ("feature", feature or NOBODY, not customer),
            ("customer", customer or NOBODY, not feature),
        ):
            if not (kind.startswith("active_") and member == NOBODY):
                parts[member_type, member, kind, covers, day].append((own, Decimal(quantity)))
    days: dict[tuple[str, str, str, str], dict[str, list[Decimal]]] = defaultdict(lambda: defaultdict(list))
    for (member_type, member, kind, covers, day), values in parts.items():
        said = [quantity for own, quantity in values if own]
        used = said if said and kind.startswith("active_") else [quantity for _, quantity in values]
        days[day[:7], member_type, member, kind][covers].append(sum(used, Decimal(0)))
    found = {}
    for key, by_cover in days.items():
        if not key[3].startswith("active_"):
            found[key] = sum((value for values in by_cover.values() for value in values), Decimal(0))
        elif by_cover["month"]:
            (found[key],) = by_cover["month"]
        else:
            found[key] = rounded(Fraction(sum(by_cover[""])) / len(by_cover[""]))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_whatever_events_and_usage_there_are_sql_and_python_agree(sql: dict[str, str], seed: int) -> None:
    usage, events = random_world(seed)
    lines = "".join(f"{day},{kind},{f},{c},{quantity},,,{covers}\n" for day, kind, f, c, quantity, covers in events)
    books = Business(sql, usage, business_events=lines)
    quantities = expected_quantities(events)
    cost: dict[tuple[str, str, str], Fraction | None] = defaultdict(lambda: Fraction(0))
    members = {key[:3] for key in quantities}
    for day, feature, customer, _, _ in usage:
        for member in ((day[:7], "total", TOTAL), (day[:7], "feature", feature), (day[:7], "customer", customer)):
            members.add(member)
            cost[member] = None
    for day, feature, customer, _, amount in usage:
        for member in ((day[:7], "total", TOTAL), (day[:7], "feature", feature), (day[:7], "customer", customer)):
            if amount is not None:
                cost[member] = (cost[member] or 0) + Fraction(amount)
    expected = {}
    for kpi, kind in (("cost_per_engagement", "sessions"), ("cost_per_active_user", "active_users")):
        for member in members:
            quantity, spent = quantities.get((*member, kind)), cost[member]
            known = quantity and spent is not None
            expected[(*member, kpi)] = rounded(spent / Fraction(quantity)) if known and spent is not None else None
    found = {
        tuple(row[:4]): row[4]
        for row in books.rows(
            "select strftime(billing_period, '%Y-%m'), member_type, member_id, kpi_id, kpi_value"
            " from llm_unit_economics where kpi_id in ('cost_per_engagement', 'cost_per_active_user')"
        )
    }
    assert found == expected
    assert sum(value is not None for value in found.values()) > 10
    assert [books.check(name) for name in QUIET] == [[], [], [], []]


# --- features -------------------------------------------------------------------------------------


def test_a_feature_is_one_that_is_named_or_seen(sql: dict[str, str]) -> None:
    books = Business(sql, USAGE, features="search,Search,Finds things,platform\nidea,,,\n")
    books.connection.execute(
        "insert into used values ('2026-10-07', 'search', 'acme', 9000, 1, 'other'),"
        " ('2026-10-07', 'chat', 'acme', 0, 1, '(unallocated)')"
    )
    found = books.rows(
        "select feature_id, feature_name, description, owner, main_team_id, teams, first_seen_at::date::varchar,"
        " last_seen_at::date::varchar, is_registered from dim_llm_features order by feature_id"
    )
    assert found == [
        ("chat", None, None, None, "team", 1, "2026-10-05", "2026-10-31", False),
        ("idea", None, None, None, None, 0, None, None, True),
        ("search", "Search", "Finds things", "platform", "other", 2, "2026-10-05", "2026-10-07", True),
    ]


# --- the demo -------------------------------------------------------------------------------------


def test_every_model_of_the_demo_has_its_prices(demo: Demo) -> None:
    """What is told of a model now is what its newest plain requests were priced at."""
    rows = query(
        demo.database,
        """
        with newest as (
            select channel, model_id, max(usage_date) as usage_date
            from llm_spend.fct_llm_requests
            where price_status = 'priced' and coalesce(service_tier, 'standard') = 'standard'
            group by all
        )
        select
            count(*),
            count(*) filter (
                requests.list_cost_usd * 1000000
                = requests.uncached_input_tokens * models.input_usd_per_million
                + requests.output_tokens * models.output_usd_per_million
            )
        from llm_spend.fct_llm_requests as requests
        inner join newest using (channel, model_id, usage_date)
        inner join llm_spend.dim_llm_models as models using (channel, model_id)
        where requests.price_status = 'priced' and requests.cache_read_tokens = 0
            and requests.cache_write_5m_tokens + requests.cache_write_1h_tokens = 0
            and coalesce(requests.service_tier, 'standard') = 'standard' and models.output_usd_per_million is not null
        """,
    )
    assert rows[0][0] > 0 and rows[0][0] == rows[0][1]
    missing = query(
        demo.database,
        """
        select distinct requests.channel, requests.model_id from llm_spend.fct_llm_requests as requests
        anti join llm_spend.dim_llm_models as models
            on coalesce(requests.channel, '(unknown)') = models.channel
            and coalesce(requests.model_id, '(unresolved)') = models.model_id
        where requests.is_of_record
        """,
    )
    assert missing == []


def test_the_seeds_of_the_page_can_be_meant(sql: dict[str, str]) -> None:
    page = Path("docs/unit-economics.md").read_text(encoding="utf-8")
    blocks = [block.partition("\n") for block in re.findall(r"```csv\n(.*?)```", page, re.DOTALL)]
    events, kpis, designs = (rows for _, _, rows in blocks)
    assert [heading + "\n" for heading, _, _ in blocks] == [EVENTS, KPIS, DESIGNS]
    usage: list[Use] = [("2026-10-05", "chat", "acme", 1_700_000, "1")]
    default = Path("dbt_project/seeds/mapping/kpis.csv").read_text(encoding="utf-8").removeprefix(KPIS)
    books = Business(sql, usage, kpis=default + kpis, business_events=events, plan_designs=designs)
    assert [books.check(name) for name in QUIET] == [[], [], [], []]
    assert books.kpi("customer", "acme", "gross_margin_ratio", "revenue_usd") == Decimal("314.737")
    assert books.kpi("feature", "chat", "requests_per_session", "numerator_value, denominator_value") == (1, 310)
    found = "select plan_id, revenue_usd from llm_plan_design_customers order by design_id"
    # 1.7 million tokens: 60 a million are 102; half a million at 15 and 200,000 at 12.
    assert books.rows(found) == [("metered", 102), ("professional", 99 + Decimal("9.90"))]
