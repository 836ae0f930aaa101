"""AWS Bedrock model invocation logs: JSON lines in S3, or the same documents from CloudWatch, in events or after times.

`inputTokenCount` is without the cached tokens. A model is a name, or the ARN of an inference profile, a provisioned or
a custom model; then its last part is the name. There is no cost. Bodies are looked into for what is counted nowhere
else (how long a cache write holds, how long the call took), and never kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from llm_spend.readers.records import Inside, Unnest
from llm_spend.readers.sql import cast_text, field, flat_object, identifier, json_part, json_text, quote, typed
from llm_spend.schema import Column
from llm_spend.sources.about import About
from llm_spend.sources.expressions import first_told, metadata_with, text_column, told
from llm_spend.sources.shared_tables import requests_format

_TEXTS = ("timestamp", "accountId", "region", "requestId", "operation", "modelId", "inferenceRegion", "errorCode")
_DOCUMENTS = ("identity", "requestMetadata", "input", "output")
# Of CloudWatch: a batch of a subscription, the answer to a query, a single event.
_BATCHES, _MESSAGE = ("logEvents", "events"), "message"


def _inside(name: str) -> str:
    """A field of the document, whose own name is taken by that of the line."""
    return f"log {name}"


def _log(name: str) -> str:
    return field(_inside(name))


def _record(texts: dict[str, str], documents: dict[str, str]) -> str:
    values = {**texts, **documents}
    return f"struct_pack({', '.join(f'{identifier(_inside(name))} := {sql}' for name, sql in values.items())})"


def _records() -> str:
    plain = _record({name: field(name) for name in _TEXTS}, {name: field(name) for name in _DOCUMENTS})
    of_event = _record(
        {name: json_text("m", name) for name in _TEXTS}, {name: json_part("m", name) for name in _DOCUMENTS}
    )
    batch = f"coalesce({', '.join(field(name) for name in _BATCHES)})"
    messages = (
        f"coalesce(list_transform(json_extract_string({batch}, '$[*].message'), m -> try_cast(m AS JSON)),"
        f" [try_cast({field(_MESSAGE)} AS JSON)])"
    )
    return (
        f"CASE WHEN coalesce(CAST({batch} AS VARCHAR), {field(_MESSAGE)}) IS NOT NULL"
        f" THEN list_transform({messages}, m -> {of_event})"
        f" WHEN coalesce({', '.join(field(name) for name in _TEXTS)}) IS NOT NULL THEN [{plain}] END"
    )


# What the delivery of a log says, and bodies in a bucket of their own.
_IGNORED = frozenset(
    {
        *("schemaType", "schemaVersion", "messageType", "owner", "logGroup", "logStream", "subscriptionFilters"),
        *("eventId", "logStreamName", "ingestionTime", "searchedLogStreams", "nextToken", "id", "performanceConfig"),
    }
)
_COUNTS = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount", "outputTokenCount")


def _counts(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers beside the bodies of what went in and came out, by `input.<name>` and `output.<name>`."""
    for log in _logs_in(document):
        for side in ("input", "output"):
            said = log.get(side) if isinstance(log, dict) else None
            for name, value in said.items() if isinstance(said, dict) else ():
                if isinstance(value, int | float):
                    yield f"{side}.{name}", value


def _logs_in(document: Mapping[str, Any]) -> Iterator[Any]:
    yield document
    batch = next((document[name] for name in _BATCHES if isinstance(document.get(name), list)), [document])
    for event in batch:
        message = event.get(_MESSAGE) if isinstance(event, dict) else None
        if isinstance(message, str) and message.startswith("{"):
            try:
                yield orjson.loads(message)
            except orjson.JSONDecodeError:
                continue


def _input(*path: str) -> str:
    return json_text(_log("input"), *path)


def _output(*path: str) -> str:
    return json_text(_log("output"), *path)


def _answered(*path: str) -> str:
    """Text in the body of an answer; a streamed one is a list of events, of which `message_start` is the first."""
    inside = ".".join(f'"{key}"' for key in ("message", *path))
    streamed = quote(f'$."outputBodyJson"[0].{inside}')
    return f"coalesce({_output('outputBodyJson', *path)}, json_extract_string({_log('output')}, {streamed}))"


_MODEL_ID = told(_log("modelId"))
_MODEL = f"nullif(regexp_replace({_MODEL_ID}, '^.*/', ''), '')"
_OPERATION = _log("operation")
_ERROR = told(_log("errorCode"))
_OUTPUT_TOKENS = _output("outputTokenCount")
_WRITTEN = _input("cacheWriteInputTokenCount")
_WRITTEN_FOR_AN_HOUR = _answered("usage", "cache_creation", "ephemeral_1h_input_tokens")
_WRITES, _HOUR = (cast_text(text, "bigint") for text in (_WRITTEN, _WRITTEN_FOR_AN_HOUR))
_OWN_METADATA = flat_object(_log("requestMetadata"))

