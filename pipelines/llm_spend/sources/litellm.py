"""LiteLLM StandardLoggingPayload: one JSON object per request (S3 logger) or a line each (GCS logger).

Times are epoch seconds as floats; `prompt_tokens` includes cached tokens (Anthropic's too); `usage_object` is the
only place for cache and reasoning tokens and for all other usage; `response_cost` is USD and 0 on a cache hit. Input
audio and images include the cached ones when `cached_tokens_details` is there, and are without them otherwise. Calls
that are billed by something else than tokens have a usage object of their own: seconds of a transcription, pages read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_spend.readers.files import LogFile
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import (
    field,
    flat_object,
    iso_or_epoch_timestamp,
    json_part,
    json_text,
    other_usage,
    quote,
    typed,
)
from llm_spend.schema import Column, Kind

if TYPE_CHECKING:  # dlt takes seconds to import, and a load that finds nothing new does without it
    from dlt.extract import DltSource

_METADATA = field("metadata")
_ERROR = field("error_information")
_PARAMETERS = field("model_parameters")
_COST_BREAKDOWN = field("cost_breakdown")
_API_BASE = field("api_base")


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

PAYLOADS = LogFormat(
    source="litellm",
    table="litellm__payloads",
    record_name="LiteLLM logging payload",
    json_fields=frozenset({"metadata", "error_information", "model_parameters", "cost_breakdown", "request_tags"}),
    columns={
        "id": Column("text", f"nullif({field('id')}, '')", required=True),
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
        "is_cache_hit": typed(field("cache_hit"), "bool"),
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
        "error_code": typed(json_text(_ERROR, "error_code"), "bigint"),
        "error_class": Column("text", json_text(_ERROR, "error_class")),
        "error_rate_limit_type": Column("text", json_text(_ERROR, "error_rate_limit_type")),
        "temperature": typed(json_text(_PARAMETERS, "temperature"), "decimal"),
        "max_tokens": typed(json_text(_PARAMETERS, "max_tokens"), "bigint"),
        "request_tags": Column("json", field("request_tags")),
        "metadata": Column("json", _TAGS),
    },
    metadata_column="metadata",
    metadata_given=f"CASE WHEN json_type({json_part(_METADATA, 'spend_logs_metadata')}) <> 'NULL'"
    f" THEN {json_part(_METADATA, 'spend_logs_metadata')} END",
)


def litellm(files: list[LogFile], instance: str) -> DltSource:
    """Logging payloads of one LiteLLM proxy (`instance`) as `litellm__payloads`, one row a payload, appended."""
    from llm_spend.readers.resources import log_source

    return log_source(PAYLOADS, files, instance)
