"""Portkey logs: lines of an export, or documents of the log store, one per attempted target.

Facts of the format (Portkey OpenAPI and the gateway's analytics row): `cost` is in US cents; `metadata` comes in
several shapes; values are cut at 128 characters and `'` is stored as `\\'`. An exported line has no cache status, no
API key and no stream flag. A document of the log store (`30/<organisation>/<log>.json`, in layout v2 below the
workspace and the hour) holds the same fields in `metrics`, and the request and its answer besides: of these only what
is named here is read, for headers hold keys and bodies hold what people wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llm_spend.readers.records import Inside, LogFormat
from llm_spend.readers.sql import (
    cast_text,
    field,
    is_flat_object,
    json_text,
    number_at,
    object_from_arrays,
    object_or_text,
    once,
    other_usage,
    quote,
    typed,
    unknown,
)
from llm_spend.readers.unknown import numbers_below
from llm_spend.schema import Column, Kind
from llm_spend.sources.about import About, Setting

_METADATA = field("metadata")
_KEYS = f"coalesce({field('metadataKey')}, {field('metadata.key')})"
_VALUES = f"coalesce({field('metadataValue')}, {field('metadata.value')})"
_TWO_ARRAYS = object_from_arrays(f"json_extract({_METADATA}, '$.key')", f"json_extract({_METADATA}, '$.value')")
_ESCAPED_QUOTE = quote("\\\\'")  # \' as it stands in JSON text


def _unescaped(document: str) -> str:
    text = f"CAST({document} AS VARCHAR)"
    replaced = f"CAST(replace({text}, {_ESCAPED_QUOTE}, {quote(chr(39))}) AS JSON)"
    return f"CASE WHEN contains({text}, {_ESCAPED_QUOTE}) THEN {replaced} ELSE {document} END"


_MAY_HAVE_ARRAYS = f"contains(CAST({_METADATA} AS VARCHAR), {quote('key' + chr(34))})"
_OTHER_SHAPE = (
    f"CASE WHEN {_METADATA} IS NULL THEN {object_from_arrays(_KEYS, _VALUES)}"
    f" WHEN {_MAY_HAVE_ARRAYS} AND json_type({_METADATA}, '$.key') = 'ARRAY' THEN {_TWO_ARRAYS}"
    f" ELSE {object_or_text(_METADATA)} END"
)
# Most records hold an object that needs no repair.
METADATA = (
    f"CASE WHEN {_MAY_HAVE_ARRAYS} OR NOT {is_flat_object(_METADATA)} THEN {once(_OTHER_SHAPE, 'm', _unescaped('m'))}"
    f" ELSE {_unescaped(_METADATA)} END"
)

_REQUEST, _RESPONSE = field("request"), field("response")
_IS_STORED = f"({field('_id')} IS NOT NULL)"

_LINE: Mapping[str, Column] = {
    "id": Column("text", field("id"), required=True),
    "created_at": typed(field("created_at"), "timestamp").as_required(),
    "trace_id": Column("text", field("trace_id")),
    "internal_trace_id": Column("text", field("internal_trace_id")),
    "workspace_slug": Column("text", field("workspace_slug")),
    "ai_org": Column("text", field("ai_org")),
    "ai_model": Column("text", field("ai_model")),
    "req_units": typed(field("req_units"), "bigint"),
    "res_units": typed(field("res_units"), "bigint"),
    "total_units": typed(field("total_units"), "bigint"),
    "cost": typed(field("cost"), "money"),
    "cost_currency": Column("text", field("cost_currency")),
    "request_url": Column("text", field("request_url")),
    "response_time": typed(field("response_time"), "decimal"),
    "ttlt": typed(field("ttlt"), "decimal"),
    "response_status_code": typed(field("response_status_code"), "bigint"),
    "is_success": typed(field("is_success"), "bool"),
    "mode": Column("text", field("mode")),
    "config": Column("text", field("config")),
    "prompt_slug": Column("text", field("prompt_slug")),
    "cache_status": Column("text", field("cache_status")),
    "stream_mode": typed(field("stream_mode"), "bool"),
    "api_key_id": Column("text", field("api_key_id")),
    "user_id": Column("text", field("user_id")),
    "virtual_key": Column("text", field("virtual_key")),
    "metadata": Column("json", METADATA),
}


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


def _stored(name: str, *path: str) -> str:
    """A field, or what a document of the log store says of the answer."""
    return _first(field(name), f"CASE WHEN {_IS_STORED} THEN {json_text(_RESPONSE, *path)} END")


_OTHER_USAGE = other_usage(
    {
        "input_audio_tokens": _first(_usage("prompt_tokens_details", "audio_tokens")),
        "output_audio_tokens": _first(_usage("completion_tokens_details", "audio_tokens")),
        "web_searches": _first(_usage("server_tool_use", "web_search_requests")),
    }
)

_DOCUMENT: Mapping[str, Column] = {
    **_LINE,
    "id": Column("text", _first(field("id"), field("_id")), required=True),
    # What follows a question mark may be a key.
    "request_url": Column("text", f"split_part({_first(field('request_url'), json_text(_REQUEST, 'url'))}, '?', 1)"),
    "response_time": typed(_stored("response_time", "responseTime"), "decimal"),
    "response_status_code": typed(_stored("response_status_code", "status"), "bigint"),
    "is_from_log_store": Column("bool", _IS_STORED),
    "provider_response_id": Column("text", _first(_answered("id"), _answered("responseId"))),
    "requested_model": Column("text", _first(_asked("model"))),
    "error_type": Column("text", _first(_answered("error", "type"), _answered("error", "code"))),
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
    "other_usage": Column("json", _OTHER_USAGE.sql),
    # `auto` is what was asked for, and `fast` stands elsewhere.
    "service_tier": Column(
        "text",
        f"CASE WHEN {_first(_usage('speed'))} = 'fast' THEN 'fast'"
        f" ELSE nullif({_first(_usage('service_tier'), _answered('service_tier'))}, 'auto') END",
    ),
    "region": Column("text", f"lower(nullif({_first(_usage('inference_geo'))}, 'not_available'))"),
    "temperature": _if_valid("decimal", _asked("temperature")),
    "max_tokens": _if_valid(
        "bigint", _asked("max_completion_tokens"), _asked("max_tokens"), _asked("max_output_tokens")
    ),
}

_USAGE_KNOWN = frozenset(
    f"usage.{name}"
    for name in (
        *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "reasoning_tokens"),
        *("cache_read_input_tokens", "cache_creation_input_tokens", "cost", "cost_details", "is_byok"),
        *(f"prompt_tokens_details.{kind}" for kind in ("cached_tokens", "audio_tokens", "text_tokens")),
        *(f"input_tokens_details.{kind}" for kind in ("cached_tokens", "text_tokens")),
        *("completion_tokens_details.accepted_prediction_tokens", "output_tokens_details.text_tokens"),
        *("completion_tokens_details.rejected_prediction_tokens", "completion_tokens_details.text_tokens"),
        *("completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"),
        *("completion_tokens_details.audio_tokens", "server_tool_use.web_search_requests"),
        *("cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens"),
    )
) | frozenset(
    f"usageMetadata.{name}TokenCount" for name in ("prompt", "candidates", "total", "cachedContent", "thoughts")
)
"""What a body counts that is read, or repeats what is."""


def _usage_of_answer(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the provider counted, by `usage.<name>` and Gemini's `usageMetadata.<name>`."""
    response = document.get("response")
    if isinstance(response, dict):
        answer = response["body"] if isinstance(response.get("body"), dict) else response
        for place in ("usage", "usageMetadata"):
            yield from numbers_below(answer.get(place), place, _USAGE_KNOWN)


