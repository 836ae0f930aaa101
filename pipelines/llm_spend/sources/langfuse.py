"""Langfuse observations, in the shape of the blob storage export: JSONL, CSV or Parquet, one observation a row.

Only generations and embeddings are calls of a model. Usage buckets exclude each other: `input` is without the cached
tokens, `output` without the reasoning, and `total` is the sum of all. Their names come from SDKs and integrations, so
each has aliases. Some integrations fill `input` with the cached tokens too; then the total tells. `total_cost` is what
was ingested or else what Langfuse computed then, in USD; 0 with no cost in detail means that nobody knew a price.
Latency is taken from the times, for old exports have it in ms and new ones in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from llm_spend.readers.records import Inside, Unnest
from llm_spend.readers.sql import field, identifier, number_at, object_or_text, once, other_usage, quote, typed
from llm_spend.readers.unknown import numbers_below
from llm_spend.schema import Column
from llm_spend.sources.about import About, Setting
from llm_spend.sources.expressions import first_at, metadata_with, text_field
from llm_spend.sources.shared_tables import requests_format

TYPES = ("GENERATION", "EMBEDDING")
"""The observations that are calls of a model."""

METADATA_CUT = "metadata_cut"
"""Metadata key that names the keys whose values Langfuse may have cut off."""

# Names of one thing: the first that is there counts.
_INPUT = ("input_tokens", "prompt_tokens", "promptTokens", "prompt_token_count", "promptTokenCount")
_OUTPUT = ("output_tokens", "completion_tokens", "completionTokens", "candidates_token_count", "candidatesTokenCount")
# Langfuse makes `total` itself, of all buckets, where it is not told; what was told under another name is right.
_TOTAL = ("total_tokens", "totalTokens", "total_token_count", "totalTokenCount", "total")
# Gemini's counts of thoughts are always beside the output.
_THOUGHTS = ("thoughts_token_count", "thoughtsTokenCount")
_CACHE_READ = (
    "input_cached_tokens",
    "cache_read_input_tokens",
    "input_cache_read",
    "input_cache_read_tokens",
    "input_cached",
    "cached_input_tokens",
    "cache_read",
    "cache_read_tokens",
    "cached_tokens",
    "cached_content_token_count",
    "cachedContentTokenCount",
)
_CACHE_WRITE = (
    "cache_creation_input_tokens",
    "cache_write_input_tokens",
    "input_cache_creation",
    "input_cache_creation_tokens",
    "input_cache_creation_input_tokens",
    "input_cache_write",
    "input_cache_write_tokens",
    "cache_creation",
    "cache_write",
    "cache_write_tokens",
)
_CACHE_WRITE_5M = ("input_cache_creation_5m", "cache_creation_5m", "ephemeral_5m_input_tokens")
_CACHE_WRITE_1H = ("input_cache_creation_1h", "cache_creation_1h", "ephemeral_1h_input_tokens")
# What begins with `output` is part of the output; what does not is beside it when the total says so.
_REASONING = (
    "output_reasoning_tokens",
    "output_reasoning",
    "reasoning_tokens",
    "reasoning",
    *_THOUGHTS,
)

# Langfuse has no provider. Where no integration told one, the maker of the model is meant, as in its own prices.
_MAKERS = {
    "aws": r"^arn:aws|^((us|eu|apac|jp|global)[.])?(anthropic|amazon|meta|mistral|cohere|ai21|deepseek)[.]",
    "openai": "^(gpt-|chatgpt|o[134](-|$)|text-embedding-(3|ada)|dall-e|whisper|tts-|omni-moderation)",
    "anthropic": "^claude",
    "google": "^(gemini|imagen|veo)",
    "mistral": "^(mistral|ministral|magistral|codestral|devstral|pixtral|open-mi)",
    "cohere": "^(command|embed-|rerank-)",
    "deepseek": "^deepseek",
    "xai": "^grok",
    "perplexity": "^sonar",
}

_IGNORED = frozenset(
    {
        *("input", "output", "project_id", "parent_observation_id", "is_root_observation", "bookmarked", "public"),
        *("session_id", "created_at", "internal_model_id", "model_id", "usage_pricing_tier_name"),
        *("usage_pricing_tier_id", "input_price", "output_price", "total_price", "latency", "time_to_first_token"),
        *("tool_calls", "tool_call_names", "tool_definitions", "provided_usage_details", "provided_cost_details"),
    }
)

_USAGE = field("usage_details")
_CACHED = "cache|ephemeral"
_IS_CACHED = f"regexp_matches(k, {quote(_CACHED)})"
_IS_UNCACHED = (
    f"(regexp_matches(k, '^(input|output)') OR k IN ({', '.join(map(quote, (*_INPUT, *_OUTPUT, *_THOUGHTS)))}))"
    f" AND NOT {_IS_CACHED}"
)
# An object, or a text that holds one: either way this is the object.
_PARAMETERS = f"try_cast(json_extract_string({field('model_parameters')}, '$') AS JSON)"


def _bucket(names: Iterable[str]) -> str:
    """Text of the first bucket that is there, of several names for one."""
    return first_at(_USAGE, *((name,) for name in names))


def _sum(condition: str) -> str:
    """Text of the tokens of all buckets whose name `k` meets a condition, NULL when there is none.

    A bucket that holds no number makes it a text that is none either, so that the row is marked.
    """
    buckets = f"map_entries(try_cast({_USAGE} AS MAP(VARCHAR, VARCHAR)))"
    is_wanted = f"e.value IS NOT NULL AND {once('e.key', 'k', condition)}"
    texts = f"list_transform(list_filter({buckets}, lambda e: {is_wanted}), lambda e: e.value)"
    numbers = "list_transform(t, lambda v: try_cast(v AS UBIGINT))"
    wrong = f"list_contains(list_transform({numbers}, lambda n: n IS NULL), TRUE)"
    summed = f"CASE WHEN {wrong} THEN CAST(t AS VARCHAR) ELSE CAST(list_sum({numbers}) AS VARCHAR) END"
    return once(texts, "t", summed)


def _sum_of(prefix: str, others: tuple[str, ...]) -> str:
    """Text of the tokens of all buckets that begin alike, without cached ones, or else those under another name.

    SDKs split buckets in ways that no list can hold: `input_text`, `input_modality_1`.
    """
    is_part = f"starts_with(k, {quote(prefix)}) AND NOT {_IS_CACHED} AND k <> {quote(others[0])}"
    return f"coalesce({_sum(is_part)}, {_bucket(others)})"


_BUCKETS = (
    *("input", "output", *_INPUT, *_OUTPUT, *_TOTAL, *_REASONING),
    *(*_CACHE_READ, *_CACHE_WRITE, *_CACHE_WRITE_5M, *_CACHE_WRITE_1H),
)
_USAGE_KNOWN = frozenset(f"usage_details.{name}" for name in _BUCKETS)


def _other_buckets(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Buckets of other names; those of what is part of the input or the output are read whatever their name is."""
    for place, value in numbers_below(document.get("usage_details"), "usage_details", _USAGE_KNOWN, depth=1):
        name = place.partition(".")[2]
        if re.search(_CACHED, name) or not name.startswith(("input", "output")):
            yield place, value


