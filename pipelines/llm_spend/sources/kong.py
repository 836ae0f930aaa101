"""Kong AI Gateway: what its log plugins (file, HTTP, TCP, Kafka) write about a request, one JSON object a request.

One request can be several calls of a model: a block each in `ai`, by plugin in older versions (`ai-proxy`,
`ai-request-transformer`, …; `prompt_token`, `completion_token`), and `proxy` in newer ones (`prompt_tokens`). Times are
epoch milliseconds. Without `config.logging.log_statistics` of the plugin there are no tokens. `cost` comes from the
rates in the plugin's settings, and is 0 without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llm_spend.readers.records import Inside, Unnest
from llm_spend.readers.sql import (
    cast_text,
    epoch_timestamp,
    field,
    identifier,
    json_part,
    json_text,
    other_usage,
    typed,
)
from llm_spend.schema import Column
from llm_spend.sources.about import About
from llm_spend.sources.expressions import first_told, metadata_with, operation_of_path, text_column, text_field, told
from llm_spend.sources.shared_tables import requests_format

_PLUGIN, _BLOCK = "ai plugin", "ai block"
_REQUEST, _RESPONSE, _LATENCIES, _CONSUMER, _AI = (
    field(name) for name in ("request", "response", "latencies", "consumer", "ai")
)
_STARTED = text_field("started_at")
_HEADERS = ("user", "team", "feature", "customer", "environment")

_BLOCKS = (
    f"list_transform(json_keys({_AI}), name -> struct_pack({identifier(_PLUGIN)} := name,"
    f" {identifier(_BLOCK)} := json_extract({_AI}, concat('$.\"', name, '\"'))))"
)
_RECORDS = (
    # A block that says neither whose model it was nor what it used is about something else: the payload, a guard.
    f"CASE WHEN json_type({_AI}) = 'OBJECT' THEN list_filter({_BLOCKS}, each ->"
    f" coalesce({', '.join(json_part(f'each.{identifier(_BLOCK)}', part) for part in ('usage', 'meta'))}) IS NOT NULL)"
    f" WHEN coalesce({field('started_at')}, CAST({_REQUEST} AS VARCHAR)) IS NOT NULL THEN [] END"
)


def _usage(*path: str) -> str:
    return json_text(field(_BLOCK), "usage", *path)


def _meta(name: str) -> str:
    return json_text(field(_BLOCK), "meta", name)


def _header(tag: str) -> str:
    return first_told(*(json_text(_REQUEST, "headers", name) for name in (f"x-{tag}", f"x-{tag}-id")))


def _bigint(text: str) -> str:
    return f"CAST(coalesce({cast_text(text, 'bigint')}, 0) AS HUGEINT)"


_INPUT = first_told(_usage("prompt_tokens"), _usage("prompt_token"), _usage("input_tokens"))
_OUTPUT = first_told(_usage("completion_tokens"), _usage("completion_token"), _usage("output_tokens"))
_CACHED = _usage("prompt_tokens_details", "cached_tokens")
_TOTAL = _usage("total_tokens")
_IS_CACHE_INSIDE = (
    f"NOT ({_bigint(_CACHED)} > 0 AND coalesce({cast_text(_TOTAL, 'bigint')}"
    f" = {_bigint(_INPUT)} + {_bigint(_OUTPUT)} + {_bigint(_CACHED)}, FALSE))"
)
_REQUEST_ID = told(json_text(_REQUEST, "id"))
# Kong gives requests an id since 3.5.
_ID = f"coalesce({_REQUEST_ID}, md5(concat_ws('|', {_STARTED}, {field('client_ip')}, {_REQUEST}, {_LATENCIES})))"
_COST = cast_text(_usage("cost"), "money")
_TRIES = f"json_array_length({field('tries')})"
_CONSUMER_NAME = first_told(*(json_text(_CONSUMER, name) for name in ("username", "custom_id", "id")))
_CONTENT_TYPE = json_text(_RESPONSE, "headers", "content-type")

_USAGE_READ = (
    *("prompt_tokens", "prompt_token", "input_tokens", "completion_tokens", "completion_token", "output_tokens"),
    *("prompt_tokens_details", "completion_tokens_details", "total_tokens", "cost", "time_to_first_token"),
)
_IGNORED = frozenset({"upstream_uri", "upstream_status", "source", "auth_type"})


def _usage_of_blocks(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What plugins counted in a line, by `usage.<name>`."""
    blocks = document.get("ai")
    for block in blocks.values() if isinstance(blocks, dict) else ():
        usage = block.get("usage") if isinstance(block, dict) else None
        for name, value in usage.items() if isinstance(usage, dict) else ():
            yield f"usage.{name}", value