# What the log store has besides, and what was said at each step of a call.
_IGNORED = frozenset(
    {
        *("organisation_id", "organisation_name", "workspace_id", "prompt_id", "prompt_version_id", "config_id"),
        *("config_version_id", "request_method", "is_proxy_call", "cache_type", "retry_success_count", "span_id"),
        *("span_name", "parent_span_id", "source", "runtime", "runtime_version", "sdk_version"),
        *("last_used_option_index", "log_store_file_path_format", "request_parsing_time", "pre_processing_time"),
        *("cache_processing_time", "response_parsing_time", "gateway_processing_time", "upstream_response_time"),
        *("finalUntransformedRequest", "originalResponse", "transformedRequest"),
    }
)

_WITH_BODIES = LogFormat(
    source="portkey",
    table="portkey__logs",
    json_fields=frozenset(
        {"metadata", "metadataKey", "metadataValue", "metadata.key", "metadata.value", "request", "response"}
    ),
    envelope="metrics",
    ignored=_IGNORED,
    inside=Inside(
        _usage_of_answer,
        _USAGE_KNOWN,
        lambda name: _first(
            number_at(_RESPONSE, "body", *name.split(".")),
            number_at(_RESPONSE, *name.split(".")),
        ),
    ),
    columns=_DOCUMENT,
    metadata_column="metadata",
    metadata_given=f"coalesce({_METADATA}, {_KEYS})",
)

