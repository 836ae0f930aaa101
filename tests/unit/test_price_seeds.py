"""The price seeds that are kept by hand: every row can be read, says why, and contradicts no other."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from llm_spend.errors import UserError
from llm_spend.prices.audit import Cell, matches
from llm_spend.prices.audit_seeds import our_prices
from llm_spend.prices.units import UNITS_BY_NAME
from llm_spend.seeds import read_seed

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "prices"
TIERS = {"standard", "batch", "flex", "priority", "fast"}
NATURAL_KEY = (
    *("channel", "model_id", "usage_unit", "input_tokens_gt", "service_tier", "region_scope"),
    *("tod_start_utc", "tod_end_utc", "dow_mask", "holiday_calendar"),
)
PATTERN = re.compile(r"\*?[a-z0-9._:/@-]*|[a-z0-9._:/@-]+\*")
HEADERS = {
    "price_overrides": "price_id,provider,channel,model_id,usage_unit,unit_size,unit_price,currency,input_tokens_gt,"
    "service_tier,region_scope,tod_start_utc,tod_end_utc,dow_mask,holiday_calendar,valid_from,valid_to,"
    "valid_from_basis,source,source_version,reason,source_url",
    "alias_overrides": "provider,channel,model_id,match_type,pattern,valid_from,valid_to,reason,source_url",
    "price_multipliers": "channel,model_pattern,usage_unit,service_tier,region,multiplier,valid_from,valid_to,reason,"
    "source_url",
    "negotiated_discounts": "contract_id,channel,model_pattern,usage_unit,service_tier,discount_pct,unit_price,"
    "unit_size,stack_order,valid_from,valid_to,reason",
    "free_allowances": "allowance_id,channel,model_pattern,usage_unit,quantity,period,valid_from,valid_to,source_url",
    "fx_rates": "currency,usd_per_unit,valid_from,valid_to,source",
    "holidays": "holiday_calendar,holiday_date,reason",
}
EXPLAINED = ("price_overrides", "alias_overrides", "price_multipliers")

Row = Mapping[str, str]


def rows(name: str) -> list[Row]:
    with (SEEDS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def until(row: Row) -> datetime:
    return instant(row["valid_to"]) if row["valid_to"] else datetime.max


def overlaps(found: Iterable[Row]) -> list[tuple[Row, Row]]:
    """Neighbours of which the second begins before the first ends."""
    ordered = sorted(found, key=lambda row: instant(row["valid_from"]))
    return [(row, following) for row, following in pairwise(ordered) if instant(following["valid_from"]) < until(row)]


def by_key(found: Iterable[Row], key: tuple[str, ...]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in found:
        groups[tuple(row[column] for column in key)].append(row)
    return groups


@pytest.fixture(scope="module")
def models() -> set[tuple[str, str]]:
    return {(row["channel"], row["model_id"]) for row in rows("model_prices")}


@pytest.mark.parametrize("name", HEADERS)
def test_a_seed_has_the_columns_that_dbt_reads(name: str) -> None:
    text = (SEEDS / f"{name}.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == HEADERS[name]
    assert text.endswith("\n") and "\r" not in text


@pytest.mark.parametrize("name", HEADERS)
def test_a_packaged_seed_can_be_the_beginning_of_ones_own(name: str) -> None:
    file = SEEDS / f"{name}.csv"
    assert read_seed(file, file) == file.read_bytes()


@pytest.mark.parametrize("instant_text", ["2026-08-16 16:00", "2026-08-16T16:00:00+02:00", "16.08.2026 16:00:00"])
def test_an_instant_is_written_in_one_way(instant_text: str, tmp_path: Path) -> None:
    file = tmp_path / "fx_rates.csv"
    file.write_text(HEADERS["fx_rates"] + f"\nEUR,1.0850,{instant_text},,ECB\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2: valid_from is"):
        read_seed(file, SEEDS / "fx_rates.csv")


@pytest.mark.parametrize("name", [name for name in HEADERS if name != "holidays"])
def test_rows_hold_for_some_time(name: str) -> None:
    for row in rows(name):
        assert instant(row["valid_from"]) < until(row), row


@pytest.mark.parametrize("name", EXPLAINED)
def test_rows_say_why_and_where_it_is_published(name: str) -> None:
    assert rows(name)
    for row in rows(name):
        assert len(row["reason"]) > 20, row
        assert re.fullmatch(r"https://\S+", row["source_url"]), row


def test_the_users_own_seeds_are_empty() -> None:
    assert rows("negotiated_discounts") == rows("fx_rates") == []


def test_every_override_is_a_price_that_can_be_read(models: set[tuple[str, str]]) -> None:
    overrides = rows("price_overrides")
    assert len({row["price_id"] for row in overrides}) == len(overrides)
    calendars = {row["holiday_calendar"] for row in rows("holidays")}
    for row in overrides:
        unit = UNITS_BY_NAME[row["usage_unit"]]
        assert row["unit_size"] == str(unit.size), row
        price = Decimal(row["unit_price"])
        assert price > 0 and price == round(price, unit.decimals), row
        assert row["service_tier"] in TIERS and int(row["input_tokens_gt"]) >= -1, row
        assert (row["channel"], row["model_id"]) in models, row
        assert (row["currency"], row["region_scope"], row["source"]) == ("USD", "*", "override"), row
        assert bool(row["tod_start_utc"]) == bool(row["tod_end_utc"]), row
        for minute in filter(None, (row["tod_start_utc"], row["tod_end_utc"])):
            assert re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", minute), row
        assert re.fullmatch(r"1?2?3?4?5?6?7?", row["dow_mask"]), row
        assert row["holiday_calendar"] in calendars | {""}, row


def test_overrides_of_one_cell_do_not_overlap() -> None:
    for key, found in by_key(rows("price_overrides"), NATURAL_KEY).items():
        assert overlaps(found) == [], key


def test_an_override_for_some_hours_stands_beside_one_for_the_rest() -> None:
    """It replaces all hours of the cell: without a row for the rest there would be no price at other times."""
    overrides = rows("price_overrides")
    whole_day = by_key((row for row in overrides if not row["tod_start_utc"]), NATURAL_KEY[:6])
    windows = [row for row in overrides if row["tod_start_utc"]]
    assert windows
    for row in windows:
        beside = sorted(whole_day[tuple(row[column] for column in NATURAL_KEY[:6])], key=lambda r: r["valid_from"])
        covering = [other for other in beside if instant(other["valid_from"]) < until(row)]
        covering = [other for other in covering if until(other) > instant(row["valid_from"])]
        assert instant(covering[0]["valid_from"]) <= instant(row["valid_from"]), row
        assert until(covering[-1]) >= until(row), row
        assert all(until(a) == instant(b["valid_from"]) for a, b in pairwise(covering)), row


def test_a_batch_or_flex_price_is_half_of_the_standard_price_of_its_time() -> None:
    """Within the rounding of a price page: 0.13 for half of 0.25."""
    generated = [row for row in rows("model_prices") if not row["retracted_at"]]
    standard = by_key((row for row in generated if row["service_tier"] == "standard"), NATURAL_KEY[:4])
    for row in rows("price_overrides"):
        if row["service_tier"] not in ("batch", "flex"):
            continue
        at_that_time = [
            Decimal(other["unit_price"])
            for other in standard[tuple(row[column] for column in NATURAL_KEY[:4])]
            if instant(other["valid_from"]) < until(row) and until(other) > instant(row["valid_from"])
        ]
        assert len(at_that_time) == 1, row
        assert Decimal("0.49") <= Decimal(row["unit_price"]) / at_that_time[0] <= Decimal("0.67"), row


def test_names_lead_to_models_and_to_one_at_a_time(models: set[tuple[str, str]]) -> None:
    aliases = rows("alias_overrides")
    for row in aliases:
        assert (row["channel"], row["model_id"]) in models, row
        assert row["match_type"] in {"equals", "starts_with", "ends_with", "contains", "regex"}, row
        assert row["pattern"] == row["pattern"].lower().strip(), row
    for key, found in by_key(aliases, ("channel", "match_type", "pattern")).items():
        assert overlaps(found) == [], key


def test_multipliers_are_for_models_and_units_that_exist(models: set[tuple[str, str]]) -> None:
    for row in rows("price_multipliers"):
        assert Decimal(row["multiplier"]) > 0, row
        assert row["region"] == row["region"].lower() != "", row
        for column in ("model_pattern", "usage_unit", "service_tier"):
            assert PATTERN.fullmatch(row[column]), row
        assert any(matches(row["usage_unit"], unit) for unit in UNITS_BY_NAME), row
    for row in rows("price_multipliers"):
        if row["model_pattern"] != "gpt-realtime-2.1*":  # Published, and priced once the data set has it.
            named = [model for channel, model in models if channel == row["channel"]]
            assert any(matches(row["model_pattern"], model) for model in named), row
    for key, found in by_key(
        rows("price_multipliers"), ("channel", "model_pattern", "usage_unit", "service_tier", "region")
    ).items():
        assert overlaps(found) == [], key


def test_free_allowances_are_for_units_that_cost_something(models: set[tuple[str, str]]) -> None:
    priced = {(row["channel"], row["model_id"], row["usage_unit"]) for row in rows("model_prices")}
    for row in rows("free_allowances"):
        assert (row["period"], row["quantity"].isdigit()) == ("day", True), row
        assert any(
            channel == row["channel"] and unit == row["usage_unit"] and matches(row["model_pattern"], model)
            for channel, model, unit in priced
        ), row
    for allowance, found in by_key(rows("free_allowances"), ("allowance_id",)).items():
        assert len({(row["quantity"], row["usage_unit"], row["valid_from"]) for row in found}) == 1, allowance


def test_holidays_are_days_of_a_calendar() -> None:
    days = [(row["holiday_calendar"], date.fromisoformat(row["holiday_date"])) for row in rows("holidays")]
    assert days == sorted(set(days))
    assert all(row["reason"] for row in rows("holidays"))
    of_2026 = {day for calendar, day in days if calendar == "cn" and day.year == 2026}
    assert {date(2026, 9, 25), date(2026, 10, 1), date(2026, 10, 7)} <= of_2026
    assert date(2026, 10, 8) not in of_2026 and len(of_2026) == 33


@pytest.mark.parametrize(
    ("day", "channel", "name", "cell", "price"),
    [
        ("2026-06-01", "openai", "o3", Cell("input_tokens", "batch"), "1"),
        ("2025-06-09", "openai", "o3", Cell("output_tokens", "batch"), "20"),
        ("2026-06-01", "openai", "text-embedding-3-small", Cell("input_tokens", "batch"), "0.01"),
        ("2026-06-01", "openai", "gpt-5-mini", Cell("output_tokens", "priority"), "3.6"),
        ("2026-08-20", "openai", "gpt-5.6-sol", Cell("input_tokens", "flex"), "2.5"),
        ("2026-08-21", "openai", "gpt-5.6-sol", Cell("input_tokens", "flex"), "2"),
        ("2026-03-12", "anthropic", "claude-opus-4-6", Cell("input_tokens", "batch", 200_000), "5"),
        ("2026-06-01", "anthropic", "claude-haiku-4-5", Cell("cache_read_tokens", "batch"), "0.05"),
        ("2026-06-01", "google", "gemini-2.5-pro", Cell("output_tokens", "batch", 200_000), "7.5"),
        ("2026-06-01", "google", "gemini-2.5-flash", Cell("input_tokens", "flex"), "0.15"),
        ("2025-06-01", "deepseek", "deepseek-chat", Cell("output_tokens"), "1.1"),
        ("2025-06-01", "deepseek", "deepseek-chat", Cell("output_tokens", is_window=True), "0.55"),
        ("2025-09-06", "deepseek", "deepseek-reasoner", Cell("input_tokens"), "0.56"),
        ("2025-12-01", "deepseek", "deepseek-chat", Cell("output_tokens"), "0.42"),
        ("2026-11-21", "deepseek", "deepseek-chat", Cell("output_tokens"), "0.28"),
        ("2026-11-21", "deepseek", "deepseek-v4-flash", Cell("output_tokens"), "0.6"),
        ("2026-11-21", "deepseek", "deepseek-v4-flash", Cell("output_tokens", is_window=True), "1.2"),
        ("2026-08-20", "deepseek", "deepseek-v4-pro", Cell("input_tokens", is_window=True), "1.32"),
        ("2026-11-21", "mistral", "mistral-large-latest", Cell("input_tokens"), "0.5"),
        ("2025-06-01", "mistral", "mistral-large-latest", Cell("output_tokens"), "6"),
        ("2026-11-21", "mistral", "mistral-large-4", Cell("output_tokens"), "2.1"),
        ("2026-10-25", "mistral", "mistral-large-4", Cell("output_tokens"), "4.18"),
    ],
)
def test_known_prices(day: str, channel: str, name: str, cell: Cell, price: str) -> None:
    ours = our_prices(lambda seed: SEEDS / seed, date.fromisoformat(day), [(channel, name)])
    assert ours.models[channel, ours.model_ids[channel, name]][cell] == Decimal(price)
