"""Statements conserve money: whatever costs, bills, teams and shared costs there are, every cent is charged once.

The compiled SQL of the demo's build runs on made-up tables, without dbt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend.destinations import DuckDb
from tests.conftest import Demo, query
from tests.dbt.compiled import compiled_sql

pytestmark = pytest.mark.slow

MODELS = (
    "stg_rules__shared_costs",
    "stg_rules__shared_cost_weights",
    "int_cost_lines",
    "int_shared_costs",
    "int_chargeback_lines",
    "llm_chargeback_lines",
    "llm_chargeback_statements",
    "llm_chargeback_restatements",
    "llm_chargeback_current_view",
)
CHECKS = (
    "assert_shared_costs_add_up",
    "assert_chargeback_lines_sum_to_days",
    "assert_chargeback_lines_within_a_cent",
    "assert_chargeback_statements_sum_to_lines",
    "assert_restatements_sum_to_lines",
    "assert_current_view_sums_to_statements",
)
SEED_CHECK, OPEN_CHECK = "assert_shared_cost_seeds_make_sense", "warn_shared_costs_open"
SEEDS = MODELS[:2]

MONEY, NOBODY, CENT = "decimal(38, 12)", "(unallocated)", Decimal("0.01")
NAMES = ("provider", "cost_center_id", "team_id", "model_id")
COUNTS = ("attempts", "total_tokens", "unpriced_tokens", "unpriced_requests")
VALIDITY = {"valid_from": "date", "valid_to": "date"}
TABLES: dict[str, dict[str, str]] = {
    "int_requests_daily": {"billing_period": "date", "is_of_record": "boolean", "cost_usd": MONEY}
    | dict.fromkeys(NAMES, "varchar")
    | dict.fromkeys(COUNTS, "bigint")
    | dict.fromkeys(("source_system", "source_instance", "channel", "first_cost_basis", "last_cost_basis"), "varchar"),
    "int_restated_daily": dict.fromkeys(("usage_date", "billing_period"), "date")
    | dict.fromkeys(("cost_usd", "restated_cost_usd"), MONEY)
    | dict.fromkeys(("source_system", "source_instance", "channel", *NAMES), "varchar")
    | dict.fromkeys((*COUNTS, "restated_unpriced_requests", "restated_unpriced_tokens"), "bigint"),
    "int_billed_days": {"usage_date": "date"}
    | dict.fromkeys(("provider", "source_system", "source_instance"), "varchar"),
    "int_true_up_lines": {"billing_period": "date", "exact_cost_usd": MONEY}
    | dict.fromkeys((*NAMES, "line_type", "allocation_method"), "varchar"),
    "shared_costs": dict.fromkeys(
        ("shared_cost_id", "description", "source", "provider", "amount", "currency", "usd_per_unit", "method",
         "valid_from", "valid_to"), "varchar",
    ),
    "shared_cost_weights": dict.fromkeys(
        ("shared_cost_id", "team_id", "cost_center_id", "weight", "valid_from", "valid_to"), "varchar"
    ),
    "stg_mapping__org_teams": VALIDITY | dict.fromkeys(("team_id", "team_name", "cost_center_id"), "varchar"),
    "stg_mapping__org_members": VALIDITY | {"user_id": "varchar", "team_id": "varchar"},
    "stg_prices__fx_rates": {
        "currency": "varchar", "usd_per_unit": "decimal(18, 12)", "valid_from": "timestamp", "valid_to": "timestamp"
    },
    "int_closed_periods": {"billing_period": "date", "closed_at": "timestamp"},
}  # fmt: skip

Row = dict[str, Any]
SEP, OCT, NOV, DEC = (date(2026, month, 1) for month in (9, 10, 11, 12))
EVER, EUR = date(9999, 12, 31), Decimal("1.0850")


@dataclass(frozen=True)
class World:
    """The rows of each table that says something."""

    usage: Sequence[Row] = ()
    bills: Sequence[Row] = ()
    costs: Sequence[Row] = ()
    weights: Sequence[Row] = ()
    teams: Sequence[Row] = ()
    members: Sequence[Row] = ()

    def tables(self) -> dict[str, Sequence[Row]]:
        euro = {"currency": "EUR", "usd_per_unit": EUR, "valid_from": SEP, "valid_to": EVER}
        return {
            "int_requests_daily": self.usage,
            "int_true_up_lines": self.bills,
            "shared_costs": self.costs,
            "shared_cost_weights": self.weights,
            "stg_mapping__org_teams": self.teams,
            "stg_mapping__org_members": self.members,
            "stg_prices__fx_rates": [euro],
        }


class Books:
    """A database in memory with the tables that statements are made from."""

    def __init__(self, database: duckdb.DuckDBPyConnection, target: Path) -> None:
        self._database = database
        self._sql = {name: compiled_sql(target, name) for name in (*MODELS, *CHECKS, SEED_CHECK, OPEN_CHECK)}
        for name, columns in TABLES.items():
            database.execute(f"create table {name} ({', '.join(f'{each} {kind}' for each, kind in columns.items())})")
        self._database.execute(KEPT)

    def build(self, world: World, models: Sequence[str] = MODELS, *, backwards: bool = False) -> None:
        for name, rows in world.tables().items():
            self.fill(name, reversed(rows) if backwards else rows)
        for name in models:
            self._database.execute(f"create or replace table {name} as {self._sql[name]}")

    def fill(self, table: str, rows: Iterable[Row]) -> None:
        columns = TABLES[table]
        self._database.execute(f"delete from {table}")
        values = [[row.get(column) for column in columns] for row in rows]
        if values:
            self._database.executemany(f"insert into {table} values ({', '.join('?' * len(columns))})", values)

    def close(self, month: date) -> None:
        """As the first build after the closing does it: the lines that are known are kept."""
        self._database.execute(
            f"""
            insert into int_closed_chargeback_lines by name
            select * exclude (
                    allocation_method, restated_cost_usd, restated_unpriced_tokens, restated_unpriced_requests
                ),
                timestamp '2026-12-01' as closed_at, billing_period as original_period
            from int_chargeback_lines where billing_period = '{month}'
            """
        )
        self.fill("int_closed_periods", [{"billing_period": month, "closed_at": DEC}])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._database.execute(sql).fetchall()

    def failures(self, check: str) -> list[tuple[Any, ...]]:
        return self.rows(self._sql[check])

    def shares(self) -> dict[tuple[Any, ...], Decimal]:
        """(month, provider, cost centre, team, method) -> exact USD."""
        found = self.rows(
            "select billing_period, provider, cost_center_id, team_id, allocation_method, exact_cost_usd"
            " from llm_chargeback_lines where line_type = 'shared'"
        )
        return {tuple(key): usd for *key, usd in found}


KEPT = f"""
create table int_closed_chargeback_lines (
    billing_period date, line_id varchar, line_type varchar, cost_center_id varchar, team_id varchar, provider varchar,
    model_id varchar, attempts bigint, quantity_tokens bigint, exact_cost_usd {MONEY}, amount_usd decimal(38, 2),
    cost_basis varchar, original_period date, restatement_reason varchar, unpriced_tokens bigint,
    unpriced_requests bigint, has_unknown_share boolean, closed_at timestamp
)
"""


@pytest.fixture(scope="module")
def target(demo: Demo) -> Path:
    return DuckDb(demo.database).work_dir / "dbt_project" / "target"


@contextmanager
def new_books(target: Path) -> Iterator[Books]:
    with duckdb.connect() as database:
        yield Books(database, target)


@pytest.fixture
def books(target: Path) -> Iterator[Books]:
    with new_books(target) as made:
        yield made


# --- worlds ---------------------------------------------------------------------------------------


def used(month: date, team: str, usd: Decimal | int | None, **others: Any) -> Row:
    """A day's usage of a team."""
    row = {"billing_period": month, "is_of_record": True, "provider": "openai", "model_id": "m"}
    row |= {"cost_center_id": NOBODY if team == NOBODY else "cc", "team_id": team, "cost_usd": usd, "attempts": 1}
    row |= {"total_tokens": 10, "unpriced_tokens": 10 * (usd is None), "unpriced_requests": int(usd is None)}
    return row | others


