"""What people report as wrong about prices, from log file to fact, as exact Decimals: acceptance cases A8 to D44, G76.

One log, one build with an organisation's own price seeds, and queries. The ids of the records begin with the case.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.build import BuildReport, build, project_dir
from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.schema import OTHER_USAGE
from llm_spend.sources.generic import COLUMNS, Mapping
from tests.dbt.price_project import PARTS

pytestmark = pytest.mark.slow

M = 1_000_000
NOV = "2026-11-20T10:00:00Z"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/"


def call(
    record_id: str, provider: str, model: str, into: int | None = None, out: int | None = None, **fields: Any
) -> dict[str, Any]:
    """A line of the log; `fields` are named as in fct_llm_requests."""
    return {
        "source_record_id": record_id,
        "started_at": NOV,
        "provider": provider,
        "raw_model": model,
        "input_tokens": into,
        "output_tokens": out,
        **fields,
    }


@dataclass(frozen=True)
class Case:
    """A request and what it costs by list; None is unknown."""

    line: dict[str, Any]
    cost: str | None
    status: str = "priced"
    contract: str | None = None

    @property
    def name(self) -> str:
        return str(self.line["source_record_id"])


def case(
    name: str,
    provider: str,
    model: str,
    usage: tuple[int | None, int | None],
    cost: str | None,
    price_status: str = "priced",
    contract: str | None = None,
    **fields: Any,
) -> Case:
    return Case(call(name, provider, model, *usage, **fields), cost, price_status, contract)


CASES = [
    case(
        "A8 thoughts are in the candidates", "google", "gemini-2.5-flash", (100, 200), "0.00053", "parent_unit",
        reasoning_tokens=50, total_tokens=300,
    ),
    case(
        "A9 audio both ways", "openai", "gpt-audio-mini", (1200, 600), "0.02036",
        input_audio_tokens=1000, output_audio_tokens=500,
    ),
    case(
        "A10 images out", "google", "gemini-3-pro-image-preview", (326, 2340), "0.248776",
        output_image_tokens=2000, reasoning_tokens=337, total_tokens=3003,
    ),
    case("A11 no split", "openai", "gpt-audio-mini", (1200, 600), "0.00216", "parent_unit"),
    case("A11 no audio", "openai", "gpt-audio-mini", (1200, 600), "0.00216", input_audio_tokens=0),
    case("B17 downgraded", "openai", "gpt-5.6-sol", (10_000, 1000), "0.06", service_tier="default"),
    case("B18 unknown tier", "openai", "gpt-4o", (M, M), "12.50", "assumed_standard", service_tier="incentivized-tier"),
    case(
        "B19 flex without resources", "openai", "o3", (None, None), "0", "not_billed",
        service_tier="flex", status="error", http_status=429,
    ),
    case("B20 fast", "anthropic", "claude-opus-5", (100_000, 10_000), "1.50", service_tier="fast"),
    case("B20 not fast", "anthropic", "claude-opus-5", (100_000, 10_000), "0.75"),
    case("B21 searches", "anthropic", "claude-sonnet-4-5", (9548, 591), "0.057509", web_searches=2),
    case("B21 no price of a search", "openai", "acme-1", (9548, 0), None, "unpriced", web_searches=2),
    case("B24 in the US", "anthropic", "claude-opus-5", (100_000, 10_000), "0.825", region="us"),
    case("B24 elsewhere", "anthropic", "claude-opus-5", (100_000, 10_000), "0.75", region="mars"),
    case("B25 in the EU", "openai", "gpt-5.6-sol", (0, 2 * M), "44", region="EU"),
    case("B25 no host", "openai", "gpt-5.6-sol", (0, 2 * M), "40"),
    case("B25 no uplift", "openai", "gpt-4o", (M, M), "12.50", region="eu"),
    case("B26 peak", "deepseek", "deepseek-v4-flash", (M, M), "1.50", started_at="2026-11-20T03:00:00Z"),
    case("B26 off peak", "deepseek", "deepseek-v4-flash", (M, M), "0.75", started_at="2026-11-20T20:00:00Z"),
    case("B26 Saturday", "deepseek", "deepseek-v4-flash", (M, M), "0.75", started_at="2026-11-21T03:00:00Z"),
    case("B27 embeddings", "openai", "text-embedding-3-small", (50 * M, 0), "0.50", service_tier="batch"),
    case("C28 before", "openai", "o3", (M, M), "50", started_at="2025-06-09T23:59:59Z"),
    case("C28 after", "openai", "o3", (M, M), "10", started_at="2025-06-10T00:00:00Z"),
    case("C29 before", "openai", "gpt-5.6-sol", (10_000, 1000), "0.08", started_at="2026-08-20T23:59:59Z"),
    case("C29 at", "openai", "gpt-5.6-sol", (10_000, 1000), "0.06", started_at="2026-08-21T00:00:00Z"),
    case("C30 no rise", "anthropic", "claude-sonnet-5", (150_000, 20_000), "0.50", started_at="2026-09-02T10:00:00Z"),
    case("C31 not yet", "openai", "acme-1", (M, 0), "1", started_at="2026-12-31T23:59:59Z"),
    case("C31 then", "openai", "acme-1", (M, 0), "2", started_at="2027-01-01T00:00:00Z"),
    case("C34 retired", "anthropic", "claude-opus-4-1", (100_000, 10_000), "2.25", started_at="2025-09-01T10:00:00Z"),
    case("C35 by a gateway", "openrouter", "openai/gpt-5.6-sol", (100_000, 100_000), "1.20"),
    case("C35 direct", "openai", "gpt-5.6-sol", (100_000, 100_000), "2.40"),
    case("D37 dated", "openai", "gpt-4o-2024-05-13", (100_000, 10_000), "0.65"),
    case("D38 deployment", "azure", "audio-mini-prod", (M, M), "3.00", input_audio_tokens=0),
    case("D38 no mapping", "azure", "audio-maxi-prod", (1000, 100), None, "unpriced"),
    case("D39 unknown", "openai", "gpt-7", (37_400_000, 0), None, "unpriced"),
    case("D40 free", "openai", "acme-free", (M, M), "0", "free"),
    case(
        "D41 provider first", "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", (100_000, 10_000), "0.495",
    ),
    case("D42 moving name", "mistral", "mistral-large-latest", (100_000, 10_000), "0.065"),
    case("D43 profile", "bedrock", f"{PROFILE}abc", (100_000, 10_000), "0.495"),
    case("D43 no mapping", "bedrock", f"{PROFILE}zzz", (100_000, 10_000), None, "unpriced"),
    case(
        "G76 discount on tokens", "anthropic", "claude-opus-4-5", (0, 37_600_000), "1000", contract="887.20",
        web_searches=6000,
    ),
    case("G76 fixed price", "openai", "gpt-4.1", (M, M), "10", contract="9"),
    case("G76 of a cached answer", "openai", "gpt-4.1", (M, M), "0", "cache_hit", is_gateway_cache_hit=True),
    case("seconds", "groq", "whisper-large-v3", (None, None), "0.001888541667", audio_seconds=61.25),
]  # fmt: skip

SEARCHES_A_CALL, FREE_SEARCHES = 100, 10_000
GROUNDED = [
    call(
        f"B22 {number:03}", "google", "gemini-2.5-pro", web_searches=SEARCHES_A_CALL,
        started_at=f"2026-11-10T{number // 60:02}:{number % 60:02}:00Z",
    )
    for number in range(104)
]  # fmt: skip
NEXT_DAY = call("B22 next day", "google", "gemini-2.5-pro", web_searches=1, started_at="2026-11-11T00:00:00Z")
HIT = call(
    "B22 hit", "google", "gemini-2.5-pro", 1, 1, web_searches=9999, is_gateway_cache_hit=True,
    started_at="2026-11-10T00:00:00Z",
)  # fmt: skip
SMALL = [
    call(f"B14 {number}", "google", "gemini-2.5-pro", 10_000, 0, started_at="2026-11-12T10:00:00Z")
    for number in range(100)
]


def price(channel: str, model: str, unit: str, amount: str, valid_from: str, valid_to: str = "") -> dict[str, str]:
    return {
        "price_id": f"test-{channel}-{model}-{unit}-{valid_from}",
        "provider": "openai",
        "channel": channel,
        "model_id": model,
        "usage_unit": unit,
        "unit_size": "1000000",
        "unit_price": amount,
        "currency": "USD",
        "input_tokens_gt": "-1",
        "service_tier": "standard",
        "region_scope": "*",
        "valid_from": valid_from,
        "valid_to": valid_to,
        "valid_from_basis": "documented",
        "source": "override",
        "source_version": "1",
        "reason": "test",
    }


OVERRIDES = [
    price("openai", "acme-1", "input_tokens", "1", "2026-01-01", "2027-01-01"),
    price("openai", "acme-1", "input_tokens", "2", "2027-01-01"),
    price("openai", "acme-free", "input_tokens", "0", "2026-01-01"),
    price("openai", "acme-free", "output_tokens", "0", "2026-01-01"),
    price("openrouter", "openai/gpt-5.6-sol", "input_tokens", "2", "2026-01-01"),
    price("openrouter", "openai/gpt-5.6-sol", "output_tokens", "10", "2026-01-01"),
]
DISCOUNTS = """contract_id,channel,model_pattern,usage_unit,service_tier,discount_pct,unit_price,unit_size,\
stack_order,valid_from,valid_to,reason
frame,anthropic,claude-opus-4-5*,*_tokens,*,12,,,1,2026-01-01,,G76
fixed,openai,gpt-4.1,input_tokens,standard,,1,1000000,1,2026-01-01,,a fixed price
"""
DEPLOYMENTS = f"""channel,deployment,model_id,valid_from,valid_to
azure,audio-mini-prod,gpt-audio-mini,,
aws,{PROFILE}abc,regional.anthropic.claude-sonnet-4-5-20250929-v1:0,,
"""


def write_seeds(folder: Path) -> None:
    """The organisation's own seeds: prices that no list has beside those that come along, contract, deployments."""
    folder.mkdir()
    shipped = project_dir() / "seeds" / "prices" / "price_overrides.csv"
    with shipped.open(newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = reader.fieldnames or [], list(reader)
    with (folder / "price_overrides.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows([*rows, *OVERRIDES])
    (folder / "negotiated_discounts.csv").write_text(DISCOUNTS)
    (folder / "model_deployments.csv").write_text(DEPLOYMENTS)


@dataclass(frozen=True)
class Warehouse:
    connection: duckdb.DuckDBPyConnection
    report: BuildReport

    def fact(self, record_id: str, *columns: str) -> tuple[Any, ...]:
        """The one row of a record."""
        (row,) = self.connection.execute(
            f"select {', '.join(columns)} from llm_spend.fct_llm_requests where source_record_id = ?", [record_id]
        ).fetchall()
        return tuple(row)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    root = tmp_path_factory.mktemp("acceptance_prices")
    destination = DuckDb(root / "prices.duckdb")
    write_seeds(root / "seeds")
    lines = [*(each.line for each in CASES), *GROUNDED, NEXT_DAY, HIT, *SMALL]
    (root / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = {name: name for name in (*COLUMNS, *OTHER_USAGE)}
    load_logs("generic", str(root / "log.jsonl"), destination, mapping=Mapping(columns=columns, instance="prices"))
    report = build(destination, seeds=root / "seeds")
    with duckdb.connect(str(destination.database), read_only=True) as connection:
        yield Warehouse(connection, report)


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_cost(warehouse: Warehouse, each: Case) -> None:
    costs = warehouse.fact(each.name, "list_cost_usd", "contract_cost_usd", "cost_usd", "price_status")
    listed = None if each.cost is None else Decimal(each.cost)
    contract = listed if each.contract is None else Decimal(each.contract)
    assert costs == (listed, contract, contract, each.status)
    known = {"cache_hit": "cache_hit", "not_billed": "not_billed", "unpriced": "unknown"}
    basis = "contract" if each.contract else known.get(each.status, "list")
    assert warehouse.fact(each.name, "cost_basis") == (basis,)


# Uncached input, cache read, cache write, output, other.
@pytest.mark.parametrize(
    ("name", "costs"),
    [
        ("A9 audio both ways", "0.01012 0 0 0.01024 0"),
        ("A10 images out", "0.000652 0 0 0.248124 0"),
        ("B19 flex without resources", "0 0 0 0 0"),
        ("B21 searches", "0.028644 0 0 0.008865 0.02"),
        ("G76 discount on tokens", "0 0 0 827.2 60"),
        ("G76 of a cached answer", "0 0 0 0 0"),
        ("seconds", "0 0 0 0 0.001888541667"),
        ("B21 no price of a search", None),
    ],
)
def test_cost_by_class_of_tokens(warehouse: Warehouse, name: str, costs: str | None) -> None:
    columns = [f"{part}_cost_usd" for part in PARTS]
    expected = tuple(map(Decimal, costs.split())) if costs else (None,) * len(PARTS)
    assert warehouse.fact(name, *columns) == expected


def test_a8_the_output_is_what_the_total_leaves(warehouse: Warehouse) -> None:
    columns = ("output_tokens", "reasoning_tokens", "total_tokens")
    assert warehouse.fact("A8 thoughts are in the candidates", *columns) == (200, 50, 300)


def test_a9_audio_is_told_apart(warehouse: Warehouse) -> None:
    columns = ("uncached_input_tokens", "input_audio_tokens", "output_tokens", "output_audio_tokens", "total_tokens")
    assert warehouse.fact("A9 audio both ways", *columns) == (1200, 1000, 600, 500, 1800)


def test_b14_small_requests_never_reach_a_threshold_together(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        "select sum(cost_usd), sum(input_tokens) from llm_spend.llm_usage_by_model_daily"
        " where usage_date = '2026-11-12'"
    )
    assert found == [(Decimal("1.25"), M)]


def test_b22_the_first_searches_of_a_day_are_free(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        "select source_record_id, list_cost_usd, contract_cost_usd from llm_spend.fct_llm_requests"
        " where source_record_id similar to 'B22 [0-9]+' order by started_at"
    )
    assert sum(listed for _, listed, _ in found) == sum(contract for *_, contract in found) == Decimal("14.00")
    free = [name for name, listed, _ in found if listed == 0]
    assert free == [line["source_record_id"] for line in GROUNDED[: FREE_SEARCHES // SEARCHES_A_CALL]]
    assert warehouse.fact("B22 100", "cost_usd", "price_status", "web_searches") == (Decimal("3.5"), "priced", 100)
    assert warehouse.fact("B22 next day", "cost_usd", "price_status") == (Decimal(0), "free")


def test_b22_the_gateways_own_cache_uses_nothing_up(warehouse: Warehouse) -> None:
    assert warehouse.fact("B22 hit", "cost_usd", "price_status") == (Decimal(0), "cache_hit")


def test_c32_the_basis_of_a_price_is_kept(warehouse: Warehouse) -> None:
    assert warehouse.fact("D39 unknown", "pricing_basis") == (None,)
    (basis,) = warehouse.fact("D37 dated", "pricing_basis")
    assert basis.startswith("genai-prices ")


def test_d38_d39_a_model_without_a_price_is_listed_with_what_helps(warehouse: Warehouse) -> None:
    found = {
        name: rest
        for name, *rest in warehouse.rows(
            "select resolved_model, channel, unpriced_tokens, first_seen_at, last_seen_at, seed_file, seed_line"
            " from llm_spend.llm_unpriced_models"
        )
    }
    at = datetime(2026, 11, 20, 10)
    overrides = "prices/price_overrides.csv"
    assert set(found) == {"gpt-7", "audio-maxi-prod", f"{PROFILE}zzz", "acme-1"}
    assert found["gpt-7"] == [
        "openai", 37_400_000, at, at, overrides,
        "override-gpt-7-input_tokens,openai,openai,gpt-7,input_tokens,1000000,FILL_IN,USD,-1,standard,*,,,,,2026-11-20,,"
        "documented,override,1,FILL_IN,FILL_IN",
    ]  # fmt: skip
    assert found["audio-maxi-prod"][-2:] == ["mapping/model_deployments.csv", "azure,audio-maxi-prod,FILL_IN,,"]
    assert found["acme-1"][-1].split(",")[3:6] == ["acme-1", "FILL_IN", "FILL_IN"]


def test_d39_the_line_to_paste_has_the_columns_of_its_seed(warehouse: Warehouse) -> None:
    lines = warehouse.rows("select seed_file, seed_line from llm_spend.llm_unpriced_models where seed_file is not null")
    assert lines
    for file, text in lines:
        header, *rows = csv.reader([(project_dir() / "seeds" / file).read_text().splitlines()[0], *text.splitlines()])
        assert rows and all(len(row) == len(header) for row in rows)
        if file == "prices/price_overrides.csv":
            line = dict(zip(header, rows[0], strict=True))
            assert (line["currency"], line["valid_from"], line["unit_price"]) == ("USD", "2026-11-20", "FILL_IN")


def test_d39_a_test_fails_and_hides_nothing(warehouse: Warehouse) -> None:
    (failed,) = warehouse.report.failed_tests
    assert failed.startswith("assert_unpriced_token_share")
    assert "gpt-7" in failed
    assert (warehouse.report.failures, warehouse.report.skipped) == ((), 0)
    assert warehouse.rows("select count(*) > 0 from llm_spend.llm_chargeback_lines") == [(True,)]


def test_d41_d44_how_a_name_was_understood_is_told(warehouse: Warehouse) -> None:
    columns = ("provider", "channel", "model_id", "model_matched_by")
    assert warehouse.fact("D37 dated", *columns) == ("openai", "openai", "gpt-4o-2024-05-13", "equals")
    provider, channel, _, how = warehouse.fact("D41 provider first", *columns)
    assert (provider, channel, how) == ("anthropic", "aws", "contains")
    assert warehouse.fact("D38 deployment", "model_matched_by") == ("deployment, listed by openai",)


def test_g76_list_and_contract_stand_side_by_side_in_the_statement(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        "select amount_usd, cost_basis from llm_spend.llm_chargeback_lines where model_id = 'claude-opus-4-5'"
    )
    assert found == [(Decimal("887.20"), "contract")]
