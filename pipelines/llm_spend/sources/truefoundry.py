"""TrueFoundry gateway spans: JSONL, one TraceSpan a line (spans query, or the OTel export of the same shape).

Only `Model` spans are kept: one per attempt and target, with tokens and cost; a root span may repeat them.
Prompts and answers hide in the span attributes, so only the attributes named here are written.
"""

from __future__ import annotations

from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, json_part, json_text, object_or_text, typed
from llm_spend.schema import Column, Kind

_ATTRIBUTES = field("spanAttributes")
_METADATA = json_part(_ATTRIBUTES, "tfy.request.metadata")


def _attribute(*names: str) -> str:
    """The first of several names under which gateways of different age write one attribute."""
    texts = [json_text(_ATTRIBUTES, name) for name in names]
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _metric(kind: Kind, *names: str) -> Column:
    return typed(_attribute(*(f"tfy.model.metric.{name}" for name in names)), kind)


SPANS = LogFormat(
    source="truefoundry",
    table="truefoundry__spans",
    record_name="TrueFoundry span",
    json_fields=frozenset({"spanAttributes", "createdBySubject", "feedbacks"}),
    keep=f"{json_text(_ATTRIBUTES, 'tfy.span_type')} = 'Model'",
    columns={
        "span_id": Column("text", field("spanId"), required=True),
        "trace_id": Column("text", field("traceId"), required=True),
        "parent_span_id": Column("text", field("parentSpanId")),
        "timestamp": typed(field("timestamp"), "timestamp").as_required(),
        "duration_ns": typed(field("durationNs"), "bigint"),
        "status_code": Column("text", field("statusCode")),
        "span_type": Column("text", _attribute("tfy.span_type")),
        "requested_model_name": Column("text", _attribute("tfy.request.model_name")),
        "model_name": Column("text", _attribute("tfy.model.name")),
        "model_fqn": Column("text", _attribute("tfy.model.fqn")),
        "provider_account_type": Column("text", _attribute("tfy.model.provider_account_type", "tfy.provider")),
        "request_type": Column("text", _attribute("tfy.model.request_type")),
        "is_streaming": typed(_attribute("tfy.model.streaming"), "bool"),
        "http_status_code": typed(_attribute("http.response.status_code"), "bigint"),
        "error_type": Column("text", _attribute("tfy.error_type")),
        "cached_trace_id": Column("text", _attribute("x-tfy-cached-trace-id")),
        "input_tokens": _metric("bigint", "input_tokens"),
        "output_tokens": _metric("bigint", "output_tokens"),
        "cache_read_input_tokens": _metric("bigint", "cache_read_input_tokens"),
        "cache_creation_input_tokens": _metric("bigint", "cache_creation_input_tokens"),
        "cost_in_usd": _metric("money", "cost_in_usd"),
        "latency_in_ms": _metric("decimal", "latency_in_ms"),
        "time_to_first_token_in_ms": _metric("decimal", "time_to_first_token_in_ms"),
        "temperature": typed(_attribute("tfy.request.temperature"), "decimal"),
        "max_tokens": typed(_attribute("tfy.request.max_tokens"), "bigint"),
        "subject_type": Column("text", json_text(field("createdBySubject"), "subjectType")),
        "subject_slug": Column("text", json_text(field("createdBySubject"), "subjectSlug")),
        "subject_teams": Column("json", json_part(_ATTRIBUTES, "tfy.request.created_by_subject_teams")),
        "feedbacks": Column("json", field("feedbacks")),
        "metadata": Column("json", object_or_text(_METADATA)),
    },
    metadata_column="metadata",
    metadata_given=_METADATA,
)
