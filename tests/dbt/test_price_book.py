"""Model names and prices, resolved by dbt in a temporary DuckDB, compared as exact Decimals."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from llm_spend.prices.units import UNITS
from tests.conftest import long
from tests.dbt.price_project import PARTS, PROJECT, Priced, PriceProject, Request

pytestmark = pytest.mark.slow

# A private name that moved to another model, and one that the data set has never heard of.
DEPLOYMENTS = """channel,deployment,model_id,valid_from,valid_to
azure,chat-prod,gpt-4o,2026-01-01,2026-06-01
azure,chat-prod,gpt-4.1,2026-06-01,
azure,audio-mini-prod,gpt-audio-mini,,
aws,arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123,regional.anthropic.claude-sonnet-4-5-20250929-v1:0,,
"""


def cell(model: str, unit: str, price: str, **others: str) -> dict[str, str]:
    """A row of a price seed; of OpenAI since 2026 unless said."""
    return {
        "price_id": f"test-{model}-{unit}-{'-'.join(others.values())}",
        "provider": "openai",
        "channel": "openai",
        "model_id": model,
        "usage_unit": unit,
        "unit_size": "1000000",
        "unit_price": price,
        "currency": "USD",
        "service_tier": "standard",
        "valid_from": "2026-01-01",
        **others,
    }


OVERRIDES = [
    *(cell("Acme-Free", unit, "0") for unit in ("input_tokens", "output_tokens")),
    # C31: what will hold is known before it does.
    cell("acme-future", "input_tokens", "1"),
    cell("acme-future", "input_tokens", "2", valid_from="2027-01-01"),
    # C35: a gateway with prices of its own.
    *(
        cell("gpt-5.6-sol", unit, price, channel="vercel")
        for unit, price in (("input_tokens", "2"), ("output_tokens", "10"))
    ),
    # G79: in euros, and in a currency that nobody has a rate for.
    cell("acme-euro", "input_tokens", "1000", currency="EUR"),
    cell("acme-krona", "input_tokens", "1000", currency="SEK"),
    # A window over midnight, on working days, within a price for the whole week.
    cell("acme-night", "input_tokens", "10"),
    cell("acme-night", "input_tokens", "4", tod_start_utc="22:00", tod_end_utc="02:00", dow_mask="12345"),
    # A region with a price of its own beside the others' multiplier.
    cell("acme-region", "input_tokens", "10"),
    cell("acme-region", "input_tokens", "15", region_scope="eu"),
    *(cell("acme-contract", unit, "10") for unit in ("input_tokens", "output_tokens")),
    *(cell("acme-fixed", unit, "10") for unit in ("input_tokens", "output_tokens")),
    cell("acme-ranked", "input_tokens", "3"),
]
CORRECTIONS = [
    cell("acme-ranked", "input_tokens", "2"),
    cell("acme-ranked", "input_tokens", "4", tod_start_utc="22:00", tod_end_utc="23:00"),
    cell("acme-ranked", "output_tokens", "20"),
    # Of a model that is in no other seed.
    cell("acme-corrected", "input_tokens", "5"),
]
GENERATED = [
    cell("acme-ranked", unit, price, recorded_at="2026-01-01")
    for unit, price in (("input_tokens", "1"), ("output_tokens", "10"), ("cache_read_tokens", "0.1"))
]
# C30: an increase that was announced, and cancelled before its day.
CANCELLED = [
    cell(
        "claude-sonnet-5",
        unit,
        price,
        provider="anthropic",
        channel="anthropic",
        valid_from="2026-09-01",
        recorded_at="2026-07-01",
        retracted_at="2026-08-20",
    )
    for unit, price in (("input_tokens", "3"), ("output_tokens", "15"))
]
RATES = [{"currency": "EUR", "usd_per_unit": "1.0850", "valid_from": "2026-03-01", "valid_to": "2027-01-01"}]
MULTIPLIERS = [
    {"channel": "openai", "model_pattern": "acme-region", "region": "us", "multiplier": "1.2"},
    {"channel": "openai", "model_pattern": "acme-*", "region": "eu", "multiplier": "1.5"},
    {"channel": "openai", "model_pattern": "acme-reg*", "region": "us", "multiplier": "9"},
]
DISCOUNTS = [
    {"contract_id": "g76", "channel": "anthropic", "model_pattern": "claude-3-5-haiku*", "usage_unit": "*_tokens"}
    | {"discount_pct": "12"},
    *(
        {"contract_id": "stack", "channel": "openai", "model_pattern": "acme-contract", "stack_order": str(order)}
        | {"discount_pct": per_cent}
        for order, per_cent in enumerate(("10", "50", "33.3333"), start=1)
    ),
    {"contract_id": "fixed", "channel": "openai", "model_pattern": "acme-fixed", "discount_pct": "10"},
    {"contract_id": "fixed", "channel": "openai", "model_pattern": "acme-fixed", "usage_unit": "input_tokens"}
    | {"unit_price": "6", "unit_size": "1000000", "stack_order": "2"},
    {"contract_id": "fixed", "channel": "openai", "model_pattern": "acme-fixed", "discount_pct": "50"}
    | {"stack_order": "3"},
]
# D44: two aliases of one name, and a hand-written one for a time.
ALIASES = [
    {"channel": "openai", "model_id": "acme-future", "match_type": "starts_with", "pattern": "acme-"},
    {"channel": "openai", "model_id": "acme-euro", "match_type": "starts_with", "pattern": "acme-eu"},
    {"channel": "openai", "model_id": "acme-night", "match_type": "contains", "pattern": "cme-europe"},
]
ALIAS_OVERRIDES = [
    {"channel": "openai", "model_id": "gpt-4o", "match_type": "equals", "pattern": "acme-latest"}
    | {"valid_from": "2026-02-01", "valid_to": "2026-06-01"},
    {"channel": "openai", "model_id": "gpt-4.1", "match_type": "equals", "pattern": "acme-latest"}
    | {"valid_from": "2026-06-01"},
]


@dataclass(frozen=True)
class Case:
    """One request and what it costs; None is unknown."""

    case: str
    provider: str
    model: str
    at: str
    cost: str | None
    tier: str = "standard"
    uncached: int = 0
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    output: int = 0
    region: str = ""
    contract: str | None = None
    """The contract cost, where it is not the list cost."""
    status: str | None = None
    others: dict[str, int] = field(default_factory=dict)

    def request(self, number: int) -> Request:
        usage = {
            "input_tokens": self.uncached,
            "cache_read_tokens": self.cache_read,
            "cache_write_5m_tokens": self.write_5m,
            "cache_write_1h_tokens": self.write_1h,
            "output_tokens": self.output,
            **self.others,
        }
        at = datetime.fromisoformat(self.at)
        return Request(number, self.provider, self.model, at, self.tier, self.region, usage)


NOV = "2026-11-20"
M = 1_000_000
CASES = [
    Case("A1 cached input", "openai", "gpt-4o", NOV, "0.005615", uncached=86, cache_read=1920, output=300),
    Case(
        "A3 both cache writes",
        "anthropic",
        "claude-sonnet-4-5",
        NOV,
        "0.5025",
        uncached=10_000,
        write_5m=30_000,
        write_1h=60_000,
    ),
    Case("A5 only cache reads", "anthropic", "claude-haiku-4-5-20251001", NOV, "0.10", cache_read=M),
    Case(
        "A6 reasoning is output",
        "openai",
        "gpt-5-mini",
        NOV,
        "0.0005837",
        uncached=538,
        cache_read=2208,
        output=197,
    ),
    Case("A7 thoughts are output", "google", "gemini-2.5-flash", NOV, "0.0025545", uncached=15, output=1020),
    Case("B13 under", "google", "gemini-2.5-pro", NOV, "0.25999875", uncached=199_999, output=1000),
    Case("B13 at", "google", "gemini-2.5-pro", NOV, "0.26", uncached=200_000, output=1000),
    Case("B13 over", "google", "gemini-2.5-pro", NOV, "0.5150025", uncached=200_001, output=1000),
    Case(
        "B13 cached input counts",
        "google",
        "gemini-2.5-pro",
        NOV,
        "0.0500025",
        uncached=1,
        cache_read=200_000,
    ),
    Case("B15 before", "anthropic", "claude-opus-4-6", "2026-03-12", "3.0375", uncached=300_000, output=1000),
    Case("B15 after", "anthropic", "claude-opus-4-6", "2026-03-13", "1.525", uncached=300_000, output=1000),
    Case("B16 batch", "openai", "o3", "2026-06-01", "5", tier="batch", uncached=M, output=M),
    Case("B20 fast", "anthropic", "claude-opus-5", NOV, "1.50", tier="fast", uncached=100_000, output=10_000),
    Case(
        "B23 global",
        "bedrock",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        NOV,
        "0.45",
        uncached=100_000,
        output=10_000,
    ),
    Case(
        "B23 regional",
        "bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        NOV,
        "0.495",
        uncached=100_000,
        output=10_000,
    ),
    Case("B24 region", "anthropic", "claude-opus-5", NOV, "0.825", region="us", uncached=100_000, output=10_000),
    Case("B24 anywhere", "anthropic", "claude-opus-5", NOV, "0.75", region="global", uncached=100_000, output=10_000),
    Case("B25 eu host", "openai", "gpt-5.6-sol", NOV, "44", region="eu", uncached=250_000, output=1_950_000),
    Case("B25 base host", "openai", "gpt-5.6-sol", NOV, "40", uncached=250_000, output=1_950_000),
    Case("B26 peak", "deepseek", "deepseek-v4-flash", f"{NOV} 03:00", "1.50", uncached=M, output=M),
    Case("B26 off-peak", "deepseek", "deepseek-v4-flash", f"{NOV} 20:00", "0.75", uncached=M, output=M),
    Case("B26 Saturday", "deepseek", "deepseek-v4-flash", "2026-11-21 03:00", "0.75", uncached=M, output=M),
    Case("B26 holiday", "deepseek", "deepseek-v4-flash", "2026-10-01 03:00", "0.75", uncached=M, output=M),
    Case("window before", "openai", "acme-night", f"{NOV} 21:59:59", "10", uncached=M),
    Case("window evening", "openai", "acme-night", f"{NOV} 22:00", "4", uncached=M),
    Case("window after midnight", "openai", "acme-night", f"{NOV} 01:59:59", "4", uncached=M),
    Case("window over", "openai", "acme-night", f"{NOV} 02:00", "10", uncached=M),
    Case("window on a Saturday", "openai", "acme-night", "2026-11-21 01:00", "10", uncached=M),
    Case("an override before a correction", "openai", "acme-ranked", NOV, "3", uncached=M),
    Case("an override in all hours of a correction", "openai", "acme-ranked", f"{NOV} 22:30", "3", uncached=M),
    Case("a correction before what was generated", "openai", "acme-ranked", NOV, "20", output=M),
    Case("what nobody corrected", "openai", "acme-ranked", NOV, "0.1", cache_read=M),
    Case("a model in corrections only", "openai", "acme-corrected", NOV, "5", uncached=M),
    Case("region, the longest pattern", "openai", "acme-region", NOV, "12", region="US", uncached=M),
    Case("region, its own price", "openai", "acme-region", NOV, "15", region="eu", uncached=M),
    Case("region, unknown", "openai", "acme-region", NOV, "10", region="mars", uncached=M),
    Case("B27 embeddings", "openai", "text-embedding-3-small", NOV, "0.50", tier="batch", uncached=50 * M),
    Case("embeddings have no output", "openai", "text-embedding-3-small", NOV, None, uncached=1, output=1),
    Case("C28 before", "openai", "o3", "2025-06-09 23:59:59.999", "50", uncached=M, output=M),
    Case("C28 after", "openai", "o3", "2025-06-10", "10", uncached=M, output=M),
    Case("C29 before", "openai", "gpt-5.6-sol", "2026-08-20 23:59:59", "0.08", uncached=10_000, output=1000),
    Case("C29 at", "openai", "gpt-5.6-sol", "2026-08-21 00:00:00", "0.06", uncached=10_000, output=1000),
    Case("C30 cancelled", "anthropic", "claude-sonnet-5", "2026-09-02", "0.50", uncached=150_000, output=20_000),
    Case("C31 not yet", "openai", "acme-future", "2026-12-31 23:59:59", "1", uncached=M),
    Case("C31 then", "openai", "acme-future", "2027-01-01", "2", uncached=M),
    Case("C34 removed upstream", "anthropic", "claude-opus-4-1", "2025-09-01", "90", uncached=M, output=M),
    Case(
        "C34 removed dated",
        "anthropic",
        "claude-sonnet-4-20250514",
        "2025-09-01",
        "1.8",
        uncached=100_000,
        output=100_000,
    ),
    Case("C34 removed at groq", "groq", "llama-3.3-70b-versatile", "2025-09-01", "1.38", uncached=M, output=M),
    Case("C35 by channel", "vercel", "gpt-5.6-sol", "2026-09-15", "12", uncached=M, output=M),
    Case("C35 direct", "openai", "gpt-5.6-sol", "2026-09-15", "4.80", uncached=200_000, output=200_000),
    Case(
        "G76",
        "anthropic",
        "claude-3-5-haiku",
        NOV,
        "1000",
        contract="887.20",
        uncached=1175 * M,
        others={"web_searches": 6000},
    ),
    Case("discounts in turn", "openai", "acme-contract", NOV, "20", contract="6.000003", uncached=M, output=M),
    # 0.000003 0000015 each: the digits that round are the output's.
    Case(
        "a cost of more digits",
        "openai",
        "acme-contract",
        NOV,
        "0.00003",
        contract="0.000009000005",
        uncached=1,
        output=2,
    ),
    Case("fixed price", "openai", "acme-fixed", NOV, "20", contract="7.5", uncached=M, output=M),
    Case("G79 euros", "openai", "acme-euro", NOV, "1085", uncached=M),
    Case("G79 before the first rate", "openai", "acme-euro", "2026-02-28 23:59:59", None, uncached=M),
    Case("G79 no rate", "openai", "acme-krona", NOV, None, uncached=M),
    Case("D37 dated version", "openai", "gpt-4o-2024-05-13", NOV, "0.65", uncached=100_000, output=10_000),
    Case("D38 deployment", "azure-openai", "audio-mini-prod", NOV, "3.00", uncached=M, output=M),
    Case("D38 no mapping", "azure-openai", "audio-maxi-prod", NOV, None, uncached=1),
    Case("D39 unknown", "openai", "gpt-7", NOV, None, uncached=37_400_000),
    Case("D40 free", "openai", "acme-free", NOV, "0", uncached=M, output=M),
    Case(
        "D41 provider first",
        "vertex-ai",
        "us.anthropic.claude-sonnet-4-5",
        NOV,
        "0.45",
        uncached=100_000,
        output=10_000,
    ),
    Case("D42 moving name", "mistral-ai", "mistral-large-latest", NOV, "0.065", uncached=100_000, output=10_000),
    Case(
        "D42 before it moved",
        "mistral-ai",
        "mistral-large-latest",
        "2025-11-30",
        "0.26",
        uncached=100_000,
        output=10_000,
    ),
    Case(
        "D43 profile",
        "bedrock",
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123",
        NOV,
        "3.30",
        uncached=M // 10,
        output=180_000,
    ),
    Case(
        "D43 no mapping",
        "bedrock",
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/zzz",
        NOV,
        None,
        uncached=1,
    ),
    Case("deployment then", "azure", "chat-prod", "2026-05-31 23:59:59", "12.50", uncached=M, output=M),
    Case("deployment now", "azure", "chat-prod", "2026-06-01", "10", uncached=M, output=M),
    Case("deployment not yet", "azure", "chat-prod", "2025-12-31", None, uncached=M, output=M),
    Case("gpt-4o", "openai", "gpt-4o", NOV, "12.50", uncached=M, output=M),
    Case("azure gpt-4o", "azure", "gpt-4o", NOV, "12.50", uncached=M, output=M),
    Case(
        "claude-haiku-4-5",
        "anthropic",
        "claude-haiku-4-5",
        NOV,
        "7.25",
        uncached=100_000,
        write_5m=M,
        write_1h=0,
        output=1_180_000,
    ),
    Case("gemini-2.5-flash", "gemini", "gemini-2.5-flash", NOV, "2.83", uncached=M, cache_read=M, output=M),
]

# (provider, name as logged) -> (provider, channel, model, how)
RESOLUTIONS = {
    ("openai", "GPT-4o"): ("openai", "openai", "gpt-4o", "equals"),
    ("azure-openai", "gpt-4o-mini-2024-07-18"): (
        "openai",
        "azure",
        "gpt-4o-mini",
        "equals, listed by openai",
    ),
    ("azure", "azure/gpt-4o"): ("openai", "azure", "gpt-4o", "equals, prefix removed, listed by openai"),
    ("bedrock", "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"): (
        "anthropic",
        "aws",
        "regional.anthropic.claude-haiku-4-5-20251001-v1:0",
        "contains",
    ),
    ("", "openai/gpt-4o"): ("openai", "openai", "gpt-4o", "equals, prefix removed"),
    ("", "gpt-4o"): ("openai", "openai", "gpt-4o", "equals, any provider"),
    ("", "o3"): (None, None, None, None),  # two channels sell it
    ("somebody", "gpt-4o-x"): ("somebody", None, None, None),
    ("openrouter", "openai/gpt-4o"): ("openrouter", "openrouter", None, None),
    ("openai", "gpt-5.2-20251211"): ("openai", "openai", "gpt-5.2", "equals, date rewritten"),
    ("openai", "o4-mini-2099-01-01"): ("openai", "openai", "o4-mini", "date_suffix"),
    ("google", "gemini-2.5-pro-preview-tts"): ("google", "google", "gemini-2.5-pro-tts", "equals"),
    ("google", "gemini-2.5-pro-other-tts"): ("google", "google", None, None),
    ("openai", ""): ("openai", "openai", None, None),
    ("openai", "acme-euro"): ("openai", "openai", "acme-euro", "equals"),
    ("openai", "acme-europe"): ("openai", "openai", "acme-euro", "starts_with"),
    ("openai", "acme-other"): ("openai", "openai", "acme-future", "starts_with"),
    ("openai", "ft:gpt-4o-mini-2024-07-18:org::id"): ("openai", "openai", "ft:gpt-4o-mini", "starts_with"),
    ("openai", "ft:gpt-4-0613:org::id"): ("openai", "openai", None, None),
    ("openai", "ft:gpt-4.1-2025-04-14:org::id"): ("openai", "openai", None, None),
}


def upstream_names() -> list[tuple[str, str]]:
    """(channel, name) for each pattern of the data set, as it is and with something after it."""
    with (PROJECT / "seeds/prices/model_aliases.csv").open(newline="") as file:
        patterns = [row for row in csv.DictReader(file) if row["match_type"] != "regex"]
    return sorted(
        {
            (row["channel"], row["pattern"] + suffix)
            for row in patterns
            for suffix in ("", "-preview", "-20250929", "-2025-09-29")
        }
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PriceProject:
    names = {
        *(("test", case.provider, case.model) for case in CASES),
        *(("test", *name) for name in RESOLUTIONS),
        ("test", "openai", "acme-latest"),
        *(("upstream", *name) for name in upstream_names()),
    }
    project = PriceProject(tmp_path_factory.mktemp("price_book"), names)
    project.seed("model_deployments").write_text(DEPLOYMENTS)
    project.write("price_overrides", OVERRIDES)
    project.write("price_corrections", CORRECTIONS)
    project.write("model_prices", [*CANCELLED, *GENERATED])
    project.write("fx_rates", RATES)
    project.write("price_multipliers", MULTIPLIERS)
    project.write("negotiated_discounts", DISCOUNTS)
    project.write("model_aliases", [{"catalogue_order": "999", **alias} for alias in ALIASES])
    project.write("alias_overrides", ALIAS_OVERRIDES)
    project.write(
        "provider_names",
        [{"source_system": "*", "raw_provider": "vercel", "provider": "vercel", "channel": "vercel"}],
    )
    project.price([case.request(number) for number, case in enumerate(CASES)])
    project.build()
    return project


@pytest.fixture(scope="module")
def priced(project: PriceProject) -> dict[int, Priced]:
    return project.priced()


@pytest.fixture(scope="module")
def warehouse(project: PriceProject) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(project.database), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].case)
def test_cost(priced: dict[int, Priced], number: int) -> None:
    case, found = CASES[number], priced[number]
    expected = None if case.cost is None else Decimal(case.cost)
    assert found.cost is None or isinstance(found.cost, Decimal)
    assert found.cost == expected
    assert found.contract_cost == (expected if case.contract is None else Decimal(case.contract))
    assert (found.status == "unpriced") == (case.cost is None)


# Uncached input, cache read, cache write, output, other.
COSTS_BY_CLASS = {
    "A1 cached input": "0.000215 0.0024 0 0.003 0",
    "A3 both cache writes": "0.03 0 0.4725 0 0",
    "G76": "827.2 0 0 0 60",
    "fixed price": "3 0 0 4.5 0",
    "a cost of more digits": "0.000003000002 0 0 0.000006000003 0",
    "D40 free": "0 0 0 0 0",
}


def test_the_parts_of_a_cost(priced: dict[int, Priced]) -> None:
    for number, case in enumerate(CASES):
        parts, cost = priced[number].parts, priced[number].contract_cost
        if cost is None:
            assert set(parts.values()) == {None}, case
        else:
            assert sum(part or 0 for part in parts.values()) == cost, case
            assert (parts["other"] == 0) == (not case.others), case
    found = {case.case: priced[number].parts for number, case in enumerate(CASES)}
    for name, costs in COSTS_BY_CLASS.items():
        assert found[name] == dict(zip(PARTS, map(Decimal, costs.split()), strict=True)), name


@pytest.mark.parametrize("name", RESOLUTIONS, ids=lambda n: "|".join(n))
def test_resolution(warehouse: duckdb.DuckDBPyConnection, name: tuple[str, str]) -> None:
    found = warehouse.execute(
        "select provider, channel, model_id, matched_by from llm_spend_internal.int_model_resolution"
        " where source_system = 'test' and coalesce(raw_provider, '') = ? and coalesce(raw_model, '') = ?",
        name,
    ).fetchall()
    assert found == [RESOLUTIONS[name]]


def test_every_name_has_one_row_at_any_time(warehouse: duckdb.DuckDBPyConnection) -> None:
    (counts,) = warehouse.sql(
        "select (select count(*) from llm_spend_internal.int_model_names),"
        " count(*) filter (where timestamp '2026-05-01' >= valid_from and timestamp '2026-05-01' < valid_to)"
        " from llm_spend_internal.int_model_resolution"
    ).fetchall()
    assert counts[0] == counts[1]


def test_names_mean_what_upstream_says(warehouse: duckdb.DuckDBPyConnection) -> None:
    data = pytest.importorskip("genai_prices.data")
    catalogues = {provider.id: provider for provider in data.providers}
    ours = {
        (channel, name): (model, how)
        for channel, name, model, how in warehouse.sql(
            "select raw_provider, raw_model, model_id, matched_by"
            " from llm_spend_internal.int_model_resolution where source_system = 'upstream'"
            " and timestamp '2026-11-22' >= valid_from and timestamp '2026-11-22' < valid_to"
        ).fetchall()
    }
    differences = []
    for channel, name in upstream_names():
        model = catalogues[channel].find_model(name, all_providers=data.providers)
        found, how = ours[channel, name]
        # A dated version of a known model that upstream doesn't list: ours takes the undated one and says so.
        if how is not None and how.startswith("date_suffix") and model is None:
            continue
        # By hand: moving names, which upstream takes for what they were.
        if how is not None and "alias override" in how:
            continue
        # Upstream has the price of the base model for a fine-tuned one; ours has none.
        if name.startswith("ft:") and found is None and model is not None and not model.id.startswith("ft:"):
            continue
        if found != (model.id if model else None):
            differences.append((channel, name, model.id if model else None, found, how))
    assert differences == []


def test_a_moving_name_means_another_model_from_a_day_on(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = warehouse.sql(
        "select strftime(valid_from, '%Y-%m-%d'), strftime(valid_to, '%Y-%m-%d'), model_id, matched_by"
        " from llm_spend_internal.int_model_resolution where raw_model = 'acme-latest' order by valid_from"
    ).fetchall()
    assert found == [
        ("1970-01-01", "2026-02-01", "acme-future", "starts_with"),
        ("2026-02-01", "2026-06-01", "gpt-4o", "equals, alias override"),
        ("2026-06-01", "9999-12-31", "gpt-4.1", "equals, alias override"),
    ]


def test_the_book_has_a_column_for_every_unit_of_the_generator(warehouse: duckdb.DuckDBPyConnection) -> None:
    columns = set(warehouse.table("llm_spend_internal.int_price_book").columns)
    expected = {unit.price_column for unit in UNITS}
    assert expected | {f"contract_{column}" for column in expected} == {c for c in columns if c.endswith("_price")}


BAD_ROWS = {
    "price_corrections": cell("acme-bad", "input_tokens", "wrong"),
    "price_overrides": cell("acme-bad", "input_tokens", "cheap"),
    "price_multipliers": {"channel": "openai", "model_pattern": "a*b", "region": "us", "multiplier": "1.1"},
    "negotiated_discounts": {"contract_id": "x", "channel": "openai", "discount_pct": "5", "unit_price": "1"}
    | {"unit_size": "1000"},
    "fx_rates": {"currency": "EUR", "usd_per_unit": "1.1", "valid_from": "2026-02-30"},
    "period_close": {"billing_period": "2026-10-15", "closed_at": "2026-11-01"},
}


def test_a_value_that_cannot_be_read_fails_a_test_and_nothing_is_priced(tmp_path: Path) -> None:
    project = PriceProject(tmp_path)
    for seed, row in BAD_ROWS.items():
        project.write(seed, [row])
    result = project.dbt("build", "--quiet")
    assert result.returncode != 0
    for failed in (
        "never_null_stg_prices__price_corrections",
        "never_null_stg_prices__price_overrides",
        "never_null_stg_prices__fx_rates",
        "assert_price_seeds_make_sense",
    ):
        assert failed in result.stdout
    with duckdb.connect(str(project.database), read_only=True) as connection:
        tables = connection.sql("select table_name from information_schema.tables").fetchall()
    assert ("int_price_book",) not in tables


CLOSING = {"billing_period": "2026-10-01", "closed_at": "2026-11-05 09:00:00"}
BOOK = """
select strftime(valid_from, '%Y-%m-%d'), strftime(valid_to, '%Y-%m-%d'), (input_price * 1000000)::integer
from llm_spend_internal.int_price_book
where channel = 'openai' and model_id = 'acme' order by all
"""


@long
def test_a_closed_month_has_the_prices_of_its_closing(tmp_path: Path) -> None:
    project = PriceProject(tmp_path)

    def book(price: str, *closings: dict[str, str], full_refresh: bool = False) -> list[tuple[str, str, int]]:
        project.write("price_overrides", [cell("acme", "input_tokens", price)], keep=False)
        project.write("period_close", closings, keep=False)
        project.build("--exclude-resource-type", "test", *(["--full-refresh"] if full_refresh else []))
        with duckdb.connect(str(project.database), read_only=True) as connection:
            return connection.sql(BOOK).fetchall()

    def around(october: int, others: int) -> list[tuple[str, str, int]]:
        return [
            ("2026-01-01", "2026-10-01", others),
            ("2026-10-01", "2026-11-01", october),
            ("2026-11-01", "9999-12-31", others),
        ]

    assert book("1", CLOSING) == around(1, 1)
    assert book("2", CLOSING) == around(1, 2)
    assert book("2", CLOSING, full_refresh=True) == around(1, 2)
    assert book("2") == [("2026-01-01", "9999-12-31", 2)], "opened again"
    assert book("3", CLOSING | {"closed_at": "2026-12-01"}) == around(3, 3)
    assert book("4", CLOSING | {"closed_at": "2026-12-01"}) == around(3, 4), "closed anew"
