"""The generated price seeds: expansion of the data set into rows, and the committed files."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from llm_spend.prices.aliases import NotPortable, catalogue_aliases, portable_regex
from llm_spend.prices.cells import EPOCH, PriceCell, price_cells
from llm_spend.prices.dataset import AllOf, AnyOf, Catalogue, DatedPrices, Match, Model, Rate, Variant
from llm_spend.prices.generate import PRICE_COLUMNS, generate, plain, price_rows, to_csv

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"


def rate(base: str, **tiers: str) -> Rate:
    """rate("5", over_200000="10")"""
    return Rate(Decimal(base), tuple((int(k.removeprefix("over_")), Decimal(v)) for k, v in tiers.items()))


def model(*prices: DatedPrices, variants: tuple[Variant, ...] = ()) -> Model:
    return Model("m", Match("equals", "m"), prices, variants)


def cells(subject: Model) -> list[PriceCell]:
    return price_cells("acme", subject, source="test", source_version="1")


def facts(subject: Model) -> set[tuple[str, str, int, str, date, date | None]]:
    return {
        (c.service_tier, c.usage_unit, c.input_tokens_gt, plain(c.unit_price), c.valid_from, c.valid_to)
        for c in cells(subject)
    }


def test_an_undated_price_holds_since_the_epoch_and_says_so() -> None:
    (cell,) = cells(model(DatedPrices({"input_mtok": rate("2.50")})))
    assert (cell.valid_from, cell.valid_to, cell.valid_from_basis) == (EPOCH, None, "dataset")
    assert (cell.usage_unit, cell.unit_size, cell.input_tokens_gt) == ("input_tokens", 1_000_000, -1)


def test_a_dated_price_ends_the_one_before_and_an_unchanged_unit_stays_one_row() -> None:
    subject = model(
        DatedPrices({"input_mtok": rate("10"), "cache_read_mtok": rate("0.5")}),
        DatedPrices({"input_mtok": rate("2"), "cache_read_mtok": rate("0.5")}, start=date(2025, 6, 10)),
    )
    assert facts(subject) == {
        ("standard", "input_tokens", -1, "10", EPOCH, date(2025, 6, 10)),
        ("standard", "input_tokens", -1, "2", date(2025, 6, 10), None),
        ("standard", "cache_read_tokens", -1, "0.5", EPOCH, None),
    }
    assert {c.valid_from_basis for c in cells(subject) if c.valid_from != EPOCH} == {"documented"}


def test_the_last_entry_in_force_wins_whatever_its_date() -> None:
    subject = model(
        DatedPrices({"input_mtok": rate("1")}),
        DatedPrices({"input_mtok": rate("3")}, start=date(2026, 3, 1)),
        DatedPrices({"input_mtok": rate("2")}, start=date(2026, 2, 1)),
    )
    assert facts(subject) == {
        ("standard", "input_tokens", -1, "1", EPOCH, date(2026, 2, 1)),
        ("standard", "input_tokens", -1, "2", date(2026, 2, 1), None),
    }


def test_thresholds_are_rows_and_end_when_they_are_dropped() -> None:
    subject = model(
        DatedPrices({"output_mtok": rate("25", over_200000="37.5")}),
        DatedPrices({"output_mtok": rate("25")}, start=date(2026, 3, 13)),
    )
    assert facts(subject) == {
        ("standard", "output_tokens", -1, "25", EPOCH, None),
        ("standard", "output_tokens", 200000, "37.5", EPOCH, date(2026, 3, 13)),
    }


def test_variants_are_tiers_with_only_the_units_that_they_name() -> None:
    subject = model(
        DatedPrices({"input_mtok": rate("2"), "output_mtok": rate("8")}),
        variants=(
            Variant({"service_tier": "default"}, DatedPrices({})),
            Variant({"speed": "fast"}, DatedPrices({"output_mtok": rate("16")})),
            Variant({"processing": "batch"}, DatedPrices({"input_mtok": rate("1")}, start=date(2026, 10, 14))),
            Variant({"processing": "batch"}, DatedPrices({"input_mtok": rate("9")}, start=date(2026, 11, 1))),
            Variant({"search_type": "pro"}, DatedPrices({"input_mtok": rate("7")})),
        ),
    )
    assert {f for f in facts(subject) if f[0] != "standard"} == {
        ("batch", "input_tokens", -1, "1", date(2026, 10, 14), None),
        ("fast", "output_tokens", -1, "16", EPOCH, None),
    }
    assert [c.valid_from_basis for c in cells(subject) if c.service_tier == "batch"] == ["first_seen"]


def test_a_write_without_lifetime_is_a_5_minute_write_unless_that_has_its_own_price() -> None:
    generic = model(DatedPrices({"cache_write_mtok": rate("3.75"), "cache_write_1h_mtok": rate("6")}))
    assert {(f[1], f[3]) for f in facts(generic)} == {
        ("cache_write_5m_tokens", "3.75"),
        ("cache_write_1h_tokens", "6"),
    }
    both = model(DatedPrices({"cache_write_mtok": rate("9"), "cache_write_5m_mtok": rate("3.75")}))
    assert {(f[1], f[3]) for f in facts(both)} == {("cache_write_5m_tokens", "3.75")}


def test_units_that_the_fact_can_not_price_are_dropped() -> None:
    assert cells(model(DatedPrices({"input_audio_mtok": rate("10"), "audio_hours": rate("1")}))) == []


def test_a_model_priced_by_time_of_day_has_no_price() -> None:
    prices = {"input_mtok": rate("1")}
    assert cells(model(DatedPrices(prices), DatedPrices(prices, by_time_of_day=True))) == []
    peak = Variant({"service_tier": "flex"}, DatedPrices(prices, by_time_of_day=True))
    assert cells(model(DatedPrices(prices), variants=(peak,))) == []


def test_a_price_that_a_column_would_round_is_an_error() -> None:
    with pytest.raises(ValueError, match="decimals"):
        cells(model(DatedPrices({"input_mtok": rate("0.0000001")})))


@pytest.mark.parametrize(
    ("price", "text"), [("2.50", "2.5"), ("1E+2", "100"), ("1E-7", "0.0000001"), ("0", "0"), ("100", "100")]
)
def test_prices_are_plain_decimal_text(price: str, text: str) -> None:
    assert plain(Decimal(price)) == text


def test_rows_do_not_depend_on_the_order_of_the_data() -> None:
    subject = model(
        DatedPrices({"output_mtok": rate("4", over_100="8"), "input_mtok": rate("1")}),
        DatedPrices({"input_mtok": rate("2")}, start=date(2026, 1, 1)),
    )
    expanded = cells(subject)
    assert to_csv(price_rows(expanded)) == to_csv(price_rows(reversed(expanded)))
    assert len({c.price_id for c in expanded}) == len(expanded)


def test_match_trees_become_patterns() -> None:
    tree = AnyOf(
        (
            Match("equals", "Gpt-X"),
            AnyOf((Match("starts_with", "gpt-x-"), Match("regex", r"^gpt\.x-\d{4}$"))),
            AllOf((Match("starts_with", "gem"), Match("regex", r"^(?!.*-[tT][tT][sS](?:$|-))"))),
            AllOf((Match("contains", "a"), Match("contains", "b"))),
        )
    )
    models = (Model("one", tree, ()), Model("two", Match("equals", "gpt-x"), ()))
    found, skipped = catalogue_aliases(Catalogue("acme", models), {("acme", "withheld")})
    assert [(a.match_type, a.pattern, a.excluded_pattern, a.model_id) for a in found] == [
        ("equals", "gpt-x", "", "one"),
        ("starts_with", "gpt-x-", "", "one"),
        ("regex", "^gpt[.]x-[0-9]{4}$", "", "one"),
        ("starts_with", "gem", "-[tt][tt][ss]($|-)", "one"),
    ]
    assert len(skipped) == 1


@pytest.mark.parametrize("pattern", [r"^(?=a)b", r"a\wb", r"(?i)a", r"a\b"])
def test_regular_expressions_that_warehouses_read_differently_are_refused(pattern: str) -> None:
    with pytest.raises(NotPortable):
        portable_regex(pattern)


def test_committed_seeds_are_what_the_data_set_gives() -> None:
    pytest.importorskip("genai_prices")
    report = generate(SEEDS, check=True)
    assert report.stale == ()
    assert report.skipped_aliases == ()
    readme = (SEEDS / "prices" / "README.md").read_text()
    assert all(f"`{name.split()[1]}`" in readme for name in report.unpriced_by_time_of_day)


def test_check_tells_stale_files_and_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    everything = ("model_prices.csv", "model_aliases.csv", "channel_fallbacks.csv")
    assert generate(tmp_path, check=True).stale == everything
    assert not (tmp_path / "prices").exists()
    assert generate(tmp_path).written
    first = {name: (tmp_path / "prices" / name).read_bytes() for name in everything}
    assert generate(tmp_path, check=True).stale == ()
    assert not generate(tmp_path).written
    with (tmp_path / "prices" / "model_prices.csv").open("a") as file:
        file.write("edited by hand\n")
    assert generate(tmp_path, check=True).stale == ("model_prices.csv",)
    generate(tmp_path)
    assert {name: (tmp_path / "prices" / name).read_bytes() for name in everything} == first


def test_overrides_have_the_columns_of_a_price_and_a_source() -> None:
    with (SEEDS / "prices" / "price_overrides.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and tuple(rows[0]) == (*PRICE_COLUMNS, "reason", "source_url")
    assert len({row["price_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["reason"] and row["source_url"].startswith("https://")
        assert row["unit_size"] in {"1", "1000", "1000000"}
        assert Decimal(row["unit_price"]) >= 0
