"""The bills as files, `bills/<provider>/{usage,costs}.jsonl.gz`, and the seeds that say whose keys are whose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from llm_spend.demo.bills import ACCOUNT, KEYS, Bill, Bucket, Charge
from llm_spend.demo.chargeback import UNITS_PER_CENT
from llm_spend.demo.files import Record, dumps, write_gzip
from llm_spend.demo.meter import BILLED
from llm_spend.demo.organisation import FOUNDED, write_csv
from llm_spend.demo.pricing import usd_text

_NAMES = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "o4-mini": "o4-mini-2025-04-16",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}
"""Providers answer with the dated names of their models."""

_ASKED_AT = time(6, tzinfo=UTC)

_CONTEXT_WINDOWS = {"gpt-5.6-sol": "0-272k", "claude-sonnet-4-5": "0-200k", "claude-haiku-4-5": "0-200k"}
"""No request was longer than this, so that none cost more for its length."""

_OPENAI_KINDS = {"input": "input", "cache_read": "cached input", "output": "output"}
_ANTHROPIC_KINDS = {
    "input": "uncached_input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "output": "output_tokens",
}
_USAGE_GROUPING = {
    "openai": "api_key_id,batch,context_window,model,project_id,region,service_tier",
    "anthropic": "api_key_id,context_window,model,service_tier,workspace_id",
}
_COSTS_GROUPING = {
    "openai": "api_key_id,line_item,project_id",
    "anthropic": "api_key_id,context_window,cost_type,model,service_tier,token_type,workspace_id",
}
_COUNTS = (
    "requests", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "output_tokens", "total_tokens",
)  # fmt: skip


def write(bill: Bill, folder: Path, asked_on: date) -> None:
    """Writes the files of all providers, with the time of that day: what a bill has of a day depends on when it is."""
    asked_at = datetime.combine(asked_on, _ASKED_AT).timestamp()
    for provider in sorted(BILLED):
        buckets = [bucket for bucket in bill.buckets if bucket.key.provider == provider]
        buckets.sort(key=lambda bucket: (bucket.day, bucket.key.api_key_id, bucket.model_id))
        charges = [charge for charge in bill.charges if charge.provider == provider]
        usage = [_usage(bucket) for bucket in buckets]
        costs = [row for bucket in buckets if bucket.is_billed for row in _costs(bucket)]
        costs += [_charge(charge) for charge in charges]
        for name, rows in (
            ("usage", [*usage, *_controls(usage, ("usage_type",), _COUNTS)]),
            ("costs", [*costs, *_controls(costs, ("cost_unit", "currency"), ("amount",))]),
        ):
            path = folder / provider / f"{name}.jsonl.gz"
            write_gzip(path, map(dumps, rows))
            os.utime(path, (asked_at, asked_at))


def _bucket(provider: str, day: date, profile: str, grouping: str) -> Record:
    return {
        "provider": provider,
        "bucket_start": f"{day}T00:00:00Z",
        "bucket_end": f"{day + timedelta(days=1)}T00:00:00Z",
        "settles_at": f"{day + timedelta(days=1)}T00:00:00Z",
        "profile": profile,
        "grouping": grouping,
    }


def _used(bucket: Bucket, grouping: dict[str, str]) -> Record:
    """What both files say of a bucket; OpenAI's costs name the model in their line item only."""
    key = bucket.key
    return {
        **_bucket(key.provider, bucket.day, "primary", grouping[key.provider]),
        "project_id": key.project_id,
        "api_key_id": key.api_key_id,
    }


def _dimensions(bucket: Bucket) -> Record:
    return {
        "model": _NAMES.get(bucket.model_id, bucket.model_id),
        "service_tier": "batch" if bucket.key.is_batch else "standard",
        "context_window": _CONTEXT_WINDOWS.get(bucket.model_id),
    }


def _usage(bucket: Bucket) -> Record:
    tokens = bucket.tokens
    of_openai = "embeddings" if "embedding" in bucket.model_id else "completions"
    return {
        **_used(bucket, _USAGE_GROUPING),
        **_dimensions(bucket),
        "region": bucket.key.region,
        "usage_type": of_openai if bucket.key.provider == "openai" else "messages",
        "requests": bucket.requests,
        "input_tokens": tokens.input,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_5m_tokens": tokens.cache_write_5m,
        "cache_write_1h_tokens": tokens.cache_write_1h,
        "output_tokens": tokens.output,
        "total_tokens": tokens.total,
    }


