"""The generated price seeds: expansion of the data set into rows, and the committed files."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_spend.errors import UserError
from llm_spend.prices.aliases import NotPortable, catalogue_aliases, portable_regex
from llm_spend.prices.cells import EPOCH, CellKey, Price, Span, left_out, price_spans
from llm_spend.prices.dataset import (
    AllOf,
    AnyOf,
    Catalogue,
    DatedPrices,
    Match,
    Model,
    Rate,
    Variant,
    load_catalogues,
)
from llm_spend.prices.files import PRICE_COLUMNS, plain, price_text, read_prices
from llm_spend.prices.generate import FIRST_PARTY, generate, provider_names
from llm_spend.prices.ledger import Offer, reconcile
from llm_spend.prices.units import UNITS, Unit

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"


def rate(base: str, **tiers: str) -> Rate:
    """rate("5", over_200000="10")"""
    return Rate(Decimal(base), tuple((int(k.removeprefix("over_")), Decimal(v)) for k, v in tiers.items()))


def model(*prices: DatedPrices, variants: tuple[Variant, ...] = ()) -> Model:
    return Model("m", Match("equals", "m"), prices, variants)


def daily(start: str, end: str, **prices: str) -> DatedPrices:
    """daily("16:30", "00:30", input_mtok="1")"""
    window = tuple(int(text[:2]) * 60 + int(text[3:]) for text in (start, end))
    return DatedPrices({key: rate(price) for key, price in prices.items()}, window=(window[0], window[1]))


def cells(subject: Model) -> list[tuple[CellKey, Span]]:
    return [(key, span) for key, spans in price_spans("acme", subject).items() for span in spans]


def facts(subject: Model) -> set[tuple[str, str, int, str, date, date | None]]:
    return {
        (key.service_tier, key.usage_unit, key.input_tokens_gt, plain(span.price.unit_price), *span_dates(span))
        for key, span in cells(subject)
    }


def span_dates(span: Span) -> tuple[date, date | None]:
    return span.valid_from, span.valid_to


def times(subject: Model, unit: str = "input_tokens") -> set[tuple[str, str, str, date, date | None]]:
    return {
        (key.tod_start_utc, key.tod_end_utc, plain(span.price.unit_price), *span_dates(span))
        for key, span in cells(subject)
        if key.usage_unit == unit
    }


def test_an_undated_price_holds_since_the_epoch_and_says_so() -> None:
    ((key, span),) = cells(model(DatedPrices({"input_mtok": rate("2.50")})))
    assert span == Span(Price(Decimal("2.5"), 1_000_000), EPOCH, None, "dataset")
    assert key == CellKey("acme", "m", "standard", "input_tokens", input_tokens_gt=-1)


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
    assert {span.basis for _, span in cells(subject) if span.valid_from != EPOCH} == {"documented"}


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


def test_the_first_entry_holds_while_none_is_in_force() -> None:
    subject = model(
        DatedPrices({"input_mtok": rate("1")}, start=date(2026, 2, 1)),
        DatedPrices({"input_mtok": rate("2")}, start=date(2026, 3, 1)),
    )
    assert facts(subject) == {
        ("standard", "input_tokens", -1, "1", EPOCH, date(2026, 3, 1)),
        ("standard", "input_tokens", -1, "2", date(2026, 3, 1), None),
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
    assert [span.basis for key, span in cells(subject) if key.service_tier == "batch"] == ["first_seen"]
    assert list(left_out("acme", subject)) == ["acme m: prices for search_type=pro"]


def test_every_price_key_of_a_unit_becomes_a_price_of_that_unit() -> None:
    for unit in UNITS:
        for key in unit.upstream_keys:
            ((cell, span),) = cells(model(DatedPrices({key: rate("1.5")})))
            assert (cell.usage_unit, span.price) == (unit.name, Price(Decimal("1.5"), unit.size))


def test_of_two_price_keys_of_a_unit_the_more_exact_one_is_its_price() -> None:
    both = {"cache_write_mtok": rate("9"), "cache_write_5m_mtok": rate("3.75"), "cache_write_1h_mtok": rate("6")}
    assert {(f[1], f[3]) for f in facts(model(DatedPrices(both)))} == {
        ("cache_write_5m_tokens", "3.75"),
        ("cache_write_1h_tokens", "6"),
    }
    heard = {"audio_hours": rate("9"), "input_audio_hours": rate("0.36")}
    assert {(f[1], f[3]) for f in facts(model(DatedPrices(heard)))} == {("audio_seconds", "0.36")}


def test_a_unit_that_is_not_in_the_list_is_named() -> None:
    subject = model(DatedPrices({"input_mtok": rate("1"), "output_citation_mtok": rate("2")}))
    assert {f[1] for f in facts(subject)} == {"input_tokens"}
    assert list(left_out("acme", subject)) == ["acme m: unit output_citation_mtok"]


def test_a_price_by_time_of_day_is_a_row_beside_the_one_for_all_day() -> None:
    subject = model(
        DatedPrices({"input_mtok": rate("1"), "output_mtok": rate("3")}),
        daily("01:00", "04:00", input_mtok="2", output_mtok="3"),
        daily("06:00", "10:00", input_mtok="2", output_mtok="3"),
    )
    assert times(subject) == {
        ("", "", "1", EPOCH, None),
        ("01:00", "04:00", "2", EPOCH, None),
        ("06:00", "10:00", "2", EPOCH, None),
    }
    assert times(subject, "output_tokens") == {("", "", "3", EPOCH, None)}


def test_a_time_of_day_may_wrap_over_midnight_and_neighbours_are_one() -> None:
    subject = model(
        DatedPrices({"input_mtok": rate("1")}),
        daily("16:30", "00:00", input_mtok="0.5"),
        daily("00:00", "00:30", input_mtok="0.5"),
    )
    assert times(subject) == {("", "", "1", EPOCH, None), ("16:30", "00:30", "0.5", EPOCH, None)}
    until_midnight = model(DatedPrices({"input_mtok": rate("1")}), daily("16:30", "00:00", input_mtok="0.5"))
    assert ("16:30", "00:00", "0.5", EPOCH, None) in times(until_midnight)


def test_dates_and_times_of_day_may_be_mixed() -> None:
    half_price = daily("16:30", "00:30", input_mtok="0.5")
    change = DatedPrices({"input_mtok": rate("3")}, start=date(2025, 9, 5))
    base = DatedPrices({"input_mtok": rate("1")})
    assert times(model(base, half_price, change)) == {
        ("", "", "1", EPOCH, date(2025, 9, 5)),
        ("16:30", "00:30", "0.5", EPOCH, date(2025, 9, 5)),
        ("", "", "3", date(2025, 9, 5), None),
    }
    assert times(model(base, change, half_price)) == {
        ("", "", "1", EPOCH, date(2025, 9, 5)),
        ("", "", "3", date(2025, 9, 5), None),
        ("16:30", "00:30", "0.5", EPOCH, None),
    }


def test_a_unit_without_a_price_at_some_time_of_day_has_none_for_all_day() -> None:
    base = DatedPrices({"input_mtok": rate("1"), "cache_read_mtok": rate("0.1")})
    subject = model(base, daily("01:00", "04:00", input_mtok="2"))
    assert times(subject, "cache_read_tokens") == {("04:00", "01:00", "0.1", EPOCH, None)}


@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda price, day: DatedPrices({"input_mtok": rate(str(price))}, start=day),
                st.integers(1, 5),
                st.sampled_from([None, date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]),
            ),
            st.builds(
                lambda price, start, end: DatedPrices({"input_mtok": rate(str(price))}, window=(start, end)),
                st.integers(1, 5),
                st.integers(0, 1439),
                st.integers(0, 1439),
            ),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 1439),
    st.sampled_from([date(2025, 1, 1), date(2026, 1, 1), date(2026, 2, 15), date(2026, 3, 1)]),
)
def test_rows_say_what_the_data_set_would_charge_at_any_time(
    entries: list[DatedPrices], minute: int, day: date
) -> None:
    def is_active(entry: DatedPrices) -> bool:
        start, end = entry.window or (0, 1440)
        in_window = start <= minute < end if start <= end else minute >= start or minute < end
        return in_window and (entry.start is None or entry.start <= day)

    expected = next((entry for entry in reversed(entries) if is_active(entry)), entries[0]).prices["input_mtok"].base
    clock = f"{minute // 60:02}:{minute % 60:02}"
    all_day, at_times = [], []
    for key, span in cells(model(*entries)):
        if not span.valid_from <= day < (span.valid_to or date.max):
            continue
        start, end = key.tod_start_utc, key.tod_end_utc
        if not start:
            all_day.append(span.price.unit_price)
        elif start <= clock < end if start < end else clock >= start or clock < end:
            at_times.append(span.price.unit_price)
    assert len(all_day) <= 1 and len(at_times) <= 1
    assert (at_times or all_day) == [expected]


def test_a_price_with_more_digits_than_a_column_holds_is_rounded_and_named() -> None:
    subject = model(DatedPrices({"input_mtok": rate("0.18000000000000002"), "audio_hours": rate("0.0000001")}))
    assert {(f[1], f[3]) for f in facts(subject)} == {("input_tokens", "0.18"), ("audio_seconds", "0.0000001")}
    assert list(left_out("acme", subject)) == [
        "acme m: input_mtok 0.18000000000000002 is rounded, it has more digits than a column holds"
    ]


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
    spans = price_spans("acme", subject)

    def text(order: list[CellKey]) -> str:
        seen = Offer("test", "1", frozenset({("acme", "m")}), {key: spans[key] for key in order})
        return price_text(reconcile([], seen, date(2026, 5, 1)))

    assert text(list(spans)) == text(list(reversed(spans)))


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_bytes((SEEDS / "prices" / "model_prices.csv").read_bytes())
    rows = read_prices(tmp_path / "prices.csv")
    assert price_text(rows).encode() == (tmp_path / "prices.csv").read_bytes()
    taken_back = replace(rows[0], retracted_at=date(2026, 12, 1), key=replace(rows[0].key, dow_mask="12345"))
    (tmp_path / "prices.csv").write_text(price_text([taken_back]))
    assert read_prices(tmp_path / "prices.csv") == [taken_back]


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
    found, skipped = catalogue_aliases(Catalogue("acme", models))
    assert [(a.match_type, a.pattern, a.excluded_pattern, a.model_id) for a in found] == [
        ("equals", "gpt-x", "", "one"),
        ("starts_with", "gpt-x-", "", "one"),
        ("regex", "^gpt[.]x-[0-9]{4}$", "", "one"),
        ("starts_with", "gem", "-[tt][tt][ss]($|-)", "one"),
    ]
    assert len(skipped) == 1


@pytest.mark.parametrize("pattern", [r"^(?=a)b", r"a\wb", r"(?i)a", r"a\b", "a.*?b"])
def test_regular_expressions_that_warehouses_read_differently_are_refused(pattern: str) -> None:
    with pytest.raises(NotPortable):
        portable_regex(pattern)


_CONTEXTS = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}


def test_every_price_of_every_model_is_the_one_that_genai_prices_takes() -> None:
    """Around each date, time of day and threshold; what a tier doesn't name it has from the standard prices."""
    pytest.importorskip("genai_prices")
    from genai_prices.data import providers

    upstream = {(provider.id, model.id): model for provider in providers for model in provider.models}
    compared = 0
    for catalogue in load_catalogues().catalogues:
        for ours in catalogue.models:
            theirs = upstream[catalogue.channel, ours.model_id]
            found = [(key, span) for key, spans in price_spans(catalogue.channel, ours).items() for span in spans]
            days = {edge - timedelta(days=n) for _, span in found for edge in span_dates(span) if edge for n in (0, 1)}
            clocks = {"00:00", *(clock for key, _ in found for clock in (key.tod_start_utc, key.tod_end_utc) if clock)}
            sizes = {0, *(key.input_tokens_gt + n for key, _ in found for n in (0, 1) if key.input_tokens_gt > 0)}
            tiers = {"standard", *(key.service_tier for key, _ in found)}
            for day, clock, tier in product(days - {EPOCH - timedelta(days=1)}, clocks, tiers):
                moment = datetime.combine(day, time.fromisoformat(clock), UTC)
                expected = theirs.get_prices(moment, _CONTEXTS[tier])
                for unit, size in product(UNITS, sizes):
                    assert unit_price(found, unit, day, clock, tier, size) == upstream_price(expected, unit, size)
                    compared += 1
    assert compared > 100_000