_STARTED, _ENDED, _FIRST_TOKEN = (text_field(name) for name in ("start_time", "end_time", "completion_start_time"))


def _milliseconds(start: str, end: str) -> str:
    """Text of the time between two times, NULL when one is missing or they are in the wrong order."""
    micros = f"date_diff('microsecond', try_cast({start} AS TIMESTAMP), try_cast({end} AS TIMESTAMP))"
    return once(micros, "m", "CASE WHEN m >= 0 THEN CAST(m / 1000.0 AS VARCHAR) END")


def _attribute(*names: str) -> str:
    """An attribute that integrations leave in the metadata, under one of several names; OpenTelemetry's lie deeper."""
    paths = [path for name in names for path in ((name,), ("attributes", name), (f"attributes.{name}",))]
    return first_at(field("metadata"), *paths)


_MODEL = f"lower({text_field('provided_model_name')})"
_MAKER = (
    "CASE"
    + "".join(f" WHEN regexp_matches({_MODEL}, {quote(names)}) THEN {quote(maker)}" for maker, names in _MAKERS.items())
    + " END"
)

# Made once for each observation: a statement that says this in every column takes longer to parse than to run.
_DERIVED = {
    "started": _STARTED,
    "latency": _milliseconds(_STARTED, _ENDED),
    "time to first token": _milliseconds(_STARTED, _FIRST_TOKEN),
    "input tokens": _sum_of("input", _INPUT),
    "output tokens": _sum_of("output", _OUTPUT),
    "cached tokens": _sum(_IS_CACHED),
    "uncached tokens": _sum(_IS_UNCACHED),
    "cache read": _bucket(_CACHE_READ),
    "cache write": _bucket(_CACHE_WRITE),
    "cache write 5m": _bucket(_CACHE_WRITE_5M),
    "cache write 1h": _bucket(_CACHE_WRITE_1H),
    "reasoning": _bucket(_REASONING),
    "total": _bucket(_TOTAL),
    "input audio": _bucket(("input_audio_tokens", "input_audio")),
    "input images": _bucket(("input_image_tokens", "input_image")),
    "output audio": _bucket(("output_audio_tokens", "output_audio")),
    "output images": _bucket(("output_image_tokens", "output_image")),
    "temperature": first_at(_PARAMETERS, ("temperature",)),
    "max tokens": first_at(
        _PARAMETERS, ("max_tokens",), ("max_completion_tokens",), ("max_output_tokens",), ("maxTokens",)
    ),
    "cost": text_field("total_cost"),
}