def billed(month: date, team: str, usd: Decimal | int, line_type: str = "true_up", **others: Any) -> Row:
    """What a bill adds to the usage."""
    row = {"billing_period": month, "provider": "openai", "cost_center_id": "cc", "team_id": team, "model_id": "m"}
    return row | {"line_type": line_type, "allocation_method": "bill_by_month", "exact_cost_usd": usd} | others


def shared(name: str, source: str, method: str, **others: str) -> Row:
    """A row of shared_costs; an amount is one of 100 USD."""
    row = dict.fromkeys(TABLES["shared_costs"], "") | {"shared_cost_id": name, "source": source, "method": method}
    if source == "amount":
        row |= {"provider": "portkey", "amount": "100", "currency": "USD"}
    return row | {"valid_from": "2026-09-01"} | others


def sharer(name: str, team: str, weight: str = "", **others: str) -> Row:
    return dict.fromkeys(TABLES["shared_cost_weights"], "") | {
        "shared_cost_id": name, "team_id": team, "weight": weight
    } | others  # fmt: skip


def team(name: str, center: str | None = "cc", start: date = SEP, end: date = EVER) -> Row:
    return {"team_id": name, "cost_center_id": center, "valid_from": start, "valid_to": end}


def member(user: str, of: str, start: date = SEP, end: date = EVER) -> Row:
    return {"user_id": user, "team_id": of, "valid_from": start, "valid_to": end}


