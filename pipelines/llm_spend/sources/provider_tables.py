"""Raw tables of what providers say: usage by their own count, and what they bill.

Every provider's source writes the same two tables. Its rows are shaped by the source, one flat JSON object each, with
the columns below as its fields.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_spend.readers.records import LogFormat
from llm_spend.schema import Kind
from llm_spend.sources.shared_tables import listed_format

_BUCKET: Mapping[str, Kind] = {
    "provider": "text",
    "bucket_start": "timestamp",
    "bucket_end": "timestamp",
    "settles_at": "timestamp",
    "profile": "text",
    "grouping": "text",
    "occurrence": "bigint",
    "project_id": "text",
    "api_key_id": "text",
    "user_id": "text",
    "customer_id": "text",
    "model": "text",
    "service_tier": "text",
    "region": "text",
    "context_window": "text",
    "dimensions": "json",
}
"""Where a row belongs, in both tables.

`settles_at`: from when on the provider is not expected to revise the bucket. `profile`: `primary` feeds the measures,
`control` is the same total asked for without grouping, others are second views of the same money. `grouping`: the
dimensions that were asked for, sorted, with commas, so that "not asked for" differs from "nobody". `occurrence` tells
rows with the same dimensions apart.
"""

_USAGE: Mapping[str, Kind] = {
    **_BUCKET,
    "usage_type": "text",
    "requests": "bigint",
    "input_tokens": "bigint",
    "cache_read_tokens": "bigint",
    "cache_write_5m_tokens": "bigint",
    "cache_write_1h_tokens": "bigint",
    "output_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "total_tokens": "bigint",
    "other_usage": "json",
    "estimated_amount": "money",
    "cost_unit": "text",
    "currency": "text",
    "data_refreshed_at": "timestamp",
    "raw": "json",
}

_COSTS: Mapping[str, Kind] = {
    **_BUCKET,
    "line_item": "text",
    "cost_type": "text",
    "token_type": "text",
    "charge_category": "text",
    "quantity": "money",
    "quantity_unit": "text",
    "requests": "bigint",
    "amount": "money",
    "list_amount": "money",
    "cost_unit": "text",
    "currency": "text",
    "is_cash": "bool",
    "data_refreshed_at": "timestamp",
    "raw": "json",
}

_REQUIRED = ("provider", "bucket_start", "bucket_end", "profile")


def usage_format(source: str) -> LogFormat:
    """Usage as a provider counts it, a row a bucket and group: `provider__usage`. Input includes the cache."""
    return listed_format(source, "provider__usage", _USAGE, required=(*_REQUIRED, "usage_type"))


def costs_format(source: str) -> LogFormat:
    """What a provider bills, a row a bucket and group: `provider__costs`.

    `cost_unit`: what `amount` counts, `unit` for the currency itself, `cent` for hundredths of it.
    """
    return listed_format(source, "provider__costs", _COSTS, required=(*_REQUIRED, "amount", "cost_unit", "currency"))


PROVIDER_FORMATS: tuple[LogFormat, ...] = (usage_format("provider"), costs_format("provider"))
"""The tables of this module."""