def _costs(bucket: Bucket) -> list[Record]:
    """A line for each kind of tokens, in dollars or, as Anthropic has it, in cents."""
    same = _used(bucket, _COSTS_GROUPING)
    if bucket.key.provider == "openai":
        name = f"{_NAMES.get(bucket.model_id, bucket.model_id)}{', batch' if bucket.key.is_batch else ''}"
        return [
            {**same, "line_item": f"{name}, {_OPENAI_KINDS[kind]}", **_money(units)}
            for kind, units in bucket.amounts.items()
        ]
    return [
        {
            **same,
            **_dimensions(bucket),
            "cost_type": "tokens",
            "token_type": _ANTHROPIC_KINDS[kind],
            **_money(units, per_unit=100),
        }
        for kind, units in bucket.amounts.items()
    ]


def _charge(charge: Charge) -> Record:
    return {
        **_bucket(charge.provider, charge.day, "primary", _COSTS_GROUPING[charge.provider]),
        "line_item": charge.description,
        "charge_category": charge.category,
        **_money(charge.units),
    }


def _money(units: int, per_unit: int = 1) -> Record:
    """Amounts are text, so that no reader makes a float of them."""
    return {
        "amount": usd_text(units * per_unit),
        "cost_unit": "cent" if per_unit == 100 else "unit",
        "currency": "USD",
    }


def _controls(rows: Iterable[Record], same: Sequence[str], sums: Sequence[str]) -> list[Record]:
    """The totals of each day as they come back when nobody asks for groups."""
    totals: dict[tuple[str, ...], Record] = {}
    for row in rows:
        known = totals.setdefault(
            (row["bucket_start"], *(row[name] for name in same)),
            {
                **_bucket(row["provider"], date.fromisoformat(row["bucket_start"][:10]), "control", ""),
                **{name: row[name] for name in same},
                **dict.fromkeys(sums, 0),
            },
        )
        for name in sums:
            known[name] += Decimal(row[name]) if isinstance(row[name], str) else row[name]
    return [
        {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in total.items()}
        for total in totals.values()
    ]


def write_seeds(bill: Bill, folder: Path) -> None:
    """Whose keys are whose, who pays for those of no gateway, and what only invoices and contracts say."""
    since = FOUNDED.isoformat()
    accounts = [
        [key.provider, ACCOUNT, key.project_id, key.api_key_id, *key.gateway, since, "", ""]
        for key in KEYS
        if key.gateway is not None
    ]
    owners = [
        [key.provider, ACCOUNT, key.project_id, key.api_key_id, "", key.owner_team, "", since, ""]
        for key in KEYS
        if key.owner_team is not None
    ]
    invoices = [
        [charge.month.isoformat(), charge.provider, ACCOUNT, f"INV-{charge.month:%Y%m}", charge.day.isoformat(),
         charge.category, charge.description, usd_text(charge.units), "USD", ""]
        for charge in bill.invoiced
    ]  # fmt: skip
    seats = [
        [each.provider, ACCOUNT, each.product, str(each.count), usd_text(each.cents * UNITS_PER_CENT), "USD",
         each.team_id, "", each.valid_from.isoformat(), each.valid_to.isoformat()]
        for each in bill.seats
    ]  # fmt: skip
    for name, header, rows in (
        ("provider_accounts", "provider,provider_instance,project_id,api_key_id,source_system,source_instance,"
         "valid_from,valid_to,note", accounts),
        ("provider_owners", "provider,provider_instance,project_id,api_key_id,user_id,team_id,cost_center_id,"
         "valid_from,valid_to", owners),
        ("provider_invoices", "billing_period,provider,provider_instance,invoice_id,invoice_date,charge_category,"
         "description,amount,currency,usd_per_unit", invoices),
        ("seats", "provider,provider_instance,product,seats,price_per_seat,currency,team_id,cost_center_id,"
         "valid_from,valid_to", seats),
    ):  # fmt: skip
        write_csv(folder / f"{name}.csv", header.split(","), rows)
