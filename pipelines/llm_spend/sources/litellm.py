"""LiteLLM's record of a call: the StandardLoggingPayload of its file loggers, and the row of its proxy's spend log.

A payload is one JSON object per request (S3 logger) or a line each (GCS logger). Times are epoch seconds as floats;
`prompt_tokens` includes cached tokens (Anthropic's too); `usage_object` is the only place for cache and reasoning
tokens and for all other usage; `response_cost` is USD and 0 on a cache hit. Input audio and images include the cached
ones when `cached_tokens_details` is there, and are without them otherwise. Calls that are billed by something else than
tokens have a usage object of their own: seconds of a transcription, pages read.

A row of `LiteLLM_SpendLogs` says the same under other names, most of it in `metadata`; its times are UTC timestamps and
its cache hit is a word. Both become rows of one table, so that a call that is in both counts once.

`cache_key` is the SHA-256 of the prompt and its parameters, maybe behind a namespace, or the words "Cache OFF". Who
makes keys of his own may put the prompt into them: only a hash is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llm_spend.readers.records import Inside, LogFormat
from llm_spend.readers.sql import (
    cast_text,
    field,
    flat_object,
    iso_or_epoch_timestamp,
    json_part,
    json_text,
    number_at,
    other_usage,
    quote,
    typed,
)
from llm_spend.readers.unknown import numbers_below
from llm_spend.schema import Column, Kind
from llm_spend.sources.about import About, Setting
from llm_spend.sources.expressions import prompt_hash

_METADATA = field("metadata")
_ERROR_INFORMATION = field("error_information")
_PARAMETERS = field("model_parameters")
_COST_BREAKDOWN = field("cost_breakdown")
_API_BASE = field("api_base")


def _error(*path: str) -> str:
    return json_text(_ERROR_INFORMATION, *path)


def _usage(*path: str) -> str:
    return json_text(_METADATA, "usage_object", *path)


def _input(*path: str) -> str:
    return _usage("prompt_tokens_details", *path)


def _output(*path: str) -> str:
    return _usage("completion_tokens_details", *path)


def _either(*texts: str) -> str:
    return f"coalesce({', '.join(texts)})"


def _first(kind: Kind, *texts: str) -> Column:
    return typed(_either(*texts), kind)


def _time(name: str) -> Column:
    text = f"nullif({field(name)}, '')"
    return Column("timestamp", iso_or_epoch_timestamp(text), text)


def _whole_number(text: str) -> Column:
    """A number where there may be a word: an error code is the HTTP status or a name of the provider's."""
    return Column("bigint", cast_text(text, "bigint"))


def _word(text: str) -> str:
    """Text without what Python writes for nothing."""
    return f"nullif(nullif({text}, ''), 'None')"


_REQUESTER_TAGS = flat_object(json_part(_METADATA, "requester_metadata"))
_SPEND_TAGS = flat_object(json_part(_METADATA, "spend_logs_metadata"))
# Tags that the caller meant for the spend log win over the ones that came along with the request.
_TAGS = f"coalesce(json_merge_patch({_REQUESTER_TAGS}, {_SPEND_TAGS}), {_SPEND_TAGS}, {_REQUESTER_TAGS})"

_OTHER_USAGE = other_usage(
    {
        "input_audio_tokens": _input("audio_tokens"),
        "input_image_tokens": _input("image_tokens"),
        "input_video_tokens": _input("video_tokens"),
        "cache_read_audio_tokens": _input("cached_tokens_details", "audio_tokens"),
        "cache_read_image_tokens": _input("cached_tokens_details", "image_tokens"),
        "output_audio_tokens": _output("audio_tokens"),
        "output_image_tokens": _output("image_tokens"),
        "output_video_tokens": _output("video_tokens"),
        "web_searches": _either(_usage("server_tool_use", "web_search_requests"), _input("web_search_requests")),
        # `seconds` is an object of its own kind: the usage of a transcription that is billed by its length.
        "audio_seconds": _either(_usage("seconds"), _input("audio_length_seconds")),
        "pages": _usage("pages_processed"),
        "annotated_pages": _usage("pages_processed_annotation"),
        "input_characters": _input("character_count"),
    },
    # Who counts text apart knows of the rest.
    told=(_input("text_tokens"), _output("text_tokens")),
    parts={
        "input_audio_tokens": _input("cached_tokens_details", "audio_tokens"),
        "input_image_tokens": _input("cached_tokens_details", "image_tokens"),
    },
)

