"""Model names and prices, resolved by dbt in a temporary DuckDB, compared as exact Decimals."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"

COPIED = (
    "docs",
    "macros/cross_db",
    "macros/reference",
    "tests/generic",
    "seeds/prices",
    "models/intermediate/pricing",
)

STAND_IN = """
select
    source_system,
    nullif(raw_provider, '') as raw_provider,
    nullif(raw_model, '') as raw_model
from {{ ref('names') }}
"""
SEED_YAML = """
version: 2
seeds:
  - name: names
    config:
      column_types: {source_system: string, raw_provider: string, raw_model: string}
"""

# A private name that moved to another model, and one that the data set has never heard of.
DEPLOYMENTS = """channel,deployment,model_id,valid_from,valid_to
azure,chat-prod,gpt-4o,2026-01-01,2026-06-01
azure,chat-prod,gpt-4.1,2026-06-01,
azure,audio-mini-prod,gpt-audio-mini,,
aws,arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123,regional.anthropic.claude-sonnet-4-5-20250929-v1:0,,
"""
FREE = (
    "free-1,acme,openai,Acme-Free,{unit},1000000,0,USD,-1,standard,*,2026-01-01,,documented,override,1,free,https://x\n"
)


@dataclass(frozen=True)
class Request:
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

    @property
    def input(self) -> int:
        return self.uncached + self.cache_read + self.write_5m + self.write_1h


NOV = "2026-11-20"
M = 1_000_000
REQUESTS = [
    Request("A1 cached input", "openai", "gpt-4o", NOV, "0.005615", uncached=86, cache_read=1920, output=300),
    Request(
        "A3 both cache writes",
        "anthropic",
        "claude-sonnet-4-5",
        NOV,
        "0.5025",
        uncached=10_000,
        write_5m=30_000,
        write_1h=60_000,
    ),
    Request("A5 only cache reads", "anthropic", "claude-haiku-4-5-20251001", NOV, "0.10", cache_read=M),
    Request(
        "A6 reasoning is output",
        "openai",
        "gpt-5-mini",
        NOV,
        "0.0005837",
        uncached=538,
        cache_read=2208,
        output=197,
    ),
    Request("A7 thoughts are output", "google", "gemini-2.5-flash", NOV, "0.0025545", uncached=15, output=1020),
    Request("B13 under", "google", "gemini-2.5-pro", NOV, "0.25999875", uncached=199_999, output=1000),
    Request("B13 at", "google", "gemini-2.5-pro", NOV, "0.26", uncached=200_000, output=1000),
    Request("B13 over", "google", "gemini-2.5-pro", NOV, "0.5150025", uncached=200_001, output=1000),
    Request(
        "B13 cached input counts",
        "google",
        "gemini-2.5-pro",
        NOV,
        "0.0500025",
        uncached=1,
        cache_read=200_000,
    ),
    Request("B15 before", "anthropic", "claude-opus-4-6", "2026-03-12", "3.0375", uncached=300_000, output=1000),
    Request("B15 after", "anthropic", "claude-opus-4-6", "2026-03-13", "1.525", uncached=300_000, output=1000),
    Request("B16 batch", "openai", "o3", "2026-06-01", "5", tier="batch", uncached=M, output=M),
    Request("B20 fast", "anthropic", "claude-opus-5", NOV, "1.50", tier="fast", uncached=100_000, output=10_000),
    Request(
        "B23 global",
        "bedrock",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        NOV,
        "0.45",
        uncached=100_000,
        output=10_000,
    ),
    Request(
        "B23 regional",
        "bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        NOV,
        "0.495",
        uncached=100_000,
        output=10_000,
    ),
    Request("B26 by time of day", "deepseek", "deepseek-v4-flash", NOV, None, uncached=M, output=M),
    Request("B27 embeddings", "openai", "text-embedding-3-small", NOV, "0.50", tier="batch", uncached=50 * M),
    Request("embeddings have no output", "openai", "text-embedding-3-small", NOV, None, uncached=1, output=1),
    Request("C28 before", "openai", "o3", "2025-06-09 23:59:59.999", "50", uncached=M, output=M),
    Request("C28 after", "openai", "o3", "2025-06-10", "10", uncached=M, output=M),
    Request("C29 before", "openai", "gpt-5.6-sol", "2026-08-20 23:59:59", "0.08", uncached=10_000, output=1000),
    Request("C29 at", "openai", "gpt-5.6-sol", "2026-08-21 00:00:00", "0.06", uncached=10_000, output=1000),
    Request("D37 dated version", "openai", "gpt-4o-2024-05-13", NOV, "0.65", uncached=100_000, output=10_000),
    Request("D38 deployment", "azure-openai", "audio-mini-prod", NOV, "3.00", uncached=M, output=M),
    Request("D38 no mapping", "azure-openai", "audio-maxi-prod", NOV, None, uncached=1),
    Request("D39 unknown", "openai", "gpt-7", NOV, None, uncached=37_400_000),
    Request("D40 free", "openai", "acme-free", NOV, "0", uncached=M, output=M),
    Request(
        "D41 provider first",
        "vertex-ai",
        "us.anthropic.claude-sonnet-4-5",
        NOV,
        "0.45",
        uncached=100_000,
        output=10_000,
    ),
    Request("D42 withheld", "mistral-ai", "mistral-large-latest", NOV, None, uncached=100_000, output=10_000),
    Request(
        "D43 profile",
        "bedrock",
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123",
        NOV,
        "3.30",
        uncached=M // 10,
        output=180_000,
    ),
    Request(
        "D43 no mapping",
        "bedrock",
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/zzz",
        NOV,
        None,
        uncached=1,
    ),
    Request("deployment then", "azure", "chat-prod", "2026-05-31 23:59:59", "12.50", uncached=M, output=M),
    Request("deployment now", "azure", "chat-prod", "2026-06-01", "10", uncached=M, output=M),
    Request("deployment not yet", "azure", "chat-prod", "2025-12-31", None, uncached=M, output=M),
    Request("gpt-4o", "openai", "gpt-4o", NOV, "12.50", uncached=M, output=M),
    Request("azure gpt-4o", "azure", "gpt-4o", NOV, "12.50", uncached=M, output=M),
    Request(
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
    Request("gemini-2.5-flash", "gemini", "gemini-2.5-flash", NOV, "2.83", uncached=M, cache_read=M, output=M),
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
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("price_book")
    project = root / "dbt_project"
    project.mkdir()
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, project / name)
    for folder in COPIED:
        shutil.copytree(PROJECT / folder, project / folder)
    for pattern in ("stg_prices__*", "stg_mapping__provider_names*", "stg_mapping__model_deployments*"):
        for path in (PROJECT / "models/staging/reference").glob(pattern):
            target = project / path.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    mapping = project / "seeds/mapping"
    mapping.mkdir()
    for name in ("provider_names.csv", "_mapping.yml"):
        shutil.copy(PROJECT / "seeds/mapping" / name, mapping / name)
    (mapping / "model_deployments.csv").write_text(DEPLOYMENTS)
    with (project / "seeds/prices/price_overrides.csv").open("a") as file:
        for unit in ("input_tokens", "output_tokens"):
            file.write(FREE.format(unit=unit))
    names = {
        *(("test", request.provider, request.model) for request in REQUESTS),
        *(("test", *name) for name in RESOLUTIONS),
        *(("upstream", *name) for name in upstream_names()),
    }
    with (project / "seeds/names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("source_system", "raw_provider", "raw_model"), *sorted(names)])
    (project / "seeds/names.yml").write_text(SEED_YAML)
    (project / "models/intermediate/int_model_names.sql").write_text(STAND_IN)
    database = root / "warehouse.duckdb"
    result = subprocess.run(
        [
            Path(sys.executable).parent / "dbt",
            "build",
            "--profiles-dir",
            ".",
            "--target-path",
            root / "target",
            "--log-path",
            root / "logs",
        ],
        cwd=project,
        env={
            **os.environ,
            "LLM_SPEND_DATABASE": str(database),
            "LLM_SPEND_DESTINATION": "duckdb",
            "LLM_SPEND_DBT_SEEDS": "seeds",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:]
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


COST = """
select
    case when count(*) > 1 then error('more than one price') end,
    any_value(
        {uncached} * coalesce(input_price, case when {uncached} = 0 then 0 end)
        + {cache_read} * coalesce(cache_read_price, case when {cache_read} = 0 then 0 end)
        + {write_5m} * coalesce(cache_write_5m_price, case when {write_5m} = 0 then 0 end)
        + {write_1h} * coalesce(cache_write_1h_price, case when {write_1h} = 0 then 0 end)
        + {output} * coalesce(output_price, case when {output} = 0 then 0 end)
    )