_LOGS = requests_format(
    "bedrock",
    {
        "source_record_id": text_column(told(_log("requestId"))).as_required(),
        "started_at": typed(told(_log("timestamp")), "timestamp").as_required(),
        "provider_response_id": text_column(_answered("id")),
        "provider": text_column("'bedrock'"),
        "raw_model": text_column(_MODEL),
        "requested_model": text_column(_MODEL_ID),
        "operation": text_column(
            f"CASE WHEN {_MODEL} LIKE '%embed%' THEN 'embeddings' WHEN {_MODEL} LIKE '%rerank%' THEN 'rerank'"
            f" WHEN {_MODEL} LIKE '%image%' OR {_MODEL} LIKE 'stability.%' THEN 'image'"
            # An opaque name says nothing, but what answers in tokens is a chat.
            f" WHEN {_OPERATION} LIKE 'Converse%' OR try_cast({_OUTPUT_TOKENS} AS BIGINT) > 0 THEN 'chat' END"
        ),
        "status": text_column(
            f"CASE WHEN {_ERROR} IS NULL THEN 'success'"
            f" WHEN {_ERROR} LIKE 'Throttling%' OR {_ERROR} = 'TooManyRequestsException' THEN 'blocked_rate_limit'"
            " ELSE 'error' END"
        ),
        "error_type": text_column(_ERROR),
        "is_stream": Column("bool", f"ends_with({_OPERATION}, 'Stream')"),
        "latency_ms": typed(_output("outputBodyJson", "metrics", "latencyMs"), "decimal"),
        "input_tokens": typed(_input("inputTokenCount"), "bigint"),
        "input_includes_cache": Column("bool", "FALSE"),
        "cache_read_tokens": typed(_input("cacheReadInputTokenCount"), "bigint"),
        "cache_write_5m_tokens": Column("bigint", f"{_WRITES} - least(coalesce({_HOUR}, 0), {_WRITES})", _WRITTEN),
        "cache_write_1h_tokens": typed(_WRITTEN_FOR_AN_HOUR, "bigint"),
        "output_tokens": typed(_OUTPUT_TOKENS, "bigint"),
        # Where a call was answered does not change its price: that is by the region that was called.
        "region": text_column(f"lower({told(_log('region'))})"),
        "temperature": typed(
            first_told(
                _input("inputBodyJson", "inferenceConfig", "temperature"), _input("inputBodyJson", "temperature")
            ),
            "decimal",
        ),
        "max_tokens": typed(
            first_told(_input("inputBodyJson", "inferenceConfig", "maxTokens"), _input("inputBodyJson", "max_tokens")),
            "bigint",
        ),
        "gateway_user_id": text_column(json_text(_log("identity"), "arn")),
        "metadata": Column(
            "json",
            metadata_with(
                _OWN_METADATA,
                {"account_id": told(_log("accountId")), "inference_region": told(_log("inferenceRegion"))},
            ),
        ),
    },
    json_fields=frozenset({*_DOCUMENTS, *_BATCHES}),
    record_name="Bedrock model invocation log",
    unnest=Unnest(_records(), tuple(_inside(name) for name in (*_TEXTS, *_DOCUMENTS))),
    ignored=_IGNORED,
    inside=Inside(
        _counts,
        frozenset(f"{side}.{name}" for side in ("input", "output") for name in _COUNTS),
        lambda name: json_part(_log(name.split(".", 1)[0]), name.split(".", 1)[1]),
    ),
)

# An export task of CloudWatch puts the time of the event before its message.
INVOCATIONS = replace(_LOGS, line_prefix=r"^\d{4}-\d\d-\d\dT[\d:.]+Z ")

ABOUT = About(
    title="AWS Bedrock",
    grain="A call of a model, retries of the SDK as calls of their own.",
    cost="None is logged: the price book prices by model name, where `us.`, `eu.` and `global.` make a difference.",
    tokens="Input is without cached tokens; these are counted beside it. A cache write is taken as one for 5 minutes"
    " unless the logged answer says that it holds for an hour.",
    attribution="`requestMetadata` of the call is the metadata (documented for Converse); `identity.arn` is the caller."
    " Account and the region that answered are added as `account_id` and `inference_region`.",
    lateness="Minutes. Files are never changed.",
    cannot_tell="Time to the first token; batch jobs; the model behind an application inference profile, a provisioned"
    " or a custom model: name it in `mapping/model_deployments.csv` (channel `aws`, the last part of the ARN), else it"
    " is unpriced.",
    files="The gzip JSON lines that Bedrock writes to S3; CloudWatch Logs as an export task writes them to S3 (`--path"
    " 's3://bucket/prefix/**/*.gz'`), or their events as JSON (subscriptions, `filter-log-events`).",
)
