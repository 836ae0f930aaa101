"""Helicone requests: JSONL of what its API or its export command gives, one request a row.

Facts (Helicone's own code): a row that was not served from the cache has the id of zeros as `cache_reference_id`, not
nothing. What a cache hit would have used is counted elsewhere: its own tokens are 0. `prompt_tokens` is without the
cached tokens, and newer rows count reasoning beside `completion_tokens`; `total_tokens` is the sum of these, without
what was cached. Older versions may have cached tokens inside of `prompt_tokens`, and nothing in a row tells: a setting
says so. Costs are USD, 0 where no price was known. `response_id` is Helicone's own id in some versions.
"""

from __future__ import annotations

from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, json_text, object_or_text, other_usage, quote, typed
from llm_spend.schema import Column
from llm_spend.sources.about import About, Setting
from llm_spend.sources.expressions import first_told, metadata_with, operation_of_path, text_field
from llm_spend.sources.shared_tables import requests_format

NOT_CACHED = "00000000-0000-0000-0000-000000000000"
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_STATUS = f"try_cast({field('response_status')} AS INTEGER)"
_PROPERTIES = f"coalesce({object_or_text(field('properties'))}, {object_or_text(field('request_properties'))})"
_READ, _WRITE = field("prompt_cache_read_tokens"), field("prompt_cache_write_tokens")
_INPUT, _OUTPUT, _REASONING = field("prompt_tokens"), field("completion_tokens"), field("reasoning_tokens")

IGNORED = frozenset(
    {
        *("request_body", "response_body", "signed_body_url", "llmSchema", "asset_ids", "asset_urls", "assets"),
        *("response_created_at", "helicone_user", "country_code", "cache_enabled", "storage_location", "size_bytes"),
        *("feedback_created_at", "feedback_id", "request_referrer", "ai_gateway_body_mapping", "embedding"),
        *("gateway_endpoint_version", "is_passthrough_billing", "node_id"),
    }
)
"""Fields that are known and not read."""


def _number(text: str) -> str:
    return f"coalesce(try_cast({text} AS HUGEINT), 0)"


_IS_REASONING_BESIDE = (
    f"{_number(_REASONING)} > 0 AND {_number(_INPUT)} + {_number(_OUTPUT)} + {_number(_REASONING)}"
    f" = coalesce(try_cast({field('total_tokens')} AS HUGEINT),"
    f" {_number(_INPUT)} + {_number(_OUTPUT)} + {_number(_REASONING)})"
)
_ALL_OUTPUT = (
    f"CASE WHEN {_IS_REASONING_BESIDE} THEN CAST({_number(_OUTPUT)} + {_number(_REASONING)} AS VARCHAR)"
    f" ELSE {_OUTPUT} END"
)
_COST = first_told(field("cost"), field("costUSD"))
_USED = f"{_number(_INPUT)} + {_number(_OUTPUT)} + {_number(_READ)} + {_number(_WRITE)}"
_REFERENCE = text_field("cache_reference_id")
_RATING = (
    f"CASE lower({text_field('feedback_rating')}) WHEN 'true' THEN '1' WHEN 'false' THEN '0'"
    f" ELSE {json_text(field('scores'), 'helicone-score-feedback')} END"
)