LOGS = requests_format(
    "kong",
    {
        "source_record_id": text_column(f"{_ID} || ':' || {field(_PLUGIN)}").as_required(),
        "started_at": Column("timestamp", epoch_timestamp(_STARTED, per_second=1000), _STARTED, required=True),
        "logical_request_id": text_column(_ID),
        "provider": text_column(told(_meta("provider_name"))),
        "raw_model": text_column(first_told(_meta("response_model"), _meta("request_model"))),
        "requested_model": text_column(told(_meta("request_model"))),
        "operation": text_column(operation_of_path(told(json_text(_REQUEST, "uri")))),
        "http_status": typed(json_text(_RESPONSE, "status"), "bigint"),
        "is_stream": Column(
            "bool",
            f"coalesce({_meta('request_mode')} = 'stream', contains({_CONTENT_TYPE}, 'text/event-stream'))",
        ),
        "is_gateway_cache_hit": Column("bool", f"lower({json_text(field(_BLOCK), 'cache', 'cache_status')}) = 'hit'"),
        "latency_ms": typed(first_told(_meta("llm_latency"), json_text(_LATENCIES, "request")), "decimal"),
        "ttft_ms": typed(_usage("time_to_first_token"), "decimal"),
        "input_tokens": typed(_INPUT, "bigint"),
        "input_includes_cache": Column("bool", _IS_CACHE_INSIDE),
        "cache_read_tokens": typed(_CACHED, "bigint"),
        "output_tokens": typed(_OUTPUT, "bigint"),
        "reasoning_tokens": typed(_usage("completion_tokens_details", "reasoning_tokens"), "bigint"),
        "total_tokens": typed(_TOTAL, "bigint"),
        "other_usage": other_usage(
            {
                "input_audio_tokens": _usage("prompt_tokens_details", "audio_tokens"),
                "output_audio_tokens": _usage("completion_tokens_details", "audio_tokens"),
            }
        ),
        "api_key_id": text_column(told(json_text(field("authenticated_entity"), "id"))),
        "gateway_user_id": text_column(_CONSUMER_NAME),
        # 0 means that the plugin has no rates.
        "gateway_reported_usd": Column("money", f"CASE WHEN {_COST} > 0 THEN {_COST} END"),
        "metadata": Column(
            "json",
            metadata_with(
                "CAST(NULL AS JSON)",
                {
                    **{tag: _header(tag) for tag in _HEADERS},
                    "user": f"coalesce({_header('user')}, {told(json_text(_CONSUMER, 'custom_id'))})",
                    "service": told(json_text(field("service"), "name")),
                    "route": told(json_text(field("route"), "name")),
                    "workspace": first_told(field("workspace_name"), field("workspace")),
                    "plugin": field(_PLUGIN),
                    "tries": f"CASE WHEN {_TRIES} > 1 THEN CAST({_TRIES} AS VARCHAR) END",
                },
            ),
        ),
    },
    json_fields=frozenset(
        {
            "request",
            "response",
            "latencies",
            "consumer",
            "authenticated_entity",
            "service",
            "route",
            "tries",
            "ai",
        }
    ),
    record_name="Kong log",
    unnest=Unnest(_RECORDS, (_PLUGIN, _BLOCK)),
    ignored=_IGNORED,
    inside=Inside(
        _usage_of_blocks,
        frozenset(f"usage.{name}" for name in (*_USAGE_READ, "time_per_token")),
        lambda name: json_part(field(_BLOCK), *name.split(".", 1)),
    ),
)

ABOUT = About(
    title="Kong AI Gateway",
    grain="A call of a model by a plugin; several plugins of one request are calls of their own. Tries of one call are"
    " one row: their number is in the metadata, their tokens are not logged.",
    cost="What the plugin makes of the rates in its settings, taken as US dollars; 0 means no rates and is unknown.",
    tokens="Input includes cached tokens, as OpenAI counts; a row whose total shows that they are counted beside the"
    " input is read so. Cache writes are not logged.",
    attribution="The consumer is the gateway's user, its `custom_id` the metadata key `user`. The headers `x-user`,"
    " `x-team`, `x-feature`, `x-customer` and `x-environment` (also with `-id`) become metadata, when they are logged."
    " Service, route, workspace and plugin are metadata too.",
    lateness="As late as your log plugin writes.",
    cannot_tell="Tokens without `log_statistics`; whether tokens of a stream are the provider's or Kong's estimate;"
    " what a failed try used; file and batch jobs.",
    files="The JSON that a log plugin writes, one request a line. Requests that no AI plugin handled are left out.",
)
