"""Raw tables that several sources write: requests of every open format, and what gateways know besides requests.

The loader fills a table of rows that an API lists with the moment of the question, `observed_at`. Rows of these lists
are shaped by their sources, one flat JSON object each, with the columns below as its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from llm_spend.readers.records import Inside, LogFormat, Unnest
from llm_spend.readers.sql import field, quote, typed, unknown
from llm_spend.schema import Column, Kind

REQUESTS: Mapping[str, Kind] = {
    "source_record_id": "text",
    "started_at": "timestamp",
    "source_updated_at": "timestamp",
    "logical_request_id": "text",
    "trace_id": "text",
    "provider_response_id": "text",
    "provider": "text",
    "raw_model": "text",
    "requested_model": "text",
    "operation": "text",
    "status": "text",
    "http_status": "bigint",
    "error_type": "text",
    "is_stream": "bool",
    "is_gateway_cache_hit": "bool",
    "latency_ms": "decimal",
    "ttft_ms": "decimal",
    "input_tokens": "bigint",
    "cache_read_tokens": "bigint",
    "cache_write_5m_tokens": "bigint",
    "cache_write_1h_tokens": "bigint",
    "output_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "total_tokens": "bigint",
    "service_tier": "text",
    "region": "text",
    "temperature": "decimal",
    "max_tokens": "bigint",
    "prompt_id": "text",
    "prompt_hash": "text",
    "api_key_id": "text",
    "virtual_account": "text",
    "gateway_user_id": "text",
    "gateway_team_id": "text",
    "gateway_reported_usd": "money",
    "feedback_score": "decimal",
    "input_includes_cache": "bool",
    "other_usage": "json",
    "metadata": "json",
}
"""Columns of `generic__requests`: a request in the words of `fct_llm_requests`."""

_MEMBERS: Mapping[str, Kind] = {
    "observed_at": "timestamp",
    "member_type": "text",
    "member_id": "text",
    "name": "text",
    "email": "text",
    "status": "text",
    "is_deleted": "bool",
    "owner_type": "text",
    "owner_id": "text",
    "team_ids": "json",
    "workspace_id": "text",
    "organization_id": "text",
    "created_at": "timestamp",
    "updated_at": "timestamp",
    "expires_at": "timestamp",
    "deleted_at": "timestamp",
    "metadata": "json",
    "raw": "json",
}

_LIMITS: Mapping[str, Kind] = {
    "observed_at": "timestamp",
    "limit_id": "text",
    "name": "text",
    "limit_kind": "text",
    "scope_type": "text",
    "scope": "json",
    "counter_keys": "json",
    "measure": "text",
    "limit_value": "money",
    "limit_unit": "text",
    "window_unit": "text",
    "window_length": "bigint",
    "window_anchor": "text",
    "enforcement": "text",
    "evaluation": "text",
    "rule_order": "bigint",
    "alert_thresholds": "json",
    "status": "text",
    "next_reset_at": "timestamp",
    "raw": "json",
}

_LIMIT_USAGE: Mapping[str, Kind] = {
    "observed_at": "timestamp",
    "limit_id": "text",
    "entity": "text",
    "period_start": "timestamp",
    "period_end": "timestamp",
    "used_value": "money",
    "used_unit": "text",
    "limit_value": "money",
    "status": "text",
    "raw": "json",
}

_TOTALS: Mapping[str, Kind] = {
    "bucket_start": "timestamp",
    "bucket_end": "timestamp",
    "dimension": "text",
    "member": "text",
    "requests": "bigint",
    "errors": "bigint",
    "cache_hits": "bigint",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "total_tokens": "bigint",
    "cost_amount": "money",
    "cost_unit": "text",
    "weighted_feedback_sum": "money",
    "requests_with_feedback": "bigint",
    "first_seen_at": "timestamp",
    "last_seen_at": "timestamp",
    "raw": "json",
}

_FEEDBACK: Mapping[str, Kind] = {
    "given_at": "timestamp",
    "record_id": "text",
    "trace_id": "text",
    "value": "decimal",
    "weight": "decimal",
    "raw": "json",
}

_RUNS: Mapping[str, Kind] = {
    "observed_at": "timestamp",
    "run_id": "text",
    "experiment_id": "text",
    "experiment_name": "text",
    "run_name": "text",
    "status": "text",
    "user_id": "text",
    "started_at": "timestamp",
    "ended_at": "timestamp",
    "lifecycle_stage": "text",
    "tags": "json",
    "params": "json",
    "metrics": "json",
}


def requests_format(
    source: str,
    columns: Mapping[str, Column],
    *,
    json_fields: frozenset[str] = frozenset(),
    keep: str | None = None,
    metadata_given: str | None = None,
    record_name: str = "log record",
    unnest: Unnest | None = None,
    ignored: frozenset[str] = frozenset(),
    inside: Inside | None = None,
    content: str = "",
) -> LogFormat:
    """A log format into `generic__requests`; columns that are not given are NULL. `started_at` must be given."""
    return LogFormat(
        source=source,
        table="generic__requests",
        columns={name: columns.get(name) or unknown(kind) for name, kind in REQUESTS.items()},
        json_fields=json_fields,
        keep=keep,
        metadata_column="metadata" if metadata_given else None,
        metadata_given=metadata_given,
        record_name=record_name,
        unnest=unnest,
        ignored=ignored,
        inside=inside,
        content=content,
    )


def members_format(source: str) -> LogFormat:
    """Users, teams, keys and other members that a gateway lists: `gateway__members`."""
    return listed_format(source, "gateway__members", _MEMBERS, required=("observed_at", "member_type", "member_id"))


def limits_format(source: str) -> LogFormat:
    """Budgets and rate limits as a gateway holds them: `gateway__limits`."""
    return listed_format(source, "gateway__limits", _LIMITS, required=("observed_at", "limit_id"))


def limit_usage_format(source: str) -> LogFormat:
    """What a gateway has counted against its limits: `gateway__limit_usage`."""
    return listed_format(source, "gateway__limit_usage", _LIMIT_USAGE, required=("observed_at", "limit_id"))


def totals_format(source: str) -> LogFormat:
    """What a gateway adds up itself, as a control of what was loaded: `gateway__totals`."""
    return listed_format(source, "gateway__totals", _TOTALS, required=("bucket_start", "bucket_end", "dimension"))


def feedback_format(source: str) -> LogFormat:
    """Feedback that was given to a request or a trace: `gateway__feedback`."""
    return listed_format(source, "gateway__feedback", _FEEDBACK, required=("given_at",))


def runs_format(source: str) -> LogFormat:
    """Runs of an experiment tracker with their tags: `tracking__runs`."""
    return listed_format(source, "tracking__runs", _RUNS, required=("observed_at", "run_id"))


def listed_format(source: str, table: str, kinds: Mapping[str, Kind], *, required: tuple[str, ...]) -> LogFormat:
    """A format of rows that their source has shaped already: each field is the column of its name."""
    columns = {name: _column(name, kind) for name, kind in kinds.items()}
    return LogFormat(
        source=source,
        table=table,
        columns=columns | {name: columns[name].as_required() for name in required},
        json_fields=frozenset(name for name, kind in kinds.items() if kind == "json"),
        record_name=f"row of {table}",
    )


def observed(fmt: LogFormat, moment: datetime) -> LogFormat:
    """The same format for rows that were asked for at a moment (naive UTC)."""
    if "observed_at" not in fmt.columns:
        return fmt
    literal = f"TIMESTAMP {quote(moment.isoformat(sep=' '))}"
    return replace(fmt, columns={**fmt.columns, "observed_at": Column("timestamp", literal, required=True)})


def _column(name: str, kind: Kind) -> Column:
    return Column(kind, f"nullif({field(name)}, '')") if kind == "text" else typed(field(name), kind)


SHARED_FORMATS: tuple[LogFormat, ...] = (
    members_format("gateway"),
    limits_format("gateway"),
    limit_usage_format("gateway"),
    totals_format("gateway"),
    feedback_format("gateway"),
    runs_format("tracking"),
)
"""The tables of this module that hold no requests."""