METHODS = (
    "proportional_by_cost", "proportional_by_tokens", "proportional_by_requests", "headcount", "even", "fixed_weights"
)  # fmt: skip
usds = st.integers(-(10**13), 10**15).map(lambda units: Decimal(units).scaleb(-12))
costs_of_usage = st.one_of(st.none(), st.sampled_from([Decimal(0), Decimal("33.333333333333")]), usds.map(abs))
teams_of = st.sampled_from("abcd")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Three months, the second without any usage; two providers, four teams; costs and bills of twelve digits."""
    months, providers = st.sampled_from([SEP, NOV]), st.sampled_from(["openai", "google"])
    usage = [
        used(
            draw(months), name, draw(costs_of_usage), provider=draw(providers), model_id=draw(st.sampled_from("mn")),
            attempts=draw(st.integers(1, 9)), total_tokens=draw(st.integers(0, 10**9)),
        )
        for name in draw(st.lists(st.sampled_from([*"abcd", NOBODY]), min_size=1, max_size=12))
    ]  # fmt: skip
    bills = {
        (month, name, line_type): billed(month, name, draw(usds), line_type)
        for month, name, line_type in draw(
            st.lists(st.tuples(months, teams_of, st.sampled_from(["true_up", "commitment"])), max_size=5)
        )
    }
    sources = draw(st.lists(st.sampled_from(["amount", "team:a", "team:b", "unallocated"]), max_size=4, unique=True))
    rules, weights = [], []
    for source in sources:
        method = draw(st.sampled_from(METHODS))
        others = {"valid_to": draw(st.sampled_from(["", "2026-11-01"]))}
        if source == "amount":
            others |= {"provider": draw(providers), "currency": draw(st.sampled_from(["USD", "EUR", "XXX"]))}
            others |= {"amount": str(draw(usds))}
        rules.append(shared(source, source, method, **others))
        named = draw(st.lists(teams_of, max_size=4, unique=True, min_size=int(method == "fixed_weights")))
        for name in named:
            weight = str(draw(st.integers(1, 10**9)) / Decimal(1000)) if method == "fixed_weights" else ""
            weights.append(sharer(source, name, weight, cost_center_id=draw(st.sampled_from(["", "x"]))))
    org = [team(name, draw(st.sampled_from(["cc", "cc2", None]))) for name in "abcd" if draw(st.booleans())]
    people = [
        member(f"u{number}", draw(teams_of), end=draw(st.sampled_from([OCT, EVER])))
        for number in range(draw(st.integers(0, 5)))
    ]
    return World(usage, list(bills.values()), rules, weights, org, people)


# --- what must hold -------------------------------------------------------------------------------


def cents(usd: Decimal) -> Decimal:
    return usd.quantize(CENT, ROUND_HALF_UP)


def provider_months(world: World) -> Mapping[tuple[date, str], Decimal]:
    """(month, provider) -> its exact total: usage, bills, and the amounts of the seed; summed by hand."""
    totals: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    for row in world.usage:
        totals[row["billing_period"], row["provider"]] += row["cost_usd"] or 0
    for row in world.bills:
        totals[row["billing_period"], row["provider"]] += row["exact_cost_usd"]
    months = {month for month, _ in totals}
    for row in world.costs:
        for month in (SEP, OCT, NOV):
            is_valid = row["valid_from"] <= str(month) < (row["valid_to"] or "9999")
            rate = {"USD": Decimal(1), "EUR": EUR}.get(row["currency"])
            if row["source"] == "amount" and is_valid and rate and min(months) <= month <= max(months):
                usd = (Decimal(row["amount"]) * rate).quantize(Decimal("1e-12"), ROUND_HALF_UP)
                totals[month, row["provider"]] += usd
    return totals


def lines(books: Books) -> list[tuple[Any, ...]]:
    return sorted(books.rows("from llm_chargeback_lines"), key=lambda line: str(line[1]))


@settings(max_examples=20, derandomize=True, deadline=None, database=None)
@given(world=worlds())
def check_conservation(books: Books, world: World) -> None:
    books.build(world)
    first = lines(books)
    for check in CHECKS:
        assert books.failures(check) == [], check
    found = books.rows("select billing_period, provider, sum(amount_usd) from llm_chargeback_lines group by all")
    expected = {key: cents(usd) for key, usd in provider_months(world).items()}
    assert {(month, provider): usd or 0 for month, provider, usd in found if usd} == {
        key: usd for key, usd in expected.items() if usd
    }
    assert len({line[1] for line in first}) == len(first), "line_id is a key"
    check_shares(books)
    books.build(world, backwards=True)
    assert lines(books) == first


def check_shares(books: Books) -> None:
    """Each share is its part of what is shared, but for the last digits; only the sources lose anything."""
    for shared_usd, weight, total, exact in books.rows(
        "select shared_usd, weight, total_weight, exact_cost_usd from int_shared_costs where weight is not null"
    ):
        if shared_usd is not None:
            part = Fraction(shared_usd) * weight / total
            assert abs(Fraction(exact) - part) < 10 * (abs(Fraction(shared_usd)) + 1) * Fraction(1, 10**12)


def test_whatever_is_shared_every_provider_month_adds_up_to_the_cent(target: Path) -> None:
    with new_books(target) as books:
        check_conservation(books)


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_f66_the_cent_that_is_left_goes_by_key_in_whatever_order_rows_came(books: Books, backwards: bool) -> None:
    usage = [used(SEP, name, Decimal("33.333333333333")) for name in "abc"]
    books.build(World(usage, costs=[shared("g", "amount", "even")], teams=[*map(team, "abc")]), backwards=backwards)
    amounts = "select team_id, amount_usd from llm_chargeback_lines where line_type = '{}' order by team_id"
    thirds = [("a", Decimal("33.34")), ("b", Decimal("33.33")), ("c", Decimal("33.33"))]
    assert books.rows(amounts.format("direct")) == books.rows(amounts.format("shared")) == thirds


def test_usage_is_weighed_by_what_the_method_says(books: Books) -> None:
    usage = [used(SEP, "a", 75, total_tokens=10, attempts=2), used(SEP, "b", 25, total_tokens=90, attempts=2)]
    for method, of_a in (
        ("proportional_by_cost", 75),
        ("proportional_by_tokens", 10),
        ("proportional_by_requests", 50),
    ):
        books.build(World(usage, costs=[shared("g", "amount", method)]))
        assert books.shares() == {
            (SEP, "portkey", "cc", "a", method): of_a,
            (SEP, "portkey", "cc", "b", method): 100 - of_a,
        }


def test_headcount_is_of_who_is_there_at_the_end_of_the_month(books: Books) -> None:
    people = [member("stays", "a"), member("moved", "a", end=date(2026, 9, 15)), member("new", "b", date(2026, 9, 20))]
    people += [member("moved", "b", date(2026, 9, 15)), member("left", "b", end=date(2026, 9, 30)), member("x", "gone")]
    people += [member("old", "b", date(2020, 1, 1))]
    world = World([used(SEP, "a", 1)], costs=[shared("g", "amount", "headcount")], members=people)
    books.build(replace(world, teams=[team("a"), team("b", "cc2"), team("gone", end=date(2026, 9, 30))]))
    assert books.shares() == {
        (SEP, "portkey", "cc", "a", "headcount"): 25,
        (SEP, "portkey", "cc2", "b", "headcount"): 75,
    }


def test_even_is_of_all_teams_there_are_unless_some_are_named(books: Books) -> None:
    world = World([used(SEP, "a", 1)], costs=[shared("g", "amount", "even")], teams=[team("a"), team("idle", "cc2")])
    books.build(world)
    assert books.shares() == {
        (SEP, "portkey", "cc", "a", "even"): 50,
        (SEP, "portkey", "cc2", "idle", "even"): 50,
    }
    books.build(replace(world, weights=[sharer("g", "idle", cost_center_id="x")]))
    assert books.shares() == {(SEP, "portkey", "x", "idle", "even"): 100}


def test_shares_are_of_costs_and_never_of_shares(books: Books) -> None:
    """The platform team gets its part of a licence; only what it costs itself is passed on."""
    usage = [used(SEP, "platform", 200), used(SEP, "a", 100), used(SEP, "b", 100)]
    licence, passed_on = "proportional_by_cost", "even"
    rules = [shared("licence", "amount", licence), shared("platform", "team:platform", passed_on)]
    books.build(World(usage, costs=rules, teams=[team("platform"), team("a"), team("b")]))
    assert books.shares() == {
        (SEP, "portkey", "cc", "platform", licence): 50,
        (SEP, "portkey", "cc", "a", licence): 25,
        (SEP, "portkey", "cc", "b", licence): 25,
        (SEP, "openai", "cc", "platform", passed_on): -200,
        (SEP, "openai", "cc", "a", passed_on): 100,
        (SEP, "openai", "cc", "b", passed_on): 100,
    }


def test_what_nobody_shares_stays_and_an_amount_is_unallocated(books: Books) -> None:
    usage = [used(SEP, NOBODY, 80), used(SEP, "a", None)]
    rules = [shared("g", "amount", "proportional_by_cost"), shared("rest", "unallocated", "headcount")]
    books.build(World(usage, costs=rules))
    assert books.shares() == {(SEP, "portkey", NOBODY, NOBODY, "proportional_by_cost"): 100}
    problem = "nobody shares it"
    assert sorted(books.failures(OPEN_CHECK)) == [(SEP, "g", "portkey", problem), (SEP, "rest", "openai", problem)]
    statement = "select unallocated_usd, shared_usd, total_usd from llm_chargeback_statements where team_id = '{}'"
    assert books.rows(statement.format(NOBODY)) == [(80, 100, 180)]


def test_what_a_team_or_nobody_costs_and_nobody_shares_is_named(books: Books) -> None:
    usage = [used(SEP, "platform", 5), used(SEP, NOBODY, 80, provider="google"), used(SEP, "idle", None)]
    rules = [shared("p", "team:platform", "headcount"), shared("rest", "unallocated", "fixed_weights")]
    rules += [
        shared("free", "team:idle", "headcount"),
        shared("later", "team:platform", "even", valid_from="2026-10-01"),
    ]
    books.build(World(usage, costs=rules))
    assert books.shares() == {}
    open_costs = [(SEP, "p", "openai", "nobody shares it"), (SEP, "rest", "google", "nobody shares it")]
    assert sorted(books.failures(OPEN_CHECK)) == open_costs
    books.build(World(usage, costs=rules, weights=[sharer("rest", "a", "1")], teams=[team("a")]))
    assert sorted(books.failures(OPEN_CHECK)) == open_costs[:1], "a has no members"


def test_one_absurd_time_hides_no_month_and_charges_no_other(books: Books) -> None:
    """Log lines of the years 1 and 2999: the licence is charged in the months that are real, and between them."""
    first, last = date(1, 1, 1), date(2999, 1, 1)
    usage = [used(month, "a", 1) for month in (first, SEP, NOV, last)]
    books.build(World(usage, costs=[shared("g", "amount", "even", valid_to="2999-01-01")], teams=[team("a")]))
    assert {month: usd for (month, *_), usd in books.shares().items()} == {SEP: 100, OCT: 100, NOV: 100}
    # A year without anything is no gap to fill; all but a year is.
    for later, months in ((date(2027, 9, 1), 13), (date(2027, 10, 1), 2)):
        books.build(
            World([used(SEP, "a", 1), used(later, "a", 1)], costs=[shared("g", "amount", "proportional_by_cost")])
        )
        assert len(books.shares()) == months
    for check in CHECKS:
        assert books.failures(check) == [], check


def test_an_unknown_share_beside_known_ones_is_told_on_the_line(books: Books) -> None:
    rules = [shared("g", "amount", "even"), shared("x", "amount", "even", currency="XXX")]
    usage, teams = [used(SEP, "a", 1), used(OCT, "a", 1)], [team("a"), team("b")]
    books.build(World(usage, costs=[rules[0], rules[1] | {"valid_to": "2026-10-01"}], teams=teams))
    told = "select billing_period, team_id, amount_usd, has_unknown_share from llm_chargeback_lines"
    assert books.rows(f"{told} where line_type = 'shared' order by all") == [
        (SEP, "a", 50, True), (SEP, "b", 50, True), (OCT, "a", 50, False), (OCT, "b", 50, False)
    ]  # fmt: skip
    statements = (
        "select billing_period, bool_or(has_unknown_share) from llm_chargeback_statements group by 1 order by 1"
    )
    assert books.rows(statements) == [(SEP, True), (OCT, False)]
    assert books.rows("select count(*) from llm_chargeback_lines where has_unknown_share and line_type = 'direct'") == [
        (0,)
    ]
    # Closed like that it stays so; what the rate makes of it is restated, and known.
    books.close(SEP)
    books.build(World(usage, costs=[rules[0], rules[1] | {"currency": "EUR", "valid_to": "2026-10-01"}], teams=teams))
    of_september = books.rows(f"{told} where original_period = '{SEP}' and allocation_method = 'even' order by all")
    assert of_september[:2] == [(SEP, "a", 50, True), (SEP, "b", 50, True)]
    assert of_september[2:] == [(OCT, name, Decimal("54.25"), False) for name in "ab"]


def test_the_current_view_moves_cost_centres_and_no_cent(books: Books) -> None:
    teams = [team("a", "old", end=OCT), team("a", "new", OCT), team("b", "old", end=NOV)]
    books.build(
        World([used(SEP, name, 10, cost_center_id="old") for name in "ab"] + [used(SEP, NOBODY, 1)], teams=teams)
    )
    assert books.rows(
        "select team_id, reported_cost_center_id, current_cost_center_id, is_moved, amount_usd"
        " from llm_chargeback_current_view order by team_id"
    ) == [(NOBODY, NOBODY, NOBODY, False, 1), ("a", "old", "new", True, 10), ("b", "old", NOBODY, True, 10)]


def test_an_amount_without_a_rate_is_unknown_and_named(books: Books) -> None:
    rules = [shared("g", "amount", "even", currency="XXX"), shared("h", "amount", "even", currency="eur")]
    books.build(World([used(SEP, "a", 1)], costs=rules[:1], teams=[team("a")]))
    assert books.rows("select exact_cost_usd, amount_usd from llm_chargeback_lines where line_type = 'shared'") == [
        (None, None)
    ]
    statement = "select direct_usd, shared_usd, total_usd from llm_chargeback_statements"
    assert books.rows(statement) == [(1, None, 1)]
    assert books.failures(OPEN_CHECK) == [(SEP, "g", "portkey", "no rate")]
    books.build(World([used(SEP, "a", 1)], costs=rules[1:], teams=[team("a")]))
    assert books.rows(statement) == [(1, Decimal("108.50"), Decimal("109.50"))]
    assert books.failures(OPEN_CHECK) == []


def test_a_closed_month_keeps_its_shares_and_late_data_restates_them(books: Books) -> None:
    usage = [used(SEP, "a", 75), used(SEP, "b", 25), used(SEP, NOBODY, 40), used(OCT, "a", 1)]
    world = World(usage, costs=[shared("rest", "unallocated", "proportional_by_cost", valid_to="2026-10-01")])
    books.build(world)
    of_closed = "from llm_chargeback_lines where is_closed order by line_id"
    books.close(SEP)
    books.build(world)
    closed = books.rows(of_closed)
    assert len(closed) == 6 and books.rows("from llm_chargeback_lines where line_type = 'restatement'") == []

    books.build(replace(world, usage=[*usage, used(SEP, "b", 50), used(SEP, NOBODY, 20, model_id="n")]))
    assert books.rows(of_closed) == closed, "not a byte"
    restated = books.rows(
        "select team_id, allocation_method, restatement_reason, amount_usd from llm_chargeback_lines"
        " where line_type = 'restatement' order by all"
    )
    assert restated == [
        (NOBODY, "own_usage", "late_data", 20),
        (NOBODY, "proportional_by_cost", "shared_correction", -20),
        # 60 by halves, where 40 was shared three to one.
        ("b", "own_usage", "late_data", 50),
        ("b", "proportional_by_cost", "shared_correction", 20),
    ]
    for check in CHECKS:
        assert books.failures(check) == [], check

    # A rule that is dropped takes back what it shared.
    books.build(replace(world, costs=[]))
    assert books.rows(of_closed) == closed
    restated = books.rows("select team_id, amount_usd from llm_chargeback_lines where line_type = 'restatement'")
    assert sorted(restated) == [(NOBODY, 40), ("a", -30), ("b", -10)]


def test_the_demo_shares_its_licence_by_headcount(demo: Demo) -> None:
    found = query(
        demo.database,
        """
        select strftime(billing_period, '%Y-%m'), cost_center_id, team_id, exact_cost_usd
        from llm_spend.llm_chargeback_lines where line_type = 'shared'
        """,
    )
    assert {tuple(key): usd for *key, usd in found} == demo.truth.shared_costs()
    assert sum(usd for *_, usd in found) == 49 * len({month for month, *_ in found})


ROWS: Sequence[tuple[str, dict[str, str], str]] = [
    ("shared_costs", {"shared_cost_id": ""}, "shared_cost_id is empty: give the cost a name"),
    ("shared_costs", {"source": "teams"}, "source is none of amount, unallocated, team:<team_id>"),
    ("shared_costs", {"method": "equal"}, "method is none of"),
    ("shared_costs", {"valid_from": ""}, "valid_from is not the first of a month"),
    ("shared_costs", {"valid_from": "2026-09-15"}, "valid_from is not the first of a month"),
    ("shared_costs", {"valid_to": "2026-09-01"}, "valid_to is not after valid_from"),
    ("shared_costs", {"provider": " "}, "provider is empty: name who is paid"),
    ("shared_costs", {"amount": "1.200,00"}, "amount is no number"),
    ("shared_costs", {"currency": ""}, "currency is no code of three letters: it is never assumed"),
    ("shared_costs", {"usd_per_unit": "1,08", "currency": "EUR"}, "usd_per_unit is not a positive number"),
    ("shared_costs", {"usd_per_unit": "1.08"}, "usd_per_unit is not 1 for USD"),
    ("shared_costs", {"source": "unallocated"}, "are of the source amount only: leave them empty"),
    ("shared_costs", {"method": "fixed_weights"}, "needs rows in shared_cost_weights, and has none from 2026-09-01 on"),
    ("shared_cost_weights", {"shared_cost_id": "h"}, "there is no such shared_cost_id in shared_costs"),
    ("shared_cost_weights", {"team_id": "z"}, "the team is not in org_teams: add it there, or correct the name"),
    ("shared_cost_weights", {"weight": "5"}, "only fixed_weights has weights: leave it empty"),
    ("shared_cost_weights", {"valid_from": "2026-09-02"}, "valid_from is not the first of a month"),
]


@pytest.mark.parametrize(("seed", "cells", "problem"), ROWS)
def test_a_row_that_makes_no_sense_is_named(books: Books, seed: str, cells: dict[str, str], problem: str) -> None:
    cost, weight = shared("g", "amount", "even"), sharer("g", "a")
    books.build(World(teams=[team("a")], costs=[cost], weights=[weight]), SEEDS)
    assert books.failures(SEED_CHECK) == []
    if seed == "shared_costs":
        books.build(World(teams=[team("a")], costs=[cost | cells]), SEEDS)
    else:
        books.build(World(teams=[team("a")], costs=[cost], weights=[weight | cells]), SEEDS)
    ((found_seed, row, said),) = books.failures(SEED_CHECK)
    assert found_seed == seed and problem in said
    assert (cells.get("shared_cost_id", "g")) in row


def test_rows_that_contradict_each_other_are_named(books: Books) -> None:
    def said(costs: list[Row], weights: list[Row]) -> set[tuple[str, str, str]]:
        books.build(World(teams=[team("a"), team("b")], costs=costs, weights=weights), SEEDS)
        return set(books.failures(SEED_CHECK))

    one = shared("one", "team:a", "fixed_weights")
    weights = [sharer("one", "b", "1", valid_to="2026-12-01"), sharer("one", "b", "2", valid_from="2026-12-01")]
    assert said([one], weights) == set()
    gap = [weights[0], weights[1] | {"valid_from": "2027-01-01"}]
    assert {problem for *_, problem in said([one], gap)} == {
        "fixed_weights needs rows in shared_cost_weights, and has none from 2026-12-01 on"
    }
    twice = "the team has two rows in one month: end one before the other begins"
    assert said([one], [weights[0], weights[1] | {"valid_from": "2026-11-01"}]) == {
        ("shared_cost_weights", "one|b|", twice)
    }
    assert {problem for *_, problem in said([one], [*weights, sharer("one", "a", "0")])} == {
        "it is this team whose costs are shared: leave it out"
    }
    assert {problem for *_, problem in said([one], [weights[0] | {"weight": "0"}, weights[1]])} == {
        "weight is not a number above 0, at most 1000000"
    }
    assert {problem for *_, problem in said([shared("x", "team:z", "even")], [])} == {
        "its team is not in org_teams: add it there, or correct the name"
    }
    again = "another row of this cost, or of the same source, is of the same month: end one before the other begins"
    for other in (shared("two", "team:a", "even"), one | {"valid_from": "2026-10-01"}):
        assert {problem for *_, problem in said([one, other], weights)} == {again}
    ended = one | {"valid_to": "2026-10-01"}
    assert said([ended, shared("two", "team:a", "even", valid_from="2026-10-01")], weights[:1]) == set()
