"""`llm-spend prices audit`: what counts as a difference, what explains it, and when the command fails."""

from __future__ import annotations

import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from llm_spend import cli
from llm_spend.destinations.duckdb import DuckDb
from llm_spend.errors import UserError
from llm_spend.prices.audit import (
    Audit,
    Cell,
    Finding,
    Kind,
    Listing,
    OurPrices,
    Prices,
    TierUsage,
    Usage,
    Waiver,
    audit,
    boundary,
    effective,
    matches,
)
from llm_spend.prices.audit_litellm import cells, listings, read_cost_map
from llm_spend.prices.audit_report import Report, price_name, render, to_json
from llm_spend.prices.audit_run import Request, run
from llm_spend.prices.audit_seeds import PACKAGED_WAIVERS, Resolver, prices_of_day, read_waivers
from llm_spend.prices.audit_usage import last_full_month, month_usage
from tests.unit.test_cli import run as run_command

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "fixtures" / "prices" / "litellm_cost_map.json"
SEEDS = ROOT / "dbt_project" / "seeds" / "prices"
TODAY = date(2026, 11, 22)
IN, OUT, READ = Cell("input_tokens"), Cell("output_tokens"), Cell("cache_read_tokens")


def priced(**prices: str) -> dict[Cell, Decimal]:
    return {Cell(unit): Decimal(price) for unit, price in prices.items()}


def compared(
    ours: Prices | None, theirs: Prices, waivers: list[Waiver] | None = None, usage: Usage | None = None
) -> Audit:
    """The audit of one model of a maker; `ours` None: we do not have it."""
    mine = OurPrices({("openai", "gpt-x"): ours} if ours else {}, {("openai", "gpt-x"): "gpt-x"} if ours else {})
    return audit(mine, [Listing("openai", "gpt-x", theirs)], waivers or [], usage)


def kinds(found: Audit) -> dict[Cell, Kind]:
    return {finding.cell: finding.kind for finding in found.findings}


def waiver(**changed: str) -> Waiver:
    values = {"channel": "openai", "model_id": "gpt-x", "usage_unit": "", "service_tier": "", "input_tokens_gt": ""}
    return Waiver(**{**values, "reason": "known", **changed})


# --- what the other data set says


def entry(text: str) -> dict[Cell, Decimal]:
    return dict(cells(json.loads(text, parse_float=Decimal)))


def test_prices_are_scaled_from_the_json_text_without_a_float() -> None:
    found = entry('{"input_cost_per_token": 2.8e-07, "cache_read_input_token_cost": 3.6250000000000001e-09}')
    assert found == {IN: Decimal("0.28"), READ: Decimal("0.0036250000000000001")}


def test_every_unit_has_its_size() -> None:
    found = entry(
        '{"mode": "audio_transcription", "input_cost_per_second": 0.0001, "ocr_cost_per_page": 0.004,'
        ' "input_cost_per_character": 0.000015, "input_cost_per_request": 0.005,'
        ' "search_context_cost_per_query": {"low": 0.01, "medium": 0.01, "high": 0.01}}'
    )
    assert found == {
        Cell("audio_seconds"): Decimal("0.36"),
        Cell("pages"): Decimal(4),
        Cell("input_characters"): Decimal(15),
        Cell("requests"): Decimal(5),
        Cell("web_searches"): Decimal(10),
    }


def test_keys_name_tier_and_threshold() -> None:
    found = entry(
        '{"output_cost_per_token_above_272k_tokens_batches": 0.00001, "input_cost_per_token_priority": 0.000004,'
        ' "cache_creation_input_token_cost_above_1hr": 0.00001, "cache_creation_input_token_cost_above_12hr": 0.1,'
        ' "input_cost_per_token_ultrafast": 0.1, "max_input_tokens": 200000, "input_cost_per_audio_token": 0.000003}'
    )
    assert found == {
        Cell("output_tokens", "batch", 272_000): Decimal(10),
        Cell("input_tokens", "priority"): Decimal(4),
        Cell("cache_write_1h_tokens"): Decimal(10),
        Cell("input_audio_tokens"): Decimal(3),
    }