def _derived(name: str) -> str:
    assert name in _DERIVED
    return field(name)


def _number(name: str) -> str:
    return f"try_cast({_derived(name)} AS HUGEINT)"


# A bucket of all writes may be there beside those by lifetime: they exclude each other when the total is that of all.
_WRITE_NOT_1H = (
    f"CAST(CASE WHEN {_number('total')} = {_number('cached tokens')} + coalesce({_number('uncached tokens')}, 0)"
    f" THEN list_sum([{_number('cache write')}, {_number('cache write 5m')}])"
    f" ELSE greatest({_number('cache write 5m')}, {_number('cache write')}"
    f" - CASE WHEN {_number('cache write 1h')} <= {_number('cache write')} THEN {_number('cache write 1h')} ELSE 0 END)"
    " END AS VARCHAR)"
)
_IS_CACHE_INSIDE = (
    f"coalesce({_number('cached tokens')} > 0 AND {_number('total')} = {_number('uncached tokens')}, FALSE)"
)
_IS_ERROR = f"{field('level')} = 'ERROR'"
_HTTP_STATUS = r"'(?i)(?:status|code)[^0-9]{0,12}([45][0-9]{2})\b'"
_NO_COST_KNOWN = (
    f"coalesce(CAST({field('cost_details')} AS VARCHAR), '{{}}') IN ('{{}}', 'null')"
    f" AND try_cast({_derived('cost')} AS DOUBLE) = 0"
)