def unit_price(
    found: list[tuple[CellKey, Span]], unit: Unit, day: date, clock: str, tier: str, size: int
) -> Decimal | None:
    prices = {
        (key.service_tier == tier, key.input_tokens_gt, bool(key.tod_start_utc)): span.price.unit_price
        for key, span in found
        if key.usage_unit == unit.name
        and key.service_tier in (tier, "standard")
        and key.input_tokens_gt < size + (size == 0)
        and span.valid_from <= day < (span.valid_to or date.max)
        and is_at(key, clock)
    }
    return prices[max(prices)] if prices else None


def is_at(key: CellKey, clock: str) -> bool:
    start, end = key.tod_start_utc, key.tod_end_utc
    return not start or (start <= clock < end if start < end else clock >= start or clock < end)


def upstream_price(prices: Any, unit: Unit, size: int) -> Decimal | None:
    price = next((found for key in unit.upstream_keys if (found := getattr(prices, key)) is not None), None)
    if price is not None and not isinstance(price, Decimal):
        price = next((tier.price for tier in reversed(price.tiers) if size > tier.start), price.base)
    return None if price is None else round(price, unit.decimals)


def test_committed_seeds_are_what_the_data_set_gives() -> None:
    pytest.importorskip("genai_prices")
    report = generate(SEEDS, check=True)
    assert report.stale == ()
    assert report.changed == {}
    assert report.left_out == ()