def test_cheaper_hours_are_our_whole_day_and_the_others_our_window() -> None:
    found = entry('{"input_cost_per_token": 3e-07, "off_peak_pricing": {"input_cost_per_token": 1.5e-07}}')
    assert found == {IN: Decimal("0.15"), IN._replace(is_window=True): Decimal("0.3")}


def test_a_zero_beside_prices_is_no_price_but_a_free_model_is_free() -> None:
    assert entry('{"input_cost_per_token": 1e-07, "output_cost_per_token": 0.0}') == {IN: Decimal("0.1")}
    assert entry('{"input_cost_per_token": 0.0, "output_cost_per_token": 0}') == {IN: Decimal(0), OUT: Decimal(0)}


def test_searches_priced_by_their_size_are_left_out() -> None:
    assert entry('{"search_context_cost_per_query": {"low": 0.03, "medium": 0.035, "high": 0.05}}') == {}


def test_names_lose_the_prefix_of_their_seller_and_unknown_sellers_are_left_out() -> None:
    price = {"input_cost_per_token": Decimal("1e-07")}
    content = {
        "gemini/gemini-x": {"litellm_provider": "gemini", **price},
        "xai/grok-x": {"litellm_provider": "xai", **price},
        "groq/openai/gpt-oss": {"litellm_provider": "groq", **price},
        "us.anthropic.claude-x": {"litellm_provider": "bedrock_converse", **price},
        "bedrock/us-east-1/claude-x": {"litellm_provider": "bedrock", **price},
        "hd/1024-x-1024/dall-e-x": {"litellm_provider": "openai", **price},
        "fireworks_ai/x": {"litellm_provider": "fireworks_ai", **price},
        "sample_spec": {"litellm_provider": "one of …", **price},
    }
    found = {(listing.channel, listing.name): listing.is_first_party for listing in listings(content)}
    assert found == {
        ("google", "gemini-x"): True,
        ("x-ai", "grok-x"): True,
        ("groq", "openai/gpt-oss"): True,
        ("aws", "us.anthropic.claude-x"): False,
    }


