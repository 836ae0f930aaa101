"""Envoy AI Gateway: JSON access logs, whose fields the operator names.

Read are the names of the gateway's own default format and of its examples. Other names: a mapping file of the generic
source (docs/examples/envoy-access-log.yml). There is no cost; costs that the operator computes (CEL) are plain numbers
and are not read. `-` is what Envoy writes for nothing. The log has requests of every kind: those with a model or tokens
are calls of a model.
"""

from __future__ import annotations

from llm_spend.readers.records import Unnest
from llm_spend.readers.sql import field, identifier, typed
from llm_spend.schema import Column, Kind
from llm_spend.sources.about import About
from llm_spend.sources.expressions import content, metadata_with, operation_of_path, text_column
from llm_spend.sources.shared_tables import requests_format

_FIELDS: dict[str, tuple[str, ...]] = {
    "started": ("start_time", "timestamp", "time"),
    "id": ("x-request-id", "request_id", "request.id"),
    "called": ("x-envoy-origin-path", "request.path", "path"),
    "code": ("response_code", "http.response.status_code", "status"),
    "took": ("duration", "duration_ms"),
    "model": ("gen_ai.response.model", "response_model", "model_name_override"),
    "asked_model": ("gen_ai.request.model", "x-ai-eg-model", "request_model"),
    "provider": ("gen_ai.provider.name", "backend_name"),
    "input": ("gen_ai.usage.input_tokens", "llm_input_token", "input_tokens"),
    "output": ("gen_ai.usage.output_tokens", "llm_output_token", "output_tokens"),
    "total": ("gen_ai.usage.total_tokens", "llm_total_token", "total_tokens"),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cached_input_tokens",
        "llm_cached_input_token",
        "cached_input_tokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm_cache_creation_input_token",
        "cache_creation_input_tokens",
    ),
    "reasoning": ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm_reasoning_token"),
    "error": ("error.type", "llm_error_type"),
    "session": ("session.id", "gen_ai.conversation.id"),
    "user_tag": ("user", "x-user", "x-user-id", "user.id"),
    "team_tag": ("team", "x-team", "x-team-id"),
    "feature_tag": ("feature", "x-feature", "x-feature-id"),
    "customer_tag": ("customer", "x-customer", "x-customer-id"),
    "environment_tag": ("environment", "x-environment"),
}
"""By what they tell: the names of fields, in the order in which they count."""


# What Envoy itself can log, and the gateway's examples name.
_IGNORED = frozenset(
    {
        *("method", "request.method", "protocol", ":authority", "user-agent", "x-forwarded-for", "bytes_received"),
        *("bytes_sent", "response_flags", "response_code_details", "connection_termination_details", "route_name"),
        *("upstream_host", "upstream_cluster", "upstream_local_address", "upstream_transport_failure_reason"),
        *("downstream_local_address", "downstream_remote_address", "requested_server_name"),
        *("x-envoy-upstream-service-time", "llm_request_cost"),
    }
)


def _first(names: tuple[str, ...]) -> str:
    texts = ", ".join(f"nullif(nullif({field(name)}, ''), '-')" for name in names)
    return f"coalesce({texts})"


def _line() -> Unnest:
    """A line as a record with one field for each thing that it tells."""
    record = ", ".join(f"{identifier(_of(name))} := {_first(names)}" for name, names in _FIELDS.items())
    anything = ", ".join(field(name) for names in _FIELDS.values() for name in names)
    return Unnest(
        f"CASE WHEN coalesce({anything}) IS NOT NULL THEN [struct_pack({record})] END",
        tuple(_of(name) for name in _FIELDS),
    )


def _of(name: str) -> str:
    return f"log {name}"


def _told(*names: str) -> str:
    texts = [field(_of(name)) for name in names]
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _typed(name: str, kind: Kind) -> Column:
    return typed(_told(name), kind)


ACCESS_LOGS = requests_format(
    "envoy",
    {
        "source_record_id": text_column(_told("id")),
        "started_at": _typed("started", "timestamp").as_required(),
        "provider": text_column(_told("provider")),
        "raw_model": text_column(_told("model", "asked_model")),
        "requested_model": text_column(_told("asked_model")),
        "operation": text_column(operation_of_path(_told("called"))),
        "http_status": _typed("code", "bigint"),
        "error_type": text_column(_told("error")),
        "latency_ms": _typed("took", "decimal"),
        "input_tokens": _typed("input", "bigint"),
        "input_includes_cache": Column("bool", "TRUE"),
        "cache_read_tokens": _typed("cache_read", "bigint"),
        "cache_write_5m_tokens": _typed("cache_write", "bigint"),
        "output_tokens": _typed("output", "bigint"),
        "reasoning_tokens": _typed("reasoning", "bigint"),
        "total_tokens": _typed("total", "bigint"),
        "metadata": Column(
            "json",
            metadata_with(
                "CAST(NULL AS JSON)",
                {
                    **{tag: _told(f"{tag}_tag") for tag in ("user", "team", "feature", "customer", "environment")},
                    "session_id": _told("session"),
                },
            ),
        ),
    },
    keep=f"{_told('model', 'asked_model', 'input', 'output', 'total')} IS NOT NULL",
    record_name="line of an Envoy access log in JSON",
    unnest=_line(),
    ignored=_IGNORED,
    content=content(map(_told, _FIELDS), own_id=_told("id")),
)

ABOUT = About(
    title="Envoy AI Gateway",
    grain="A request of a client; attempts of one request at several backends are one row.",
    cost="None. Costs that a route computes with CEL are numbers without a currency, and are not read.",
    tokens="Input includes cached tokens. Cached, cache-write and reasoning tokens are there only when the route's"
    " `llmRequestCosts` and the log format name them.",
    attribution="Fields called `user`, `team`, `feature`, `customer`, `environment`, also with `x-` before them, when"
    " the log format takes them from headers. The provider is the name of the backend: tell what it stands for in"
    " `mapping/provider_names.csv`.",
    lateness="As late as your access log is shipped.",
    cannot_tell="Whether an answer was streamed, and the time to its first token.",
    files="JSON access logs with the field names of the gateway's default format. For other names take the source"
    " `generic` with a mapping file.",
)