OBSERVATIONS = requests_format(
    "langfuse",
    {
        "source_record_id": Column("text", text_field("id"), required=True),
        "started_at": typed(_derived("started"), "timestamp").as_required(),
        "source_updated_at": typed(text_field("updated_at"), "timestamp"),
        "trace_id": Column("text", text_field("trace_id")),
        "provider_response_id": Column("text", _attribute("gen_ai.response.id")),
        "provider": Column(
            "text", f"coalesce({_attribute('ls_provider', 'gen_ai.provider.name', 'gen_ai.system')}, {_MAKER})"
        ),
        "raw_model": Column("text", text_field("provided_model_name")),
        "requested_model": Column("text", _attribute("gen_ai.request.model")),
        "operation": Column("text", f"CASE WHEN {field('type')} = 'EMBEDDING' THEN 'embedding' ELSE 'chat' END"),
        "status": Column("text", f"CASE WHEN {_IS_ERROR} THEN 'error' ELSE 'success' END"),
        "http_status": typed(
            f"CASE WHEN {_IS_ERROR} THEN nullif(regexp_extract({field('status_message')}, {_HTTP_STATUS}, 1), '') END",
            "bigint",
        ),
        # The message itself may quote what was said.
        "error_type": Column(
            "text",
            f"CASE WHEN {_IS_ERROR}"
            f" THEN nullif(regexp_extract({field('status_message')}, '[A-Za-z]+(?:Error|Exception|Timeout)'), '') END",
        ),
        "latency_ms": typed(_derived("latency"), "decimal"),
        "ttft_ms": typed(_derived("time to first token"), "decimal"),
        "is_stream": Column("bool", f"CASE WHEN {_FIRST_TOKEN} IS NOT NULL THEN TRUE END"),
        "input_tokens": typed(_derived("input tokens"), "bigint"),
        "input_includes_cache": Column("bool", _IS_CACHE_INSIDE),
        "cache_read_tokens": typed(_derived("cache read"), "bigint"),
        "cache_write_5m_tokens": typed(_WRITE_NOT_1H, "bigint"),
        "cache_write_1h_tokens": typed(_derived("cache write 1h"), "bigint"),
        "output_tokens": typed(_derived("output tokens"), "bigint"),
        "reasoning_tokens": typed(_derived("reasoning"), "bigint"),
        "total_tokens": typed(_derived("total"), "bigint"),
        "other_usage": other_usage(
            {
                "input_audio_tokens": _derived("input audio"),
                "input_image_tokens": _derived("input images"),
                "output_audio_tokens": _derived("output audio"),
                "output_image_tokens": _derived("output images"),
            }
        ),
        "temperature": typed(_derived("temperature"), "decimal"),
        "max_tokens": typed(_derived("max tokens"), "bigint"),
        "prompt_id": Column("text", f"coalesce({text_field('prompt_name')}, {text_field('prompt_id')})"),
        "gateway_reported_usd": typed(
            f"CASE WHEN NOT coalesce({_NO_COST_KNOWN}, FALSE) THEN {_derived('cost')} END", "money"
        ),
        "metadata": Column(
            "json",
            metadata_with(
                object_or_text(field("metadata")),
                {
                    "user": text_field("user_id"),
                    # Langfuse's own word for none.
                    "environment": f"nullif({text_field('environment')}, 'default')",
                    "trace_name": text_field("trace_name"),
                    "observation_name": text_field("name"),
                    "release": text_field("release"),
                    "version": text_field("version"),
                    "prompt_version": text_field("prompt_version"),
                    "tags": f"CASE WHEN json_array_length({field('tags')}) > 0 THEN {field('tags')} END",
                },
            ),
        ),
    },
    json_fields=frozenset({"metadata", "model_parameters", "usage_details", "cost_details", "tags"}),
    ignored=_IGNORED,
    inside=Inside(_other_buckets, _USAGE_KNOWN, lambda place: number_at(_USAGE, place.partition(".")[2])),
    keep=f"{field('type')} IN ({', '.join(quote(each) for each in TYPES)})",
    metadata_given=f"CASE WHEN json_type({field('metadata')}) <> 'NULL' THEN {field('metadata')} END",
    record_name="Langfuse observation",
)
OBSERVATIONS = replace(
    OBSERVATIONS,
    unnest=Unnest(
        f"[struct_pack({', '.join(f'{identifier(name)} := {sql}' for name, sql in _DERIVED.items())})]", tuple(_DERIVED)
    ),
)

ABOUT = About(
    title="Langfuse",
    grain="One generation or embedding that somebody's code told Langfuse of. A retry is one only when it was traced.",
    cost="`gateway_reported_usd` is the cost that was ingested with the observation, or else the one that Langfuse"
    " computed when it came; it is never computed again. Where no price was known there is none.",
    tokens="Buckets exclude each other: `input` is without cached tokens. A row whose total shows that they are inside"
    " is read that way. Counts may be estimates of a tokenizer.",
    attribution="The user, the environment, the tags and the trace's name, besides the observation's own metadata. The"
    " API cuts metadata at 200 characters: name the keys that are longer in `expand_metadata`; others that were cut are"
    f" named under the key `{METADATA_CUT}`.",
    lateness="Rows come up to ten minutes late and are updated afterwards: a window is asked for again after a day.",
    cannot_tell="What was not traced. Which cloud a model was called at, unless an integration told it (`ls_provider`,"
    " `gen_ai.provider.name`): else the maker of the model is taken for the provider. A gateway in front of the same"
    " calls tells of them a second time. Servers before version 4 do not say who the user was.",
    files="`observations_v2/` of the blob storage export, as JSONL, CSV or Parquet (the last two with all field groups"
    " but `io` and `tools`). `scores/` and `traces/` are no observations: leave them out of `--path`.",
    api="Observations (`/api/public/v2/observations`), numeric and boolean scores (`/api/public/v3/scores`) and daily"
    " totals (`/api/public/v2/metrics`) with a key pair of the project; on every plan.",
    settings=(
        Setting("public_key", "public key of the project (`pk-lf-…`)", is_required=True),
        Setting("secret_key", "secret key of the project (`sk-lf-…`)", is_secret=True, is_required=True),
        Setting("base_url", "where Langfuse is: your region or server; `https://cloud.langfuse.com` if not given"),
        Setting("api_version", "`v1` for a server of your own before Langfuse 4; `v2` if not given"),
        Setting("expand_metadata", "metadata keys, with commas between them, whose values are wanted in full"),
        Setting("score_names", "names of the scores that are feedback, with commas between them; all if not given"),
    ),
)
