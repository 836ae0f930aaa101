"""What changes next, what a data set would change, and what that does to the cost of open months."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import sqlglot
from rich.console import Console
from typer.testing import CliRunner

from llm_spend.cli import app
from llm_spend.destinations import destination_of
from llm_spend.errors import UserError
from llm_spend.prices import diff_report, diff_run, files
from llm_spend.prices.book import PRICE_SEEDS, Book, ListPrice, Use
from llm_spend.prices.cells import EPOCH, CellKey, Price, Span
from llm_spend.prices.diff import PriceDiff, changed_models, effects, listed, uncovered, upcoming
from llm_spend.prices.generate import FIRST_PARTY
from llm_spend.prices.ledger import LedgerRow, Offer, changes, reconcile
from llm_spend.settings import Settings

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
INPUT = CellKey("acme", "m", "standard", "input_tokens")
OUTPUT = replace(INPUT, usage_unit="output_tokens")
DAY = date(2026, 9, 15)
GENERATED, CORRECTION, OVERRIDE = PRICE_SEEDS


def price(text: str, unit_size: int = 1_000_000) -> Price:
    return Price(Decimal(text), unit_size)


def known(key: CellKey, text: str, start: date = EPOCH, end: date | None = None, seed: str = GENERATED) -> ListPrice:
    return ListPrice(key, price(text), start, end, seed)


def use(tokens: int = 1_000_000, day: date = DAY, tier: str = "standard", size: int = 0, **other: int) -> Use:
    """use(5, output_tokens=3): five tokens of uncached input, three of output."""
    quantities = {"input_tokens": tokens, **other}
    return Use(day, "acme", "m", tier, size, {unit: Decimal(number) for unit, number in quantities.items()})


def book(*prices: ListPrice, **fallbacks: Sequence[str]) -> Book:
    return Book(prices, fallbacks)


def test_c31_a_future_price_is_listed_with_what_holds_until_then_and_does_not_count_before() -> None:
    start = date(2027, 1, 1)
    spans = (Span(price("2"), EPOCH, start, "dataset"), Span(price("3"), start, None, "documented"))
    rows = reconcile([], Offer("test", "1", frozenset({INPUT.model}), {INPUT: spans}), DAY)
    (change,) = upcoming(rows, [], DAY)
    assert (change.on, change.key, change.before, change.after) == (start, INPUT, price("2"), price("3"))
    assert change.seed == "model_prices"
    assert upcoming(rows, [], start) == []
    found = Book(listed(rows), {})
    assert found.cost(use(day=start - timedelta(days=1))) == 2
    assert found.cost(use(day=start)) == 3


def test_future_overrides_are_listed_too_and_retracted_rows_are_not() -> None:
    override = known(OUTPUT, "7", start=DAY + timedelta(days=1), seed=OVERRIDE)
    row = LedgerRow("x", "acme", INPUT, Span(price("3"), date(2027, 1, 1), None, "documented"), "t", "1", DAY, DAY)
    assert [(c.key, c.before, c.seed) for c in upcoming([row], [override], DAY)] == [(OUTPUT, None, "price_overrides")]


def test_before_a_future_price_is_what_its_seed_or_a_weaker_one_says() -> None:
    start = DAY + timedelta(days=1)
    now = [known(INPUT, "1"), known(INPUT, "2", end=start, seed=CORRECTION), known(INPUT, "3", seed=OVERRIDE)]
    coming = [known(INPUT, "5", start, seed=CORRECTION), known(OUTPUT, "6", start, seed=CORRECTION)]
    found = {change.key: change.before for change in upcoming([], [*now, *coming], DAY)}
    assert found == {INPUT: price("2"), OUTPUT: None}
    (change,) = upcoming([], [now[0], known(INPUT, "7", start, seed=OVERRIDE)], DAY)
    assert change.before == price("1")


def test_the_own_tier_comes_before_the_threshold_and_that_before_an_override() -> None:
    batch, long = replace(INPUT, service_tier="batch"), replace(INPUT, input_tokens_gt=200_000)
    prices = book(known(INPUT, "2"), known(INPUT, "9", seed=OVERRIDE), known(batch, "1"), known(long, "4"))
    assert prices.cost(use()) == 9
    assert prices.cost(use(size=200_000)) == 9
    assert prices.cost(use(size=200_001)) == 4
    assert prices.cost(use(size=200_001, tier="batch")) == 1
    assert prices.cost(use(tier="flex")) == 9


def test_an_override_comes_before_a_correction_and_that_before_what_was_generated() -> None:
    generated, correction = known(INPUT, "1"), known(INPUT, "2", seed=CORRECTION)
    assert book(known(INPUT, "3", seed=OVERRIDE), correction, generated).cost(use()) == 3
    assert book(correction, generated).cost(use()) == 2


def test_a_unit_without_a_price_takes_its_parents_and_output_has_none() -> None:
    prices = book(known(INPUT, "2"))
    assert prices.cost(use(0, cache_read_tokens=1_000_000, cache_write_1h_tokens=1_000_000)) == 4
    assert prices.cost(use(1, output_tokens=1)) is None
    assert prices.cost(use(1_000_000, output_tokens=0, requests=3)) == 2
    per_request = ListPrice(replace(INPUT, usage_unit="requests"), price("5", 1_000), EPOCH, None)
    assert book(known(INPUT, "2"), per_request).cost(use(1_000_000, requests=2_000)) == 12


def test_a_cloud_takes_the_standard_prices_of_the_list_that_it_falls_back_to() -> None:
    batch = replace(INPUT, service_tier="batch")
    prices = book(known(INPUT, "2"), known(batch, "1"), cloud=["nobody", "acme"])
    assert prices.seller(("cloud", "m")) == ("acme", "m")
    assert prices.seller(("cloud", "other")) is None
    assert prices.cost(replace(use(tier="batch"), channel="cloud")) == 2
    assert prices.cost(replace(use(), channel="elsewhere")) is None


def test_effects_are_differences_of_open_months() -> None:
    before = book(known(INPUT, "2"))
    after = book(known(INPUT, "2", end=date(2026, 9, 10)), known(INPUT, "3", start=date(2026, 9, 10)))
    usage = [
        use(day=date(2026, 8, 31)),
        use(day=date(2026, 9, 9)),
        use(day=date(2026, 9, 10)),
        use(tokens=500_000, day=date(2026, 9, 30)),
        use(day=date(2026, 10, 1)),
    ]
    september, october = effects(before, after, usage, closed=[])
    assert (september.month, september.before_usd, september.after_usd) == (date(2026, 9, 1), 3, Decimal("4.5"))
    assert (september.difference_usd, september.tokens) == (Decimal("1.5"), 1_500_000)
    assert october.difference_usd == 1
    assert effects(before, after, usage, closed=[date(2026, 9, 1)]) == [october]


def test_usage_that_gets_its_first_price_is_not_taken_for_free_before() -> None:
    (effect,) = effects(book(), book(known(INPUT, "3")), [use()], closed=[])
    assert (effect.before_usd, effect.unpriced_tokens_before) == (0, 1_000_000)
    assert (effect.after_usd, effect.unpriced_tokens_after) == (3, 0)


def test_only_models_whose_price_list_changes_are_looked_at() -> None:
    rows = reconcile([], Offer("test", "1", frozenset({INPUT.model}), {}), DAY)
    offered = Offer("test", "1", frozenset({INPUT.model}), {INPUT: (Span(price("2"), EPOCH, None, "dataset"),)})
    after = reconcile(rows, offered, DAY)
    found = Book(listed(after), {"cloud": ["acme"]})
    used = [("cloud", "m"), ("acme", "m"), ("acme", "n"), ("other", "m")]
    assert changed_models(changes(rows, after), found, used) == [("acme", "m"), ("cloud", "m")]


def test_prices_by_time_of_day_region_and_other_currencies_are_named_not_guessed() -> None:
    night = replace(INPUT, tod_start_utc="16:30", tod_end_utc="00:30")
    euro = ListPrice(INPUT, Price(Decimal("2"), 1_000_000, "EUR"), EPOCH, None)
    for odd in (known(night, "1"), known(replace(INPUT, region_scope="eu"), "1"), euro):
        assert list(uncovered([INPUT.model], book(known(OUTPUT, "2")), book(known(OUTPUT, "2"), odd))) == [INPUT.model]
    assert list(uncovered([INPUT.model], book(known(INPUT, "2")))) == []


def test_the_query_is_read_by_every_warehouse() -> None:
    query = diff_run._query(2, [-1, 200_000, 272_000])
    assert "when input_tokens > 272000 then 272001 when input_tokens > 200000 then 200001 else 0" in query
    for dialect in ("snowflake", "bigquery"):
        assert sqlglot.parse_one(query, read="duckdb").sql(dialect=dialect)


# The whole way, with the committed seeds. gpt-5.6-sol costs 4/20 since 2026-08-21; a ledger that says 5 is corrected.


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    pytest.importorskip("genai_prices")
    folder = tmp_path / "seeds"
    (folder / "prices").mkdir(parents=True)
    ledger = folder / "prices" / files.PRICES
    rows = files.read_prices(SEEDS / "prices" / files.PRICES)
    wrong = [
        replace(row, span=replace(row.span, price=price("5")))
        if (row.key.model_id, row.key.usage_unit, row.key.service_tier, row.key.input_tokens_gt, row.span.valid_from)
        == ("gpt-5.6-sol", "input_tokens", "standard", -1, date(2026, 8, 21))
        else row
        for row in rows
    ]
    assert wrong != rows
    ledger.write_text(files.price_text(wrong))
    return folder


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "usage.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create schema llm_spend")
        connection.execute(
            "create table llm_spend.fct_llm_requests (usage_date date, channel text, model_id text, service_tier text,"
            " input_tokens bigint, uncached_input_tokens bigint, cache_read_tokens bigint,"
            " cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, output_tokens bigint, price_status text,"
            " is_of_record boolean)"
        )
        connection.execute(
            "insert into llm_spend.fct_llm_requests values"
            " ('2026-08-20', 'openai', 'gpt-5.6-sol', null, 10000, 10000, 0, 0, 0, 10, 'priced', true),"
            " ('2026-09-02', 'openai', 'gpt-5.6-sol', 'default', 200000, 150000, 50000, 0, 0, 10, 'priced', true),"
            " ('2026-09-02', 'azure', 'gpt-5.6-sol', null, 100000, 100000, 0, 0, 0, 10, 'priced', true),"
            " ('2026-09-02', 'openai', 'gpt-5.6-sol', null, 100000, 100000, 0, 0, 0, 10, 'cache_hit', true),"
            " ('2026-09-02', 'openai', 'gpt-4o', null, 100000, 100000, 0, 0, 0, 10, 'priced', true),"
            " ('2026-10-02', 'openai', 'gpt-5.6-sol', null, 100000, 100000, 0, 0, 0, 10, 'priced', true),"
            " ('2026-10-02', null, null, null, null, null, null, null, null, null, 'unpriced', true),"
            " ('2026-10-02', 'openai', 'gpt-5.6-sol', null, 100000, 100000, 0, 0, 0, 10, 'priced', false)"
        )
    return file


def run(seeds: Path, database: Path, *, must_have_usage: bool = True) -> PriceDiff:
    settings = Settings(destination="duckdb", database=database)
    return diff_run.run(
        seeds,
        providers=FIRST_PARTY,
        destination=lambda: destination_of(settings),
        as_of=date(2026, 11, 22),
        must_have_usage=must_have_usage,
    )


def test_a_correction_is_worth_what_open_months_used(seeds: Path, database: Path) -> None:
    (seeds / "rules").mkdir()
    (seeds / "rules" / "period_close.csv").write_text(
        "billing_period,action,closed_at,closed_by,reason\n"
        "2026-10-01,close,2026-11-05 00:00:00,finance,\n"
        "2026-09-01,close,2026-10-05 00:00:00,finance,\n"
        "2026-09-01,reopen,2026-10-06 00:00:00,finance,too early\n"
    )
    before = (seeds / "prices" / files.PRICES).read_bytes()
    found = run(seeds, database)
    assert sorted(change.kind for change in found.changes) == ["added", "corrected"]
    assert found.effects is not None
    assert [(e.month, e.channel, e.difference_usd) for e in found.effects] == [
        (date(2026, 9, 1), "azure", Decimal("-0.1")),
        (date(2026, 9, 1), "openai", Decimal("-0.15")),
    ]
    assert (seeds / "prices" / files.PRICES).read_bytes() == before


def test_the_report_is_for_people_and_for_programs(seeds: Path, database: Path) -> None:
    found = run(seeds, database)
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(diff_report.render(found))
    text = console.export_text()
    assert "1 corrected, 1 added." in text
    assert "October 2026" in text and "-$0.10" in text
    assert "regional multipliers" in text
    content = json.loads(json.dumps(diff_report.to_json(found)))
    assert {change["kind"] for change in content["changes"]} == {"added", "corrected"}
    assert content["effects"][0] == {
        "month": "2026-09",
        "channel": "azure",
        "model_id": "gpt-5.6-sol",
        "tokens": 100_010,
        "before_usd": "0.5002",
        "after_usd": "0.4002",
        "difference_usd": "-0.1",
        "unpriced_tokens_before": 0,
        "unpriced_tokens_after": 0,
    }


def test_without_a_warehouse_the_report_says_so_unless_one_was_named(seeds: Path, tmp_path: Path) -> None:
    found = run(seeds, tmp_path / "none.duckdb", must_have_usage=False)
    assert found.effects is None
    assert found.without_effects_because == f"There is no database {tmp_path / 'none.duckdb'}."
    with pytest.raises(UserError, match="no database"):
        run(seeds, tmp_path / "none.duckdb")


def test_without_a_change_there_is_no_effect(database: Path, tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    found = run(SEEDS, database)
    assert (found.changes, found.names_changed, found.effects) == ((), 0, ())
    assert run(tmp_path / "no such folder", database) == found


def test_the_command_prints_json(seeds: Path, database: Path) -> None:
    arguments = ["prices", "diff", "--seeds", str(seeds), "--database", str(database), "--json"]
    result = CliRunner().invoke(app, [*arguments, "--providers", "openai", "--as-of", "2026-11-30"])
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert content["as_of"] == "2026-11-30"
    assert [change["price_id"] for change in content["changes"]] == [
        change.row.price_id for change in run(seeds, database).changes
    ]
    assert len(content["effects"]) == 3