LOGS = replace(
    _WITH_BODIES,
    columns={name: _LINE.get(name) or unknown(column.kind) for name, column in _DOCUMENT.items()},
    envelope=None,
    inside=None,
    fuller=_WITH_BODIES,
    fuller_if=r""""(_id|metrics)"\s*:|"(request|response)"\s*:\s*[{"]""",
)

ABOUT = About(
    title="Portkey",
    grain=(
        "One row a target that the gateway tried: a fallback chain has several, retries of one target are one. Requests"
        " that a limit of an API key or of the workspace turned away are in no log."
    ),
    cost=(
        "Portkey's estimate in US cents, converted once. It is 0 for models that Portkey knows no price of, and what"
        " the answer would have cost for hits of its cache; with a pricing adjustment it is a price for showback."
    ),
    tokens=(
        "Input includes cached tokens. Where the total is more than its parts, the input is without them and the"
        " difference is cached input. A stream that reports no usage has 0 tokens: unknown, not free."
    ),
    attribution=(
        "The request's metadata (`_user`, `_environment` and any other key), cut at 128 characters by Portkey. The log"
        " store also tells the API key and its owner."
    ),
    lateness="Logs arrive within minutes, and are asked for once more a day later.",
    cannot_tell=(
        "An export lacks API key, workspace, cache hits, streams and details of usage: the log store has them, and"
        " wins where a request is in both. Feedback can't be read one by one: its sums are in `gateway__totals`, and by"
        " trace on demand."
    ),
    files=(
        "Exported JSON lines, with or without bodies, and the documents of a log store in a bucket (layouts v1 and v2:"
        " `--path 's3://bucket/30/org/**/*.json'`). Of headers nothing is read, of bodies only usage, the model, the"
        " kind of an error and parameters."
    ),
    api=(
        "Logs: the Logs Export API (Enterprise plans; permission `logs.export`). Totals by day, user, model and"
        " metadata key: the Analytics API (any plan; permission to view analytics). API keys, workspaces, users, limits"
        " and what counts against them: where the key may list them. Take a service key: a user's sees some logs only."
    ),
    settings=(
        Setting("api_key", "a service key", is_secret=True, is_required=True),
        Setting("workspace_id", "which workspace, for a key of the organisation"),
        Setting("workspace_slug", "its slug, if that is not its id: analytics know workspaces by it"),
        Setting("base_url", "the control plane of a self-hosted gateway, with `/v1`"),
        Setting("metadata_keys", 'a list of metadata keys whose values Portkey shall add up: `["team"]`'),
        Setting(
            "feedback_by_trace",
            "`true` asks for the feedback of each trace that has some: an export a day and two questions a trace",
        ),
        Setting("requests", "`false` where the plan exports no logs: then only totals and lists are loaded"),
    ),
)