# What the provider said it did; the tier and region that were asked for may be others. `auto` is a wish, too.
_SERVED_TIER = (
    f"CASE WHEN {_usage('speed')} = 'fast' THEN 'fast' ELSE coalesce({_usage('service_tier')},"
    f" {json_text(_COST_BREAKDOWN, 'service_tier')}, {json_text(_METADATA, 'cost_breakdown', 'service_tier')}) END"
)
_OPENAI_HOST = "^https?://([a-z]{2})[.]api[.]openai[.]com(/|:|$)"
_REGION = (
    f"lower(coalesce(nullif({_usage('inference_geo')}, 'not_available'),"
    f" {json_text(_COST_BREAKDOWN, 'data_residency')},"
    f" CASE WHEN contains({_API_BASE}, '.api.openai.com')"
    f" THEN nullif(regexp_extract({_API_BASE}, {quote(_OPENAI_HOST)}, 1), '') END,"
    f" {json_text(_COST_BREAKDOWN, 'vertex_location')},"
    f" {json_text(_PARAMETERS, 'inference_geo')}))"
)

_DOCUMENTS = frozenset(
    {"metadata", "error_information", "model_parameters", "cost_breakdown", "request_tags", "status_fields"}
)

# What the proxy says of itself, and bodies.
_IGNORED = frozenset(
    {
        *("messages", "response", "error_str", "hidden_params", "guardrail_information", "model_map_information"),
        *("requester_ip_address", "user_agent", "session_id", "request_model_access_groups", "saved_cache_cost"),
        *("standard_built_in_tools_params", "response_cost_failure_debug_info", "cost_finalized"),
        *("zero_cost_diagnostic", "autorouter_baseline_observation", "autorouter_savings"),
        *("autorouter_savings_estimate",),
    }
)

# Proxies without a usage object keep what they don't know by name as additional values.
_USAGE_OBJECTS = ("usage_object", "additional_usage_values")
_LIFETIMES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_USAGE_KNOWN = frozenset(
    f"usage_object.{name}"
    for name in (
        *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "reasoning_tokens"),
        *("cache_read_input_tokens", "cache_creation_input_tokens", "cost", "cost_details", "is_byok"),
        *("seconds", "pages_processed", "pages_processed_annotation", "doc_size_bytes"),
        *(f"cache_creation.{lifetime}" for lifetime in _LIFETIMES),
        *(f"server_tool_use.{kind}" for kind in ("web_search_requests", "tool_search_requests")),
        *(
            f"prompt_tokens_details.{kind}"
            for kind in (
                *("cached_tokens", "cached_tokens_details", "cache_creation_tokens", "cache_write_tokens"),
                *(f"cache_creation_token_details.{lifetime}" for lifetime in _LIFETIMES),
                *("text_tokens", "audio_tokens", "image_tokens", "video_tokens", "initial_prompt_tokens"),
                *("web_search_requests", "audio_length_seconds", "character_count"),
            )
        ),
        *(
            f"completion_tokens_details.{kind}_tokens"
            for kind in ("reasoning", "text", "audio", "image", "video", "accepted_prediction", "rejected_prediction")
        ),
    )
)
"""What a usage object counts that is read, or repeats what is."""


