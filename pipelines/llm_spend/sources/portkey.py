"""Portkey logs: lines of an export, or documents of the log store, one per attempted target.

Facts of the format (Portkey OpenAPI and the gateway's analytics row): `cost` is in US cents; `metadata` comes in
several shapes; values are cut at 128 characters and `'` is stored as `\\'`. An exported line has no cache status, no
API key and no stream flag. A document of the log store (`30/<organisation>/<log>.json`, in layout v2 below the
workspace and the hour) holds the same fields in `metrics`, and the request and its answer besides: of these only what
is named here is read, for headers hold keys and bodies hold what people wrote.
"""

from __future__ import annotations

from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import (
    cast_text,
    field,
    is_flat_object,
    json_text,
    object_from_arrays,
    object_or_text,
    other_usage,
    quote,
    typed,
)
from llm_spend.schema import Column, Kind

_METADATA = field("metadata")
_KEYS = f"coalesce({field('metadataKey')}, {field('metadata.key')})"
_VALUES = f"coalesce({field('metadataValue')}, {field('metadata.value')})"
_TWO_ARRAYS = object_from_arrays(f"json_extract({_METADATA}, '$.key')", f"json_extract({_METADATA}, '$.value')")
_ESCAPED_QUOTE = quote("\\\\'")  # \' as it stands in JSON text


def _unescaped(document: str) -> str:
    return f"CAST(replace(CAST({document} AS VARCHAR), {_ESCAPED_QUOTE}, {quote(chr(39))}) AS JSON)"


_TEXT = f"CAST({_METADATA} AS VARCHAR)"
_OTHER_SHAPE = (
    f"CASE WHEN {_METADATA} IS NULL THEN {object_from_arrays(_KEYS, _VALUES)}"
    f" WHEN json_type({_METADATA}, '$.key') = 'ARRAY' THEN {_TWO_ARRAYS}"
    f" ELSE {object_or_text(_METADATA)} END"
)
# Most records hold an object that needs no repair.
METADATA = (
    f"CASE WHEN contains({_TEXT}, {quote('key' + chr(34))}) OR NOT {is_flat_object(_METADATA)}"
    f" THEN {_unescaped(_OTHER_SHAPE)}"
    f" WHEN contains({_TEXT}, {_ESCAPED_QUOTE}) THEN {_unescaped(_METADATA)}"
    f" ELSE {_METADATA} END"
)

_REQUEST, _RESPONSE = field("request"), field("response")
_IS_STORED = f"({field('_id')} IS NOT NULL)"


def _asked(*path: str) -> str:
    """Text in the body of a request: in a log store beside its headers, in an export perhaps the whole."""
    return f"{json_text(_REQUEST, 'body', *path)}, {json_text(_REQUEST, *path)}"


def _answered(*path: str) -> str:
    """The same of the answer to it."""
    return f"{json_text(_RESPONSE, 'body', *path)}, {json_text(_RESPONSE, *path)}"


def _usage(*path: str) -> str:
    return _answered("usage", *path)


def _first(*texts: str) -> str:
    return f"coalesce({', '.join(texts)})"


def _if_valid(kind: Kind, *texts: str) -> Column:
    """What a body says is not the log's own word: when it can't be read, the request still counts."""
    return Column(kind, cast_text(_first(*texts), kind))


def _of_document(*path: str) -> str:
    return f"CASE WHEN {_IS_STORED} THEN {json_text(_RESPONSE, *path)} END"


LOGS = LogFormat(
    source="portkey",
    table="portkey__logs",
    json_fields=frozenset(
        {"metadata", "metadataKey", "metadataValue", "metadata.key", "metadata.value", "request", "response"}
    ),
    envelope="metrics",
    columns={
        "id": Column("text", _first(field("id"), field("_id")), required=True),
        "created_at": typed(field("created_at"), "timestamp").as_required(),
        "is_from_log_store": Column("bool", _IS_STORED),
        "trace_id": Column("text", field("trace_id")),
        "internal_trace_id": Column("text", field("internal_trace_id")),
        "provider_response_id": Column("text", _first(_answered("id"), _answered("responseId"))),
        "workspace_slug": Column("text", field("workspace_slug")),
        "ai_org": Column("text", field("ai_org")),
        "ai_model": Column("text", field("ai_model")),
        "requested_model": Column("text", _first(_asked("model"))),
        "req_units": typed(field("req_units"), "bigint"),
        "res_units": typed(field("res_units"), "bigint"),
        "total_units": typed(field("total_units"), "bigint"),
        "cache_read_tokens": _if_valid(
            "bigint",
            _usage("cache_read_input_tokens"),
            _usage("prompt_tokens_details", "cached_tokens"),
            _usage("input_tokens_details", "cached_tokens"),
            _answered("usageMetadata", "cachedContentTokenCount"),
        ),
        "cache_write_tokens": _if_valid("bigint", _usage("cache_creation_input_tokens")),
        "cache_write_1h_tokens": _if_valid("bigint", _usage("cache_creation", "ephemeral_1h_input_tokens")),
        "reasoning_tokens": _if_valid(
            "bigint",
            _usage("completion_tokens_details", "reasoning_tokens"),
            _usage("output_tokens_details", "reasoning_tokens"),
            _answered("usageMetadata", "thoughtsTokenCount"),
        ),
        "other_usage": Column(
            "json",
            other_usage(
                {
                    "input_audio_tokens": _first(_usage("prompt_tokens_details", "audio_tokens")),
                    "output_audio_tokens": _first(_usage("completion_tokens_details", "audio_tokens")),
                    "web_searches": _first(_usage("server_tool_use", "web_search_requests")),
                }
            ).sql,
        ),
        "cost": typed(field("cost"), "money"),
        "cost_currency": Column("text", field("cost_currency")),
        # What follows a question mark may be a key.
        "request_url": Column("text", f"split_part({_first(field('request_url'), json_text(_REQUEST, 'url'))}, '?', 1)"),
        "response_time": typed(_first(field("response_time"), _of_document("responseTime")), "decimal"),
        "ttlt": typed(field("ttlt"), "decimal"),
        "response_status_code": typed(_first(field("response_status_code"), _of_document("status")), "bigint"),
        "is_success": typed(field("is_success"), "bool"),
        "error_type": Column("text", _first(_answered("error", "type"), _answered("error", "code"))),
        "mode": Column("text", field("mode")),
        "config": Column("text", field("config")),
        "prompt_slug": Column("text", field("prompt_slug")),
        "cache_status": Column("text", field("cache_status")),
        "stream_mode": typed(field("stream_mode"), "bool"),
        "temperature": _if_valid("decimal", _asked("temperature")),
        "max_tokens": _if_valid(
            "bigint", _asked("max_completion_tokens"), _asked("max_tokens"), _asked("max_output_tokens")
        ),
        # `auto` is what was asked for, and `fast` stands elsewhere.
        "service_tier": Column(
            "text",
            f"CASE WHEN {_first(_usage('speed'))} = 'fast' THEN 'fast'"
            f" ELSE nullif({_first(_usage('service_tier'), _answered('service_tier'))}, 'auto') END",
        ),
        "region": Column("text", f"lower(nullif({_first(_usage('inference_geo'))}, 'not_available'))"),
        "api_key_id": Column("text", field("api_key_id")),
        "user_id": Column("text", field("user_id")),
        "virtual_key": Column("text", field("virtual_key")),
        "metadata": Column("json", METADATA),
    },
    metadata_column="metadata",
    metadata_given=f"coalesce({_METADATA}, {_KEYS})",
)