@pytest.mark.parametrize(("text", "said"), [("[]", "is no cost map"), ("{", "can't be read as a cost map")])
def test_a_file_that_is_no_cost_map_is_told(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        read_cost_map(file)


# --- comparing


def test_equal_and_different_values() -> None:
    found = compared(priced(input_tokens="1", output_tokens="4"), priced(input_tokens="1.0", output_tokens="5"))
    assert kinds(found) == {IN: Kind.EQUAL, OUT: Kind.VALUE}
    assert [finding.cell for finding in found.failing] == [OUT]


def test_a_price_that_one_side_inherits_is_compared_as_what_is_charged() -> None:
    theirs = {**priced(input_tokens="1"), Cell("input_audio_tokens"): Decimal(1), READ: Decimal("0.1")}
    found = compared(priced(input_tokens="1"), theirs)
    assert kinds(found) == {IN: Kind.EQUAL, Cell("input_audio_tokens"): Kind.EQUAL, READ: Kind.NOT_OURS}
    assert next(f for f in found.findings if f.cell == READ).ours == Decimal(1)


def test_a_missing_tier_a_missing_threshold_and_a_missing_model() -> None:
    batch, long = Cell("input_tokens", "batch"), Cell("input_tokens", "standard", 200_000)
    theirs = {IN: Decimal(2), batch: Decimal(1), long: Decimal(4)}
    assert kinds(compared({IN: Decimal(2)}, theirs)) == {IN: Kind.EQUAL, batch: Kind.VARIANT, long: Kind.TIER}
    assert kinds(compared(theirs, {IN: Decimal(2)})) == {IN: Kind.EQUAL, batch: Kind.NOT_THEIRS, long: Kind.TIER}
    assert set(kinds(compared(None, theirs)).values()) == {Kind.NOT_OURS}


def test_a_tier_at_the_standard_price_is_no_difference() -> None:
    theirs = {IN: Decimal(2), Cell("input_tokens", "batch"): Decimal(2)}
    assert set(kinds(compared({IN: Decimal(2)}, theirs)).values()) == {Kind.EQUAL}


@pytest.mark.parametrize(
    ("cell", "price"),
    [
        (Cell("cache_write_1h_tokens"), "1"),
        (Cell("cache_read_audio_tokens"), "1"),
        (Cell("input_tokens", "flex"), "1"),
        (Cell("input_tokens", "standard", 200_000), "3"),
        (Cell("input_tokens", "batch", 200_000), "0.5"),
        (Cell("input_tokens", "standard", 300_000, True), "3"),
        (Cell("output_tokens"), None),
    ],
)
def test_what_a_data_set_charges_for_a_cell_without_a_price(cell: Cell, price: str | None) -> None:
    prices = {
        IN: Decimal(1),
        Cell("input_tokens", "standard", 200_000): Decimal(3),
        Cell("input_tokens", "batch"): Decimal("0.5"),
    }
    assert effective(prices, cell) == (None if price is None else Decimal(price))


@pytest.mark.parametrize(("given", "read"), [(-1, -1), (0, 0), (199_999, 200_000), (200_000, 200_000), (999, 1000)])
def test_from_and_above_are_one_boundary(given: int, read: int) -> None:
    assert boundary(given) == read


@pytest.mark.parametrize(
    ("ours", "theirs", "fails"), [("1.005", "1", False), ("1.0051", "1", True), ("0.995", "1", False), ("0", "1", True)]
)
def test_half_a_percent_is_rounding(ours: str, theirs: str, fails: bool) -> None:
    assert bool(compared(priced(input_tokens=ours), priced(input_tokens=theirs)).failing) is fails


def test_tiers_and_clouds_are_told_but_do_not_fail() -> None:
    batch = Cell("input_tokens", "batch")
    assert compared({IN: Decimal(1), batch: Decimal(1)}, {IN: Decimal(1), batch: Decimal(9)}).passed
    cloud = Listing("openai", "gpt-x", {IN: Decimal(9)}, is_first_party=False)
    mine = OurPrices({("openai", "gpt-x"): {IN: Decimal(1)}}, {("openai", "gpt-x"): "gpt-x"})
    found = audit(mine, [cloud])
    assert (found.compared, found.failing) == (0, ())


def test_comparing_nothing_is_no_pass() -> None:
    assert not audit(OurPrices({}), []).passed
    assert not compared(None, priced(input_tokens="1")).passed


@pytest.mark.parametrize(("limit", "passes"), [("0.01", True), ("0.0099", False)])
def test_the_limit_is_a_share_of_what_was_compared(limit: str, passes: bool) -> None:
    models = [f"m{number}" for number in range(100)]
    mine = OurPrices({("openai", name): {IN: Decimal(1)} for name in models}, {("openai", n): n for n in models})
    theirs = [Listing("openai", name, {IN: Decimal(2 if name == "m7" else 1)}) for name in models]
    found = audit(mine, theirs, fail_over=Decimal(limit))
    assert (found.compared, len(found.failing), found.share) == (100, 1, Decimal("0.01"))
    assert found.passed is passes


# --- waivers


@pytest.mark.parametrize(
    "pattern",
    [
        {"model_id": "gpt-*"},
        {"model_id": "*-x"},
        {"model_id": "*", "usage_unit": "*_tokens", "service_tier": "standard", "input_tokens_gt": "-1"},
    ],
)
def test_a_waived_difference_does_not_fail(pattern: dict[str, str]) -> None:
    found = compared(priced(input_tokens="1"), priced(input_tokens="2"), [waiver(**pattern)])
    assert found.passed and found.findings[0].waiver == "known" and found.unused_waivers == ()


@pytest.mark.parametrize(
    "pattern",
    [
        {"model_id": "gpt-y"},
        {"channel": "azure"},
        {"usage_unit": "output_tokens"},
        {"service_tier": "batch"},
        {"input_tokens_gt": "200000"},
    ],
)
def test_a_waiver_of_something_else_does_not_help_and_is_told(pattern: dict[str, str]) -> None:
    found = compared(priced(input_tokens="1"), priced(input_tokens="2"), [waiver(**pattern)])
    assert not found.passed and found.unused_waivers == (waiver(**pattern),)


@pytest.mark.parametrize(("on", "counts"), [("2026-12-31", True), ("2027-01-01", False)])
def test_a_waiver_counts_until_the_day_it_expires(on: str, counts: bool, tmp_path: Path) -> None:
    file = tmp_path / "waivers.csv"
    file.write_text(
        "channel,model_id,usage_unit,service_tier,input_tokens_gt,reason,expires\nopenai,gpt-x,,,,known,2026-12-31\n"
    )
    assert read_waivers(file, date.fromisoformat(on)) == ([waiver()] if counts else [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("openai,gpt-x,,,,known,soon", "line 2: expires is 'soon'"),
        ("openai,gpt-x,,,, ,2026-12-31", "there is no reason"),
    ],
)
def test_a_waiver_that_can_not_be_read_is_told(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "waivers.csv"
    file.write_text(f"channel,model_id,usage_unit,service_tier,input_tokens_gt,reason,expires\n{line}\n")
    with pytest.raises(UserError, match=said):
        read_waivers(file, TODAY)


def test_a_waiver_file_with_other_columns_is_told(tmp_path: Path) -> None:
    file = tmp_path / "waivers.csv"
    file.write_text("model,reason\ngpt-x,known\n")
    with pytest.raises(UserError, match="has the columns model, reason"):
        read_waivers(file, TODAY)


@pytest.mark.parametrize(
    ("pattern", "value", "is_match"),
    [
        ("", "x", True),
        ("*", "x", True),
        ("GPT-4*", "gpt-4o", True),
        ("*_tokens", "web_searches", False),
        ("a", "b", False),
    ],
)
def test_patterns(pattern: str, value: str, is_match: bool) -> None:
    assert matches(pattern, value) is is_match


# --- our side


def row(price: str, **changed: str) -> dict[str, str]:
    return {
        **{"price_id": "p", "channel": "openai", "model_id": "gpt-x", "usage_unit": "input_tokens"},
        **{"unit_size": "1000000", "unit_price": price, "input_tokens_gt": "-1", "service_tier": "standard"},
        **{"region_scope": "*", "tod_start_utc": "", "dow_mask": "", "valid_from": "2026-01-01", "valid_to": ""},
        **changed,
    }


def test_an_override_replaces_all_hours_of_its_cell_and_nothing_else() -> None:
    generated = [
        row("1"),
        row("2", tod_start_utc="01:00"),
        row("0.5", service_tier="batch"),
        row("9", region_scope="eu"),
    ]
    assert prices_of_day([generated, [row("7")]], TODAY)["openai", "gpt-x"] == {
        IN: Decimal(7),
        Cell("input_tokens", "batch"): Decimal("0.5"),
    }
    assert prices_of_day([generated, []], TODAY)["openai", "gpt-x"] == {
        IN: Decimal(1),
        IN._replace(is_window=True): Decimal(2),
        Cell("input_tokens", "batch"): Decimal("0.5"),
    }


def test_an_override_wins_over_a_correction_and_that_over_what_was_generated() -> None:
    out = {"usage_unit": "output_tokens"}
    retracted = row("1", usage_unit="requests", retracted_at="2026-02-01")
    generated = [row("1"), row("1", **out), retracted]
    corrections = [row("2"), row("2", tod_start_utc="01:00"), row("2", **out)]
    assert prices_of_day([generated, corrections, [row("3")]], TODAY)["openai", "gpt-x"] == {
        IN: Decimal(3),
        Cell("output_tokens"): Decimal(2),
    }


def test_only_rows_that_hold_at_the_beginning_of_the_day_count() -> None:
    rows = [
        row("1", valid_to="2026-11-22"),
        row("2", valid_from="2026-11-22", valid_to="2026-11-22 04:00:00"),
        row("3", valid_from="2026-11-22 04:00:00"),
    ]
    assert prices_of_day([rows], TODAY)["openai", "gpt-x"] == {IN: Decimal(2)}


def test_prices_are_for_the_size_of_their_unit() -> None:
    rows = [row("0.000002", unit_size="1"), row("0.01", usage_unit="web_searches", unit_size="1")]
    assert prices_of_day([rows], TODAY)["openai", "gpt-x"] == {IN: Decimal(2), Cell("web_searches"): Decimal(10)}


def test_names_are_resolved_as_dbt_does() -> None:
    def alias(kind: str, pattern: str, model: str, order: str = "1", excluded: str = "") -> dict[str, str]:
        return {
            **{"channel": "openai", "match_type": kind, "pattern": pattern, "model_id": model},
            **{"catalogue_order": order, "excluded_pattern": excluded},
        }

    resolver = Resolver(
        [
            alias("starts_with", "gpt-4", "gpt-4"),
            alias("starts_with", "gpt-4o", "gpt-4o", "2"),
            alias("equals", "gpt-4o-mini", "gpt-4o-mini", "3"),
            alias("contains", "audio", "audio", "4", excluded="mini"),
            alias("regex", "^o[0-9]$", "reasoner", "5"),
        ],
        [("openai", "House-LLM")],
    )
    names = (
        "GPT-4o-mini",
        "gpt-4o-2024-05-13",
        "gpt-4-turbo",
        "x-audio",
        "x-audio-mini",
        "o3",
        "house-llm-20260101",
        "?",
    )
    assert [resolver.model_id("openai", name) for name in names] == [
        *("gpt-4o-mini", "gpt-4o", "gpt-4", "audio", None, "reasoner", "House-LLM", None)
    ]


# --- what a difference is worth


def test_a_difference_is_worth_the_usage_of_its_tier_and_threshold() -> None:
    long, batch = Cell("input_tokens", "standard", 200_000), Cell("input_tokens", "batch")
    ours = {IN: Decimal(1), long: Decimal(2), batch: Decimal(1)}
    theirs = {IN: Decimal("1.6"), long: Decimal(5), batch: Decimal("0.5")}
    usage: Usage = {
        ("openai", "gpt-x"): [
            TierUsage("standard", -1, {"input_tokens": Decimal(600_000_000)}),
            TierUsage("standard", 100_000, {"input_tokens": Decimal(87_000_000)}),
            TierUsage("standard", 272_000, {"input_tokens": Decimal(1_000_000)}),
            TierUsage("batch", -1, {"input_tokens": Decimal(2_000_000), "output_tokens": Decimal(5)}),
        ]
    }
    found = compared(ours, theirs, usage=usage)
    worth = {finding.cell: finding.worth_usd for finding in found.findings}
    assert worth == {IN: Decimal("412.2"), long: Decimal(3), batch: Decimal(-1)}
    assert found.findings[0].cell == IN


def test_without_usage_nothing_is_said_of_worth() -> None:
    assert compared(priced(input_tokens="1"), priced(input_tokens="2")).findings[0].worth_usd is None
    unused = compared(priced(input_tokens="1"), priced(input_tokens="2"), usage={})
    assert unused.findings[0].worth_usd == 0


def test_the_usage_of_a_model_is_weighed_once() -> None:
    """Its dated name has the same prices: the month must not count twice."""
    mine = OurPrices(
        {("openai", "gpt-x"): {IN: Decimal(1)}},
        {("openai", "gpt-x"): "gpt-x", ("openai", "gpt-a-2026"): "gpt-x"},
    )
    theirs = [Listing("openai", name, {IN: Decimal(2)}) for name in ("gpt-a-2026", "gpt-x")]
    usage: Usage = {("openai", "gpt-x"): [TierUsage("standard", -1, {"input_tokens": Decimal(1_000_000)})]}
    worth = {finding.name: finding.worth_usd for finding in audit(mine, theirs, usage=usage).findings}
    assert worth == {"gpt-x": Decimal(1), "gpt-a-2026": None}


@pytest.mark.parametrize(
    ("today", "start", "end"),
    [("2026-11-22", "2026-10-01", "2026-11-01"), ("2027-01-01", "2026-12-01", "2027-01-01")],
)
def test_the_month_is_the_last_full_one(today: str, start: str, end: str) -> None:
    assert [day.isoformat() for day in last_full_month(date.fromisoformat(today))] == [start, end]


def test_usage_comes_from_the_fact(tmp_path: Path) -> None:
    file = tmp_path / "spend.duckdb"
    with duckdb.connect(str(file)) as database:
        database.execute("create schema llm_spend")
        database.execute(
            "create table llm_spend.fct_llm_requests (usage_date date, channel varchar, model_id varchar,"
            " service_tier varchar, input_tokens bigint, uncached_input_tokens bigint, output_tokens bigint,"
            " is_of_record boolean)"
        )
        database.execute(
            "insert into llm_spend.fct_llm_requests values"
            " ('2026-10-01', 'openai', 'gpt-x', null, 10, 10, 1, true),"
            " ('2026-10-31', 'openai', 'gpt-x', 'standard', 5, 4, 2, true),"
            " ('2026-10-05', 'openai', 'gpt-x', 'standard', 272001, 272001, null, true),"
            " ('2026-10-05', 'openai', 'gpt-x', 'batch', 7, 7, 7, true),"
            " ('2026-09-30', 'openai', 'gpt-x', null, 99, 99, 99, true),"
            " ('2026-11-01', 'openai', 'gpt-x', null, 99, 99, 99, true),"
            " ('2026-10-05', 'openai', null, null, 99, 99, 99, true),"
            " ('2026-10-05', 'openai', 'gpt-x', null, 99, 99, 99, false)"
        )
    usage = month_usage(DuckDb(file, "1GB"), TODAY)
    assert list(usage) == [("openai", "gpt-x")]
    found = {(part.service_tier, part.above): dict(part.quantities) for part in usage["openai", "gpt-x"]}
    assert found == {
        ("standard", -1): {"input_tokens": Decimal(14), "output_tokens": Decimal(3)},
        ("standard", 272_000): {"input_tokens": Decimal(272_001)},
        ("batch", -1): {"input_tokens": Decimal(7), "output_tokens": Decimal(7)},
    }


# --- the whole of it


def recorded_day() -> date:
    """The day of the newest row of the ledger: the audit of any later day must be able to fail."""
    header, *lines = (SEEDS / "model_prices.csv").read_text(encoding="utf-8").splitlines()
    place = header.split(",").index("recorded_at")
    return date.fromisoformat(max(line.split(",")[place] for line in lines))


def test_our_seeds_pass_against_the_recorded_cost_map() -> None:
    report = run(Request(on=recorded_day(), cost_map=RECORDED))
    assert [(f.name, price_name(f.cell), f.ours, f.theirs) for f in report.audit.failing] == []
    assert report.audit.compared > 1_000
    assert [f"{waiver.channel} {waiver.model_id}" for waiver in report.audit.unused_waivers] == []


def test_a_moving_name_that_is_out_of_date_would_fail(tmp_path: Path) -> None:
    """The audit resolves names, so it finds what an exact id would not: mistral-large-latest as Mistral Large 2."""
    text = (SEEDS / "alias_overrides.csv").read_text(encoding="utf-8")
    (tmp_path / "alias_overrides.csv").write_text(text.splitlines()[0] + "\n", encoding="utf-8")
    report = run(Request(on=recorded_day(), cost_map=RECORDED, seeds=tmp_path))
    assert {(f.channel, f.name, f.cell) for f in report.audit.failing} == {
        ("mistral", "mistral-large-latest", IN),
        ("mistral", "mistral-large-latest", OUT),
    }


def test_packaged_waivers_end() -> None:
    assert read_waivers(PACKAGED_WAIVERS, TODAY)
    assert read_waivers(PACKAGED_WAIVERS, date(2028, 1, 1)) == []


def test_an_unknown_data_set_is_told() -> None:
    with pytest.raises(UserError, match="no data set 'nobody'"):
        run(Request(on=TODAY, against="nobody"))


def test_a_warehouse_that_was_asked_for_must_answer() -> None:
    def nothing_there(on: date) -> Usage:
        raise UserError("There is no database.")

    request = Request(on=recorded_day(), cost_map=RECORDED)
    assert run(request, nothing_there).unweighed_because == "There is no database."
    with pytest.raises(UserError, match="There is no database"):
        run(request, nothing_there, must_weigh=True)


def test_the_json_has_exact_prices_and_leaves_out_what_is_equal() -> None:
    report = run(Request(on=recorded_day(), cost_map=RECORDED))
    content = json.loads(json.dumps(to_json(report)))
    assert content["passed"] is True and content["fail_over"] == "0.005"
    of_model = [finding for finding in content["findings"] if finding["name"] == "mistral-large-4"]
    found = next(f for f in of_model if (f["usage_unit"], f["service_tier"]) == ("input_tokens", "standard"))
    assert (found["ours"], found["theirs"], found["kind"]) == ("0.7", "1.36", "value differs")
    assert found["waiver"] and not found["is_failing"]
    assert all(finding["kind"] != "equal" for finding in content["findings"])


def shown(found: Audit, weighed_by: str | None) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(Report(found, "litellm 1", TODAY, weighed_by)))
    return " ".join(console.export_text().split())


def test_with_usage_people_see_what_a_difference_is_worth_to_them() -> None:
    ours, theirs = priced(input_tokens="1", output_tokens="4"), priced(input_tokens="1.6", output_tokens="5")
    usage: Usage = {("openai", "gpt-x"): [TierUsage("standard", -1, {"input_tokens": Decimal(687_000_000)})]}
    text = shown(compared(ours, theirs, usage=usage), "October 2026")
    assert "These differences are worth $412.20 of the usage of October 2026." in text
    assert "openai gpt-x input_tokens 1 1.6 value differs $412.20" in text


def test_with_usage_differences_of_models_that_nobody_uses_are_only_counted() -> None:
    ours, theirs = {IN: Decimal(1)}, {IN: Decimal(1), Cell("input_tokens", "batch"): Decimal("0.5")}
    assert "None of the open differences is about usage of October 2026." in shown(
        compared(ours, theirs, usage={}), "October 2026"
    )
    assert "openai gpt-x input_tokens, batch 1 0.5 variant missing" in shown(compared(ours, theirs), None)


def test_waivers_that_are_no_longer_needed_are_told() -> None:
    same = priced(input_tokens="1")
    assert "No longer needed: the waiver of openai gpt-x (known)" in shown(compared(same, same, [waiver()]), None)


@pytest.fixture
def cost_map(tmp_path: Path) -> Path:
    """One price that is ours, and one that is not."""
    file = tmp_path / "map.json"
    file.write_text(
        '{"gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 2e-05}}'
    )
    return file


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--fail-over", "50%"], 0), (["--fail-over", "49.9"], 1)])
def test_the_command_fails_above_the_limit(
    arguments: list[str], code: int, cost_map: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cost_map.parent)
    assert run_command(monkeypatch, "prices", "audit", "--cost-map", str(cost_map), *arguments) == code
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 base prices" in shown and ("Failed" if code else "Passed") in shown
    assert "gpt-4o output_tokens 10 20 value differs" in shown


def test_a_waiver_file_lets_the_command_pass(cost_map: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cost_map.parent)
    waivers = cost_map.parent / "mine.csv"
    header = "channel,model_id,usage_unit,service_tier,input_tokens_gt,reason,expires\n"
    waivers.write_text(header + "openai,gpt-4o,output_tokens,standard,-1,An invented price,2999-12-31\n")
    arguments = ("prices", "audit", "--cost-map", str(cost_map), "--waivers", str(waivers))
    assert run_command(monkeypatch, *arguments) == 0
    waivers.write_text(header + "openai,gpt-4o,output_tokens,standard,-1,An invented price,2020-12-31\n")
    assert run_command(monkeypatch, *arguments) == cli.FAILED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-over", "much"], "'much' is no percentage"),
        (["--database", "absent.duckdb"], "absent.duckdb"),
        (["--waivers", "absent.csv"], "absent.csv can't be read"),
    ],
)
def test_errors_of_the_command_say_what_and_what_to_do(
    arguments: list[str],
    said: str,
    cost_map: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(cost_map.parent)
    assert run_command(monkeypatch, "prices", "audit", "--cost-map", str(cost_map), *arguments) == cli.FAILED
    assert said in " ".join(capsys.readouterr().err.split())


def test_findings_know_whether_they_fail() -> None:
    finding = Finding("openai", "x", "x", IN, Kind.VALUE, Decimal(1), Decimal(2), is_first_party=True)
    assert finding.is_failing and finding.is_compared
