"""The price book alone, built by dbt in a temporary DuckDB: the models that need nothing but seeds and model names."""

import csv
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from tests.dbt_fork import run_dbt

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"

COPIED = (
    "docs",
    "macros",
    "tests/generic",
    "tests/prices",
    "seeds",
    "models/intermediate/pricing",
)
STAGING = (
    "stg_prices__*",
    "stg_rules__period_close*",
    "stg_mapping__provider_names*",
    "stg_mapping__model_deployments*",
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

BUCKETS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
MEMOS = {
    "reasoning_tokens": "output_tokens",
    "output_audio_tokens": "output_tokens",
    "output_image_tokens": "output_tokens",
    "output_video_tokens": "output_tokens",
    "input_audio_tokens": "input_tokens",
    "input_image_tokens": "input_tokens",
    "input_video_tokens": "input_tokens",
    "cache_read_audio_tokens": "cache_read_tokens",
    "cache_read_image_tokens": "cache_read_tokens",
}
"""Parts of a bucket, by the bucket."""
BESIDE_TOKENS = (
    "web_searches",
    "file_searches",
    "audio_seconds",
    "pages",
    "annotated_pages",
    "input_characters",
    "text_messages",
)
UNITS = (*BUCKETS, *MEMOS, *BESIDE_TOKENS)
CLASSES = {
    "input_tokens": "uncached_input",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write",
    "cache_write_1h_tokens": "cache_write",
    "output_tokens": "output",
}
"""Which part of a cost is that of a bucket."""
PARTS = (*dict.fromkeys(CLASSES.values()), "other")

# What int_requests_unioned says of requests, and the macro that prices them for the fact.
REQUESTS = """
with cases as (
    select * from read_csv('{file}', header = true, all_varchar = true)
),

requests as (
    select
        cast(number as bigint) as request_key,
        'test' as source_system,
        provider as raw_provider,
        name as raw_model,
        cast(started as timestamp) as started_at,
        cast(cast(started as timestamp) as date) as usage_date,
        tier as service_tier,
        region,
        'success' as status,
        'chat' as operation,
        200 as http_status,
        'complete' as token_quality,
        false as is_gateway_cache_hit,
        true as is_other_usage_known,
        cast(has_other_usage as boolean) as has_other_usage,
        cast(input as bigint) as input_tokens,
        cast(input as bigint) + coalesce(cast(output_tokens as bigint), 0) as total_tokens,
        coalesce(cast(input_tokens as bigint), 0) as uncached_input_tokens,
        {buckets},
        {others}
    from cases
),

priced as (
    {{{{ llm_spend.price_requests('requests', 'requests') }}}}
),

final as (
    select
        request_key,
        channel,
        model_id,
        price_status,
        list_cost_usd,
        contract_cost_usd,
        {parts}
    from priced
)

select * from final
"""

Name = tuple[str, str, str]
"""Source system, provider and model as a log says them."""


@dataclass(frozen=True)
class Request:
    """One request of a provider, with its usage by unit: disjoint buckets, memos inside of them, and the rest."""

    number: int
    provider: str
    model: str
    at: datetime
    tier: str = "standard"
    region: str = ""
    usage: Mapping[str, int | Decimal] = field(default_factory=dict)

    @property
    def input_tokens(self) -> int:
        return int(sum(self.usage.get(unit, 0) for unit in BUCKETS if unit != "output_tokens"))

    @property
    def has_other_usage(self) -> bool:
        return any(unit not in BUCKETS and unit != "reasoning_tokens" for unit in self.usage)


@dataclass(frozen=True)
class Priced:
    channel: str | None
    model_id: str | None
    status: str
    cost: Decimal | None
    contract_cost: Decimal | None
    parts: Mapping[str, Decimal | None]
    """Of the contract cost."""


class PriceProject:
    """A dbt project in `root` with the committed seeds, of which any can be replaced before it is built."""

    def __init__(self, root: Path, names: Iterable[Name] = (("test", "openai", "gpt-4o"),)) -> None:
        self.root = root
        self.folder = root / "dbt_project"
        self.database = root / "warehouse.duckdb"
        self.folder.mkdir()
        for name in ("dbt_project.yml", "profiles.yml"):
            shutil.copy(PROJECT / name, self.folder / name)
        for name in COPIED:
            shutil.copytree(PROJECT / name, self.folder / name)
        staging = self.folder / "models/staging/reference"
        staging.mkdir(parents=True)
        for pattern in STAGING:
            for path in (PROJECT / "models/staging/reference").glob(pattern):
                shutil.copy(path, staging / path.name)
        for path in (PROJECT / "models/intermediate").glob("int_basis.*"):
            shutil.copy(path, self.folder / "models/intermediate" / path.name)
        (self.folder / "models/intermediate/int_model_names.sql").write_text(STAND_IN)
        with (self.folder / "seeds/names.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("source_system", "raw_provider", "raw_model"), *sorted(set(names))])
        (self.folder / "seeds/names.yml").write_text(SEED_YAML)

    def seed(self, name: str) -> Path:
        """The file of a seed."""
        (path,) = (self.folder / "seeds").glob(f"**/{name}.csv")
        return path

    def write(self, name: str, rows: Iterable[Mapping[str, object]], *, keep: bool = True) -> None:
        """Add rows to a seed, by column name; without `keep` they are all it has."""
        path = self.seed(name)
        header = path.read_text().split("\n", 1)[0].split(",")
        with path.open("a" if keep else "w", newline="") as file:
            writer = csv.DictWriter(file, header, lineterminator="\n")
            if not keep:
                writer.writeheader()
            writer.writerows({column: row.get(column, "") for column in header} for row in rows)

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = ("--profiles-dir", ".", "--target-path", self.root / "target", "--log-path", self.root / "logs")
        own = {
            "LLM_SPEND_DATABASE": str(self.database),
            "LLM_SPEND_DESTINATION": "duckdb",
            "LLM_SPEND_DBT_SEEDS": "seeds",
        }
        return run_dbt(*arguments, *places, folder=self.folder, environment={**os.environ, **own})

    def build(self, *arguments: str) -> None:
        """`dbt build`, which must succeed."""
        result = self.dbt("build", "--quiet", *arguments)
        assert result.returncode == 0, result.stdout[-6000:]

    def price(self, requests: Sequence[Request]) -> None:
        """Have the next build price `requests`, as the fact does it."""
        file = self.root / "requests.csv"
        with file.open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(
                ["number", "provider", "name", "started", "tier", "region", "has_other_usage", "input", *UNITS]
            )
            for one in requests:
                head = (one.number, one.provider, one.model, one.at, one.tier, one.region, one.has_other_usage)
                writer.writerow([*head, one.input_tokens, *(one.usage.get(unit, "") for unit in UNITS)])
        buckets = [f"coalesce(cast({unit} as bigint), 0) as {unit}" for unit in (*BUCKETS[1:], "reasoning_tokens")]
        others = [
            f"cast({unit} as {'decimal(18, 3)' if unit == 'audio_seconds' else 'bigint'}) as {unit}"
            for unit in UNITS[len(BUCKETS) :]
            if unit != "reasoning_tokens"
        ]
        separator = ",\n        "
        parts = [f"{part}_cost_usd" for part in PARTS]
        columns = {"buckets": buckets, "others": others, "parts": parts}
        model = REQUESTS.format(file=file, **{name: separator.join(each) for name, each in columns.items()})
        (self.folder / "models/intermediate/priced_requests.sql").write_text(model)

    def priced(self) -> dict[int, Priced]:
        """The requests after the build, by number. Fails when one of them found more than one price."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            rows = connection.sql("select * from llm_spend_internal.priced_requests").fetchall()
        found = {row[0]: Priced(*row[1:6], dict(zip(PARTS, row[6:], strict=True))) for row in rows}
        assert len(found) == len(rows), "a request has more than one price"
        return found