from llm_spend_internal.int_model_resolution as names
inner join llm_spend_internal.int_price_book as book
    on names.channel = book.channel
    and names.model_id = book.model_id
    and book.service_tier = $tier
    and {input} > book.input_tokens_gt and {input} <= book.input_tokens_lte
    and $at >= book.valid_from and $at < book.valid_to
where
    names.source_system = 'test' and names.raw_provider = $provider and names.raw_model = $model
    and $at >= names.valid_from and $at < names.valid_to
"""


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.case)
def test_cost(warehouse: duckdb.DuckDBPyConnection, request_: Request) -> None:
    counts = {name: getattr(request_, name) for name in ("uncached", "cache_read", "write_5m", "write_1h", "output")}
    ((_, cost),) = warehouse.execute(
        COST.format(**counts, input=request_.input),
        {
            "tier": request_.tier,
            "at": datetime.fromisoformat(request_.at),
            "provider": request_.provider,
            "model": request_.model,
        },
    ).fetchall()
    assert cost is None or isinstance(cost, Decimal)
    assert cost == (None if request_.cost is None else Decimal(request_.cost))


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
        ).fetchall()
    }
    differences = []
    for channel, name in upstream_names():
        model = catalogues[channel].find_model(name, all_providers=data.providers)
        found, how = ours[channel, name]
        # A dated version of a known model that upstream doesn't list: ours takes the undated one and says so.
        if how is not None and how.startswith("date_suffix") and model is None:
            continue
        if found != (model.id if model else None):
            differences.append((channel, name, model.id if model else None, found, how))
    assert differences == []