def _usage_of_call(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        for name in _USAGE_OBJECTS:
            yield from numbers_below(metadata.get(name), "usage_object", _USAGE_KNOWN)


PAYLOADS = LogFormat(
    source="litellm",
    table="litellm__payloads",
    record_name="LiteLLM logging payload",
    json_fields=_DOCUMENTS,
    ignored=_IGNORED,
    inside=Inside(
        _usage_of_call,
        _USAGE_KNOWN,
        lambda name: _either(*(number_at(_METADATA, each, *name.split(".")[1:]) for each in _USAGE_OBJECTS)),
    ),
    columns={
        "id": Column("text", _either(_word(field("id")), _word(field("litellm_call_id"))), required=True),
        "start_time": _time("startTime").as_required(),
        "end_time": _time("endTime"),
        "completion_start_time": _time("completionStartTime"),
        "trace_id": Column("text", field("trace_id")),
        "litellm_call_id": Column("text", field("litellm_call_id")),
        "call_type": Column("text", field("call_type")),
        "is_stream": typed(field("stream"), "bool"),
        "status": Column("text", field("status")),
        "custom_llm_provider": Column("text", field("custom_llm_provider")),
        "model": Column("text", field("model")),
        "model_group": Column("text", field("model_group")),
        "model_id": Column("text", field("model_id")),
        "prompt_tokens": typed(field("prompt_tokens"), "bigint"),
        "completion_tokens": typed(field("completion_tokens"), "bigint"),
        "total_tokens": typed(field("total_tokens"), "bigint"),
        "cache_read_tokens": _first(
            "bigint", _usage("cache_read_input_tokens"), _usage("prompt_tokens_details", "cached_tokens")
        ),
        "cache_write_tokens": _first(
            "bigint",
            _usage("cache_creation_input_tokens"),
            _usage("prompt_tokens_details", "cache_creation_tokens"),
        ),
        "cache_write_1h_tokens": _first(
            "bigint",
            _usage("cache_creation", "ephemeral_1h_input_tokens"),
            _usage("prompt_tokens_details", "cache_creation_token_details", "ephemeral_1h_input_tokens"),
        ),
        "reasoning_tokens": typed(_output("reasoning_tokens"), "bigint"),
        "other_usage": _OTHER_USAGE,
        "response_cost": typed(field("response_cost"), "money"),
        "response_time": typed(field("response_time"), "decimal"),
        "is_cache_hit": typed(_word(field("cache_hit")), "bool"),
        "service_tier": Column("text", _SERVED_TIER),
        "region": Column("text", _REGION),
        "end_user": Column("text", field("end_user")),
        "api_key_hash": Column("text", json_text(_METADATA, "user_api_key_hash")),
        "api_key_alias": Column("text", json_text(_METADATA, "user_api_key_alias")),
        "key_owner_user_id": Column(
            "text",
            f"coalesce({json_text(_METADATA, 'user_api_key_user_email')},"
            f" {json_text(_METADATA, 'user_api_key_user_id')})",
        ),
        "team_id": Column("text", json_text(_METADATA, "user_api_key_team_id")),
        "team_alias": Column("text", json_text(_METADATA, "user_api_key_team_alias")),
        "error_code": _whole_number(_error("error_code")),
        "error_class": Column("text", _error("error_class")),
        "error_rate_limit_type": Column("text", _error("error_rate_limit_type")),
        "temperature": typed(json_text(_PARAMETERS, "temperature"), "decimal"),
        "max_tokens": typed(json_text(_PARAMETERS, "max_tokens"), "bigint"),
        "request_tags": Column("json", field("request_tags")),
        "metadata": Column("json", _TAGS),
        "updated_at": _time("updated_at"),
        "original_model_group": Column("text", json_text(_METADATA, "original_model_group")),
        "error_rate_limit_category": Column("text", _error("error_rate_limit_category")),
        "error_budget_entity_type": Column("text", _error("error_budget_entity_type")),
        "error_budget_entity_id": Column("text", _error("error_budget_entity_id")),
        "guardrail_status": Column("text", json_text(field("status_fields"), "guardrail_status")),
        "is_shadow": typed(json_text(_METADATA, "is_silent_experiment"), "bool"),
        "organization_id": Column("text", json_text(_METADATA, "user_api_key_org_id")),
        "project_id": Column("text", json_text(_METADATA, "user_api_key_project_id")),
        "project_alias": Column("text", json_text(_METADATA, "user_api_key_project_alias")),
        "prompt_hash": Column("text", prompt_hash(field("cache_key"))),
    },
    metadata_column="metadata",
    metadata_given=f"CASE WHEN json_type({json_part(_METADATA, 'spend_logs_metadata')}) <> 'NULL'"
    f" THEN {json_part(_METADATA, 'spend_logs_metadata')} END",
)


def _row_error(*path: str) -> str:
    return json_text(_METADATA, "error_information", *path)


def _row_usage(*path: str) -> str:
    """Of a row, also of a proxy without a usage object."""
    return _either(_usage(*path), json_text(_METADATA, "additional_usage_values", *path))


def _own(name: str) -> str:
    return f"nullif({field(name)}, '')"


_MILLISECONDS = f"CAST(try_cast({field('request_duration_ms')} AS BIGINT) * 0.001 AS DECIMAL(18, 6))"

SPEND_LOGS = replace(
    PAYLOADS,
    record_name="row of LiteLLM_SpendLogs",
    columns={
        **PAYLOADS.columns,
        "id": Column("text", _either(_word(field("request_id")), _own("litellm_call_id")), required=True),
        "start_time": typed(field("startTime"), "timestamp").as_required(),
        "end_time": typed(field("endTime"), "timestamp"),
        "completion_start_time": typed(field("completionStartTime"), "timestamp"),
        "updated_at": typed(field("updated_at"), "timestamp"),
        "trace_id": Column("text", _own("session_id")),
        "litellm_call_id": Column("text", _either(_own("litellm_call_id"), json_text(_METADATA, "litellm_call_id"))),
        # Rows of proxies that had no status yet are answers: failures had a table of their own.
        "status": Column("text", _either(_own("status"), json_text(_METADATA, "status"), quote("success"))),
        "cache_read_tokens": _first(
            "bigint", _row_usage("cache_read_input_tokens"), _row_usage("prompt_tokens_details", "cached_tokens")
        ),
        "cache_write_tokens": _first(
            "bigint",
            _row_usage("cache_creation_input_tokens"),
            _row_usage("prompt_tokens_details", "cache_creation_tokens"),
        ),
        "reasoning_tokens": typed(_row_usage("completion_tokens_details", "reasoning_tokens"), "bigint"),
        "response_cost": typed(field("spend"), "money"),
        "response_time": Column("decimal", _MILLISECONDS, _own("request_duration_ms")),
        "api_key_hash": Column("text", _own("api_key")),
        "key_owner_user_id": Column("text", _either(json_text(_METADATA, "user_api_key_user_email"), _own("user"))),
        "team_id": Column("text", _either(_own("team_id"), json_text(_METADATA, "user_api_key_team_id"))),
        "error_code": _whole_number(_row_error("error_code")),
        "error_class": Column("text", _row_error("error_class")),
        "error_rate_limit_type": Column("text", _row_error("error_rate_limit_type")),
        "error_rate_limit_category": Column("text", _row_error("error_rate_limit_category")),
        "error_budget_entity_type": Column("text", _row_error("error_budget_entity_type")),
        "error_budget_entity_id": Column("text", _row_error("error_budget_entity_id")),
        "guardrail_status": Column("text", json_text(_METADATA, "guardrail_status")),
        "organization_id": Column(
            "text", _either(_own("organization_id"), json_text(_METADATA, "user_api_key_org_id"))
        ),
    },
)
"""Rows of the proxy's database; `metadata.guardrail_status` is put there by those who ask for them."""

ABOUT = About(
    title="LiteLLM",
    grain="One row a call that the proxy made, or refused: payloads have each failed attempt, the database one failure"
    " of a call. Questions about the state of a batch or a response are kept, and are no requests.",
    cost="US dollars, as LiteLLM estimated them at its own prices, with the discounts and margins of its configuration;"
    " 0 for a cache hit.",
    tokens="Input includes cached tokens, Anthropic's too. Cache and reasoning tokens are those of `usage_object`; a"
    " stream that was broken off, or that its client left (newer proxies say so), may have an estimate, or none.",
    attribution="End user, owner of the key (e-mail or id), team, key (its hash), and `spend_logs_metadata`; payloads"
    " have `requester_metadata`, too. Request tags are kept, and are no metadata: a call may have several.",
    lateness="Rows of the database come seconds after a call, hours when the proxy could not write; the cost of a batch"
    " comes when it is done. Rows are deleted after the retention of the proxy.",
    cannot_tell="The database: temperature, token limit, and failed attempts before a success. Payloads: what changed"
    " after they were written. Neither: calls while `disable_spend_logs` is on.",
    files="Payloads of the S3 and GCS loggers (StandardLoggingPayload): one JSON object a file, or a line each.",
    api="The PostgreSQL database of the proxy when `database_url` is given, which takes SELECT on its tables; else its"
    " API with an administrator's key. Spend log, daily totals, keys, teams, users, customers, organisations, budgets,"
    " rate limits and what was counted; the database has projects, tags, and members of teams with budgets, too.",
    settings=(
        Setting("database_url", "address of the proxy's database, as it has it in `DATABASE_URL`", is_secret=True),
        Setting("base_url", "address of the proxy, without `database_url`"),
        Setting("api_key", "master key, or key of a user with the role `proxy_admin_viewer`", is_secret=True),
    ),
)