def test_committed_seeds_are_not_stale_on_any_later_day_either() -> None:
    pytest.importorskip("genai_prices")
    assert generate(SEEDS, check=True, as_of=date(2031, 1, 1)).stale == ()


def test_check_tells_stale_files_and_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    everything = ("model_prices.csv", "model_aliases.csv", "channel_fallbacks.csv")
    assert generate(tmp_path, check=True).stale == everything
    assert not (tmp_path / "prices").exists()
    assert generate(tmp_path).written
    assert all((tmp_path / "prices" / n).read_bytes() == (SEEDS / "prices" / n).read_bytes() for n in everything)
    prices = tmp_path / "prices" / "model_prices.csv"
    rows = read_prices(prices)
    prices.write_text(price_text(rows[1:]))
    assert generate(tmp_path, check=True).stale == ("model_prices.csv",)
    assert generate(tmp_path).changed == {"added": 1}


def test_files_are_continued_where_a_build_would_find_them(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    rows = read_prices(SEEDS / "prices" / "model_prices.csv")
    (tmp_path / "model_prices.csv").write_text(price_text(rows[1:]))
    generate(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.csv")) == [
        "model_prices.csv",
        "prices/channel_fallbacks.csv",
        "prices/model_aliases.csv",
    ]
    assert len(read_prices(tmp_path / "model_prices.csv")) == len(rows)


def test_a_file_that_can_not_be_continued_is_an_error_that_says_where(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    generate(tmp_path)
    prices = tmp_path / "prices" / "model_prices.csv"
    whole = prices.read_text()
    prices.write_text(whole + "edited by hand\n")
    with pytest.raises(UserError, match=f"line {whole.count(chr(10)) + 1}"):
        generate(tmp_path)
    prices.write_text("price_id\n1\n")
    with pytest.raises(UserError, match="columns"):
        generate(tmp_path)


def test_a_ledger_is_not_continued_before_its_last_entry() -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(UserError, match="after 2026-11-21"):
        generate(SEEDS, check=True, as_of=date(2026, 11, 21))


def test_providers_that_were_not_asked_for_stay_untouched(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    generate(tmp_path, providers=["cohere"], as_of=date(2026, 12, 1))
    before = read_prices(tmp_path / "prices" / "model_prices.csv")
    more = generate(tmp_path, providers=["moonshotai"], as_of=date(2026, 12, 1))
    after = read_prices(tmp_path / "prices" / "model_prices.csv")
    assert [row for row in after if row.key.channel != "moonshotai"] == before
    assert more.changed == {"added": len(after) - len(before)}
    assert len(after) > len(before)
    with pytest.raises(UserError, match="no provider acme"):
        generate(tmp_path, providers=["acme"])


def test_providers_are_named_by_comma_or_all() -> None:
    assert provider_names(None) == FIRST_PARTY
    assert provider_names("all") is None
    assert provider_names(" openai,aws ") == ["openai", "aws"]
    with pytest.raises(UserError, match="no provider"):
        provider_names(",")


def test_all_providers_have_unique_rows_and_leave_those_of_the_default_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    generate(tmp_path, providers=None)
    rows = read_prices(tmp_path / "prices" / "model_prices.csv")
    assert len({row.key.channel for row in rows}) == len(load_catalogues().catalogues) == 47
    assert len({row.price_id for row in rows}) == len(rows)
    assert len({(row.key, row.span.valid_from) for row in rows}) == len(rows)
    assert [row for row in rows if row.key.channel in FIRST_PARTY] == read_prices(SEEDS / "prices" / "model_prices.csv")
    assert generate(tmp_path, providers=None, check=True).stale == ()


def test_overrides_have_the_columns_of_a_price_and_a_source() -> None:
    with (SEEDS / "prices" / "price_overrides.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and tuple(rows[0]) == (*PRICE_COLUMNS[:-2], "reason", "source_url")
    assert len({row["price_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["reason"] and row["source_url"].startswith("https://")
        assert row["unit_size"] in {"1", "1000", "3600", "1000000"}
        assert Decimal(row["unit_price"]) >= 0