def requests(*, input_includes_cache: bool = False) -> LogFormat:
    """The format of Helicone's requests, for versions with the cached tokens outside or inside of `prompt_tokens`."""
    cached = "0" if input_includes_cache else f"{_number(_READ)} + {_number(_WRITE)}"
    total = f"CAST(try_cast({field('total_tokens')} AS HUGEINT) + {cached} AS VARCHAR)"
    return requests_format(
        "helicone",
        {
            "source_record_id": Column("text", text_field("request_id"), required=True),
            "started_at": typed(text_field("request_created_at"), "timestamp").as_required(),
            "source_updated_at": typed(text_field("updated_at"), "timestamp"),
            "trace_id": Column("text", json_text(field("properties"), "Helicone-Session-Id")),
            "provider_response_id": Column(
                "text",
                f"CASE WHEN NOT regexp_matches({text_field('response_id')}, {quote(_UUID)})"
                f" THEN {text_field('response_id')} END",
            ),
            "provider": Column("text", f"lower({text_field('provider')})"),
            "raw_model": Column(
                "text",
                first_told(*(field(name) for name in ("response_model", "model_override", "request_model", "model"))),
            ),
            "requested_model": Column("text", text_field("request_model")),
            "operation": Column("text", operation_of_path(first_told(field("request_path"), field("target_url")))),
            "status": Column(
                "text",
                f"CASE WHEN {_STATUS} BETWEEN 200 AND 299 THEN 'success' WHEN {_STATUS} = -3 THEN 'cancelled'"
                f" WHEN {_STATUS} = -4 THEN 'blocked_guardrail' ELSE 'error' END",
            ),
            "http_status": typed(
                f"CASE WHEN {_STATUS} BETWEEN 100 AND 599 THEN {field('response_status')} END", "bigint"
            ),
            "error_type": Column(
                "text",
                f"CASE WHEN coalesce({_STATUS}, 0) BETWEEN 100 AND 599 OR {_STATUS} IN (-3, -4) THEN NULL"
                " ELSE 'no_response' END",
            ),
            "is_gateway_cache_hit": Column("bool", f"coalesce({_REFERENCE} <> {quote(NOT_CACHED)}, FALSE)"),
            "latency_ms": typed(field("delay_ms"), "decimal"),
            "ttft_ms": typed(f"nullif({field('time_to_first_token')}, '0')", "decimal"),
            "input_tokens": typed(_INPUT, "bigint"),
            "input_includes_cache": Column("bool", str(input_includes_cache).upper()),
            "cache_read_tokens": typed(_READ, "bigint"),
            "cache_write_5m_tokens": typed(_WRITE, "bigint"),
            "output_tokens": typed(_ALL_OUTPUT, "bigint"),
            "reasoning_tokens": typed(_REASONING, "bigint"),
            "total_tokens": typed(total, "bigint"),
            "other_usage": other_usage(
                {
                    "input_audio_tokens": field("prompt_audio_tokens"),
                    "output_audio_tokens": field("completion_audio_tokens"),
                }
            ),
            "prompt_id": Column("text", text_field("prompt_id")),
            "gateway_reported_usd": typed(
                f"CASE WHEN try_cast({_COST} AS DOUBLE) = 0 AND {_USED} > 0 THEN NULL ELSE {_COST} END", "money"
            ),
            "feedback_score": typed(_RATING, "decimal"),
            "metadata": Column(
                "json",
                metadata_with(
                    _PROPERTIES,
                    {
                        # Written as words where there was none.
                        "user": f"CASE WHEN {field('request_user_id')} NOT IN ('undefined', 'null')"
                        f" THEN {text_field('request_user_id')} END",
                        "prompt_version": text_field("prompt_version"),
                    },
                ),
            ),
        },
        ignored=IGNORED,
        json_fields=frozenset({"properties", "request_properties", "scores"}),
        metadata_given=f"CASE WHEN json_type({field('properties')}) <> 'NULL' THEN {field('properties')} END",
        record_name="Helicone request",
    )


ABOUT = About(
    title="Helicone",
    grain="One request to a provider through Helicone's proxy. Retries are requests of their own.",
    cost="`gateway_reported_usd` is what Helicone computed from its list of prices when the request was logged; a cost"
    " of 0 beside tokens means that it knew no price, and is left empty. What its cache answered costs nothing.",
    tokens="`prompt_tokens` is read as being without the cached tokens, as newer versions write it. For rows of older"
    " ones that counted them in, set `input_includes_cache`. Streams without usage have no tokens.",
    attribution="The user (`Helicone-User-Id`) and every property (`Helicone-Property-…`), under its own name.",
    lateness="A request that has no response yet is left for the next asking, after a day; then it is loaded as it is.",
    cannot_tell="Whether a request was streamed, which API key it came with, and what was billed in the end.",
    files="JSONL of requests, as the export command and the API write them.",
    api="`POST /v1/request/query-clickhouse` with an API key of the organisation that may read.",
    settings=(
        Setting("api_key", "API key of Helicone (`sk-helicone-…`)", is_secret=True, is_required=True),
        Setting(
            "base_url", "`https://eu.api.helicone.ai` for the EU, or your own; `https://api.helicone.ai` if not given"
        ),
        Setting("input_includes_cache", "`true` when `prompt_tokens` counts cached tokens too"),
    ),
)
