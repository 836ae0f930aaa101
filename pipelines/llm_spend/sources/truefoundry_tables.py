"""TrueFoundry's tables in the bucket of a customer, as Parquet: which of their columns are which field of a span.

Columns: TrueFoundry's own description of `traces` and `gateway_model_metrics`. How they lie in the bucket is not
described, so names are taken in any case, and a map as a map, as a list of pairs, or as JSON text. `traces` has its
attributes in a map for each type of value, and prompts and answers among them. `gateway_model_metrics` has a row for a
virtual model besides that of the model behind it, and no cached tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_spend.errors import UserError
from llm_spend.readers.sql import once, quote
from llm_spend.sources.focus_exports import Fields

_PAIRS = '[{"key": "VARCHAR", "value": "JSON"}]'
_OF_SPANS = ("SpanAttributesString", "TfyGatewaySpanType")
_OF_METRICS = ("ModelName", "InputTokens", "CostInUSD")


def span_values(url: str, fields: Fields) -> Mapping[str, str]:
    """By field of a span what a table tells of it. Raises UserError for another table."""
    if any(name in fields for name in _OF_SPANS):
        return _of_traces(fields)
    if all(name in fields for name in _OF_METRICS):
        return _of_metrics(fields)
    raise UserError(
        f"{url} is neither the table traces nor gateway_model_metrics of TrueFoundry.",
        "Leave such files out with a narrower --path.",
    )


def _of_traces(fields: Fields) -> dict[str, str]:
    maps = ("SpanAttributesString", "SpanAttributesNumber", "SpanAttributesBool", "SpanAttributesStringList")
    told = _object(
        {
            "tfy.span_type": fields.text("TfyGatewaySpanType"),
            "http.response.status_code": fields.text("HttpStatusCode"),
            "tfy.request.metadata": _map(fields, "TfyGatewayMetadata"),
        }
    )
    attributes = ", ".join([*(f"coalesce({_map(fields, name)}, '{{}}')" for name in maps if name in fields), told])
    return {
        **_common(fields, "Timestamp", "TfyCreatedBySubject"),
        "parentSpanId": fields.text("ParentSpanId"),
        "durationNs": fields.text("Duration"),
        "statusCode": f"upper({fields.text('StatusCode')})",
        "spanAttributes": f"json_merge_patch('{{}}', {attributes})",
    }


def _of_metrics(fields: Fields) -> dict[str, str]:
    is_virtual = f"{fields.text('VirtualModelName')} IS NOT NULL"
    is_hit = f"try_cast({fields.text('CacheHit')} AS BOOLEAN)"
    attributes = {
        "tfy.span_type": f"CASE WHEN {is_virtual} THEN 'VirtualModel' ELSE 'Model' END",
        "tfy.request.model_name": fields.text("RequestedModelName"),
        "tfy.model.name": fields.text("ProviderModelName", "ModelName"),
        "tfy.model.provider_account_type": fields.text("ProviderAccountType", "ProviderIntegrationType"),
        "tfy.model.request_type": fields.text("RequestType"),
        "tfy.model.streaming": fields.text("Streaming"),
        "tfy.model.metric.input_tokens": fields.text("InputTokens"),
        "tfy.model.metric.output_tokens": fields.text("OutputTokens"),
        "tfy.model.metric.cost_in_usd": fields.text("CostInUSD"),
        "tfy.model.metric.latency_in_ms": fields.text("LatencyMs"),
        "tfy.model.metric.time_to_first_token_in_ms": fields.text("TimeToFirstTokenMs"),
        "tfy.error_type": fields.text("ErrorType"),
        "http.response.status_code": fields.text("HttpStatusCode"),
        # Which call was repeated is not told, only that one was.
        "x-tfy-cached-trace-id": f"CASE WHEN {is_hit} THEN 'unknown' END",
        "tfy.request.metadata": _map(fields, "Metadata"),
        "tfy.request.created_by_subject_teams": fields.document("Teams"),
    }
    is_failure = f"try_cast({fields.text('IsFailure')} AS BOOLEAN)"
    return {
        **_common(fields, "CreatedAt", "CreatedBySubject"),
        "statusCode": f"CASE WHEN {is_failure} THEN 'ERROR' ELSE 'OK' END",
        "spanAttributes": _object(attributes),
    }


def _common(fields: Fields, moment: str, subject: str) -> dict[str, str]:
    who = {"subjectType": fields.text(f"{subject}Type"), "subjectSlug": fields.text(f"{subject}Slug")}
    return {
        "spanId": fields.text("SpanId"),
        "traceId": fields.text("TraceId"),
        "timestamp": fields.text(moment),
        "createdBySubject": _object(who),
    }


def _object(values: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{quote(name)}, {value}" for name, value in values.items())
    # A patch leaves out what is NULL in it.
    return f"json_merge_patch('{{}}', json_object({pairs}))"


def _map(fields: Fields, name: str) -> str:
    """A map as a JSON object."""
    document = fields.document(name)
    pairs = f"list_transform(from_json(d, {quote(_PAIRS)}), p -> {{'key': p.key, 'value': p.value}})"
    listed = f"to_json(TRY(map_from_entries({pairs})))"
    # A list of one, so that the document is made once.
    return once(document, "d", f"CASE WHEN json_type(d) = 'ARRAY' THEN {listed} ELSE d END")
