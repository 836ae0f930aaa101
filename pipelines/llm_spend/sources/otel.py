"""OpenTelemetry spans of model calls, as OTLP/JSON files, in every dialect.

`gen_ai.*` attributes in their present and former names, those of OpenLLMetry, OpenInference, vLLM and LiteLLM. Spans of
agents, tools and workflows repeat the usage of the calls below them and are left out, as is everything that is no call
of a model. Input includes cached tokens: the convention says so since 1.40, and so do the OpenAI and Anthropic
instrumentations of OpenLLMetry (0.62.4) and OpenInference (0.1.66, 3.1.0), whose spans are recorded for our tests.
Where a total shows that cached tokens are counted beside the input, the row says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llm_spend.readers import otlp
from llm_spend.readers.records import Inside
from llm_spend.readers.sql import cast_text, field, flat_object, json_text, number_at, other_usage, quote, typed
from llm_spend.schema import Column, Kind
from llm_spend.sources.about import About
from llm_spend.sources.expressions import metadata_with, text_column, told
from llm_spend.sources.shared_tables import requests_format

_OPERATIONS = (
    "chat",
    "generate_content",
    "text_completion",
    "completion",
    "embeddings",
    "embedding",
    "responses",
    "messages",
    "rerank",
    "image",
    "image_generation",
    "generate_image",
    "speech",
    "transcription",
    "moderation",
    # LiteLLM names the function that was called.
    "acompletion",
    "atext_completion",
    "aembedding",
    "aresponses",
    "anthropic_messages",
)
_KINDS = ("LLM", "EMBEDDING", "RERANKER")

_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "operation": ("gen_ai.operation.name", "llm.request.type"),
    "span_kind": ("openinference.span.kind",),
    "framework_kind": ("traceloop.span.kind",),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "asked_model": ("gen_ai.request.model", "llm.request.model_name"),
    "model": ("gen_ai.response.model", "llm.response.model_name", "llm.model_name", "embedding.model_name"),
    "parameters": ("llm.invocation_parameters", "embedding.invocation_parameters"),
    "server": ("server.address",),
    "api_base": ("gen_ai.openai.api_base",),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens"),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
    ),
    "cache_write": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
    ),
    "input_audio": ("llm.token_count.prompt_details.audio",),
    "output_audio": ("llm.token_count.completion_details.audio",),
    # The convention has no cost. These are of vendors, and in USD: several, LiteLLM, OpenInference.
    "cost": ("gen_ai.usage.cost", "gen_ai.cost.total_cost", "llm.cost.total"),
    "response_id": ("gen_ai.response.id",),
    "vllm_id": ("gen_ai.request.id",),
    "served_tier": ("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
    "asked_tier": ("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
    "stream": ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"),
    "temperature": ("gen_ai.request.temperature",),
    "max_tokens": ("gen_ai.request.max_tokens", "gen_ai.request.max_completion_tokens"),
    "first_chunk_seconds": ("gen_ai.response.time_to_first_chunk", "gen_ai.latency.time_to_first_token"),
    "http_status": ("http.response.status_code", "http.status_code"),
    "prompt": ("gen_ai.prompt.name", "traceloop.prompt.key"),
    "error": ("error.type",),
    "metadata": ("metadata",),
    "user": ("user.id", "enduser.id", "gen_ai.user", "llm.user"),
    "session": ("gen_ai.conversation.id", "session.id"),
    "labels": ("tag.tags",),
}
"""By what they tell: the attributes of a span in all dialects, in the order in which they count."""

_RESOURCE = {
    "service": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
}
_TAGS = (
    *("user", "user_id", "team", "team_id", "business_unit", "feature", "feature_name", "feature_id"),
    *("customer", "customer_id", "environment", "env", "run_id", "mlflow_run_id"),
)
"""Attributes that applications set themselves, on a span or on its resource, under the names that attribution knows."""

_MARKS = (
    *_ATTRIBUTES["operation"],
    *_ATTRIBUTES["span_kind"],
    *_ATTRIBUTES["asked_model"],
    *_ATTRIBUTES["model"],
    *_ATTRIBUTES["vllm_id"],
    "gen_ai.usage.prompt_tokens",
)


def _is_call(said: Callable[[str], str]) -> str:
    """Whether a span is a call of a model, as far as each dialect that it speaks can tell."""
    operations, kinds = (", ".join(quote(name) for name in names) for names in (_OPERATIONS, _KINDS))
    return (
        f"coalesce(lower({said('operation')}) IN ({operations}), TRUE)"
        f" AND coalesce(upper({said('span_kind')}) IN ({kinds}), TRUE)"
        f" AND coalesce({said('framework_kind')} IN ('llm', 'unknown'), TRUE)"
    )


_WANTED = otlp.Wanted(
    attributes=_ATTRIBUTES,
    resource=_RESOURCE,
    marks=_MARKS,
    condition=_is_call,
    tags=_TAGS,
    tag_prefixes=("traceloop.association.properties.",),
    first_tokens=("First Token Stream Event", "gen_ai.content.completion.chunk"),
)


def _typed(name: str, kind: Kind) -> Column:
    return typed(field(name), kind)


def _parameter(name: str) -> str:
    """A parameter of the call, from the JSON text in which OpenInference has them all."""
    return told(json_text(f"try_cast({field('parameters')} AS JSON)", name))


def _count(name: str) -> str:
    return f"CAST(coalesce({cast_text(field(name), 'bigint')}, 0) AS HUGEINT)"


_SAID = f"lower(coalesce({field('operation')}, {field('span_kind')}))"
_OPERATION = (
    f"CASE {_SAID} WHEN 'generate_content' THEN 'chat' WHEN 'llm' THEN 'chat' WHEN 'acompletion' THEN 'chat'"
    f" WHEN 'completion' THEN 'text_completion' WHEN 'reranker' THEN 'rerank' ELSE coalesce({_SAID},"
    f" CASE WHEN starts_with({field('vllm_id')}, 'chatcmpl-') THEN 'chat' END) END"
)

# LiteLLM answers with the name that was asked for, and asks for the one that it found for it.
_IS_LITELLM = f"{field(otlp.SCOPE)} = 'litellm'"
_ASKED_MODEL = f"coalesce({field('asked_model')}, {_parameter('model')})"
_MODEL = (
    f"CASE WHEN {_IS_LITELLM} THEN coalesce({field('asked_model')}, {field('model')})"
    f" ELSE coalesce({field('model')}, {_ASKED_MODEL}) END"
)
_REQUESTED_MODEL = f"CASE WHEN {_IS_LITELLM} THEN {field('model')} ELSE {_ASKED_MODEL} END"

# An OpenAI client says openai whoever answers it; these hosts are others, with prices of their own.
_HOSTS = {
    ".azure.com": "azure-openai",
    ".amazonaws.com": "aws-bedrock",
    "openrouter.ai": "openrouter",
    ".groq.com": "groq",
    ".deepseek.com": "deepseek",
    ".together.xyz": "together",
    ".fireworks.ai": "fireworks",
    ".mistral.ai": "mistral",
    ".perplexity.ai": "perplexity",
    ".x.ai": "x-ai",
    ".googleapis.com": "google",
}
_HOST = f"lower(coalesce({field('server')}, regexp_extract({field('api_base')}, '^https?://([^/:]+)', 1)))"
_PROVIDER = (
    f"CASE WHEN lower({field('provider')}) <> 'openai' THEN {field('provider')}"
    + "".join(f" WHEN ends_with({_HOST}, {quote(end)}) THEN {quote(name)}" for end, name in _HOSTS.items())
    # vLLM names no provider, and without one the price of whoever sells the model would do.
    + f" ELSE coalesce({field('provider')}, CASE WHEN {field('vllm_id')} IS NOT NULL THEN 'vllm' END) END"
)

_ERROR = f"coalesce({field('error')}, nullif({field(otlp.EXCEPTION)}, ''))"
_HAS_FAILED = f"(coalesce({field(otlp.STATUS)}, '') IN ('2', 'STATUS_CODE_ERROR') OR {field('error')} IS NOT NULL)"
_STATUS = (
    f"CASE WHEN NOT {_HAS_FAILED} THEN 'success'"
    f" WHEN regexp_matches({_ERROR}, '(^|[.])RateLimitError$') THEN 'blocked_rate_limit' ELSE 'error' END"
)
_HTTP_STATUS = (
    f"coalesce({field('http_status')},"
    f" CASE WHEN regexp_full_match({field('error')}, '[1-5][0-9][0-9]') THEN {field('error')} END)"
)

_CACHED = f"{_count('cache_read')} + {_count('cache_write')}"
_IS_CACHE_BESIDE = (
    f"{_CACHED} > 0 AND coalesce({cast_text(field('total_tokens'), 'bigint')}"
    f" = {_count('input_tokens')} + {_count('output_tokens')} + {_CACHED}, FALSE)"
)
_TTFT = (
    f"coalesce(try_cast(try_cast({field('first_chunk_seconds')} AS DECIMAL(30, 9)) * 1000 AS DECIMAL(18, 6)),"
    f" {otlp.nanos_between(field(otlp.STARTED), field(otlp.FIRST_TOKEN))})"
)
# vLLM gives a request the id that its answer has.
_MADE_ID = f"CASE WHEN regexp_matches({field('vllm_id')}, '^(chat)?cmpl-') THEN {field('vllm_id')} END"

_GIVEN = flat_object(f"try_cast({field('metadata')} AS JSON)")
_METADATA = metadata_with(
    f"json_merge_patch(json_merge_patch({field(otlp.RESOURCE_TAGS)}, {field(otlp.TAGS)}),"
    f" coalesce({_GIVEN}, CAST('{{}}' AS JSON)))",
    {
        "user": field("user"),
        "environment": field("environment"),
        "service_name": field("service"),
        "session_id": field("session"),
        "labels": (
            f"array_to_string(json_extract_string(try_cast({field('labels')} AS JSON), '$.values[*].stringValue'), ',')"
        ),
    },
)

_STARTED, _TRACE, _SPAN = (f"nullif({field(name)}, '')" for name in (otlp.STARTED, otlp.TRACE_ID, otlp.SPAN_ID))

SPANS = requests_format(
    "otel",
    {
        "source_record_id": text_column(f"{_TRACE} || ':' || {_SPAN}").as_required(),
        "started_at": Column("timestamp", otlp.nanos_timestamp(_STARTED), _STARTED, required=True),
        "trace_id": text_column(_TRACE),
        "provider_response_id": text_column(f"coalesce({field('response_id')}, {_MADE_ID})"),
        "provider": text_column(_PROVIDER),
        "raw_model": text_column(_MODEL),
        "requested_model": text_column(_REQUESTED_MODEL),
        "operation": text_column(_OPERATION),
        "status": text_column(_STATUS),
        "http_status": typed(_HTTP_STATUS, "bigint"),
        "error_type": text_column(f"CASE WHEN {_HAS_FAILED} THEN {_ERROR} END"),
        "is_stream": typed(f"coalesce({field('stream')}, {_parameter('stream')})", "bool"),
        "latency_ms": Column("decimal", otlp.nanos_between(_STARTED, field(otlp.ENDED))),
        "ttft_ms": Column("decimal", _TTFT),
        "input_tokens": _typed("input_tokens", "bigint"),
        "input_includes_cache": Column("bool", f"NOT ({_IS_CACHE_BESIDE})"),
        "cache_read_tokens": _typed("cache_read", "bigint"),
        "cache_write_5m_tokens": _typed("cache_write", "bigint"),
        "output_tokens": _typed("output_tokens", "bigint"),
        "reasoning_tokens": _typed("reasoning", "bigint"),
        "total_tokens": _typed("total_tokens", "bigint"),
        "other_usage": other_usage(
            {"input_audio_tokens": field("input_audio"), "output_audio_tokens": field("output_audio")}
        ),
        "service_tier": text_column(
            f"coalesce({field('served_tier')},"
            f" nullif(coalesce({field('asked_tier')}, {_parameter('service_tier')}), 'auto'))"
        ),
        "region": text_column(f"nullif(regexp_extract({_HOST}, '^([a-z]{{2}})[.]api[.]openai[.]com$', 1), '')"),
        "temperature": typed(f"coalesce({field('temperature')}, {_parameter('temperature')})", "decimal"),
        "max_tokens": typed(
            f"coalesce({field('max_tokens')}, {_parameter('max_tokens')}, {_parameter('max_completion_tokens')})",
            "bigint",
        ),
        "prompt_id": text_column(field("prompt")),
        "gateway_reported_usd": _typed("cost", "money"),
        "metadata": Column("json", _METADATA),
    },
    record_name="line of OTLP/JSON",
    unnest=otlp.spans(_WANTED),
    inside=Inside(
        lambda document: otlp.numbers_in(document, _MARKS),
        frozenset(name for names in (*_ATTRIBUTES.values(), _TAGS) for name in names),
        lambda name: number_at(field(otlp.OTHERS), name),
        lambda names: otlp.spans(replace(_WANTED, others=names)),
    ),
)
SPANS = replace(SPANS, metadata_unreadable=f"{told(field('metadata'))} IS NOT NULL AND ({_GIVEN}) IS NULL")

ABOUT = About(
    title="OpenTelemetry",
    grain="A span of a call of a model: what the application saw. Spans of agents, tools and workflows are left out,"
    " since they repeat the usage of the calls below them.",
    cost="The convention has none. `gen_ai.usage.cost`, `gen_ai.cost.total_cost` (LiteLLM) and `llm.cost.total`"
    " (OpenInference) are read, as US dollars.",
    tokens="Input includes cached tokens, as the convention asks for since 1.40; a row whose total shows that they are"
    " counted beside the input is read so. Cache writes are taken as those for 5 minutes.",
    attribution="`user.id`, `enduser.id` and the like become the metadata key `user`; association properties of"
    " OpenLLMetry, `metadata` of OpenInference, and attributes of the span or resource that are called `team`,"
    " `feature`, `customer_id` and so on keep their names. `service.name` becomes `service_name`.",
    lateness="As late as your collector writes. A span that a collector sends twice counts once.",
    cannot_tell="Cached tokens, where the instrumentation leaves them out (`opentelemetry-instrumentation-openai-v2`"
    " 2.4b0 does, for chats): these are priced as new input. Calls that were sampled away; retries inside of a client,"
    " which are one span; operations with names of their own. A call that is traced twice, by the client and by a"
    " gateway or vLLM, or by two instrumentations, is two spans.",
    files="OTLP/JSON as the file exporter of the collector writes it: one export request a line, plain or gzip;"
    " camelCase or snake_case. Metrics and logs in the same file are left out.",
)
