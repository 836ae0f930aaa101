"""TrueFoundry gateway spans: JSON lines of the spans query, of pages of it, or of OTel exporters, and tables.

Only `Model` spans are kept: one per attempt and target, with tokens and cost; a root span may repeat them.
Prompts and answers hide in the span attributes, so only the attributes named here are written. How TrueFoundry lays out
the bucket of a customer is not documented, so lines are told apart by their fields, and tables by their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from llm_spend.readers import otlp
from llm_spend.readers.records import Inside, LogFormat, Unnest
from llm_spend.readers.sql import field, identifier, json_part, json_text, number_at, object_or_text, once, quote, typed
from llm_spend.schema import Column, Kind
from llm_spend.sources.about import About, Setting
from llm_spend.sources.focus_exports import Fields
from llm_spend.sources.truefoundry_tables import span_values

MODEL_SPAN = "Model"
ATTRIBUTES = (
    "tfy.span_type",
    "tfy.request.model_name",
    "tfy.request.metadata",
    "tfy.request.created_by_subject",
    "tfy.request.created_by_subject_teams",
    "tfy.request.temperature",
    "tfy.request.max_tokens",
    "tfy.model.name",
    "tfy.model.fqn",
    "tfy.model.provider_account_type",
    "tfy.provider",
    "tfy.model.request_type",
    "tfy.model.streaming",
    "tfy.model.metric.input_tokens",
    "tfy.model.metric.output_tokens",
    "tfy.model.metric.cache_read_input_tokens",
    "tfy.model.metric.cache_creation_input_tokens",
    "tfy.model.metric.cost_in_usd",
    "tfy.model.metric.latency_in_ms",
    "tfy.model.metric.time_to_first_token_in_ms",
    "tfy.error_type",
    "http.response.status_code",
    "x-tfy-cached-trace-id",
    "gen_ai.response.id",
)
"""The attributes that are read."""

METRIC = "tfy.model.metric."
UNREAD_METRIC = f"{METRIC}inter_token_latency_in_ms"
UNREAD = ("serviceName", "spanName", "spanKind", "scopeName", "scopeVersion", "statusMessage", "events")
"""Fields that are known and not read."""

_FIELDS = (
    "spanId",
    "traceId",
    "parentSpanId",
    "timestamp",
    "durationNs",
    "statusCode",
    "spanAttributes",
    "createdBySubject",
    "feedbacks",
)
"""The fields of a span of the spans query that are read."""

_DOCUMENTS = frozenset({"spanAttributes", "createdBySubject", "feedbacks"})
_SUBJECT = "^(user|virtual-?account|serviceaccount):(.+)$"


def _spans(named: Callable[[str], str]) -> LogFormat:
    """The format of spans; `named`: what a field of a span is called in the record."""

    def of(name: str) -> str:
        return field(named(name))

    attributes, subject = of("spanAttributes"), of("createdBySubject")
    metadata = json_part(attributes, "tfy.request.metadata")
    told = json_text(attributes, "tfy.request.created_by_subject")
    told_parts = object_or_text(json_part(attributes, "tfy.request.created_by_subject"))

    def attribute(*names: str) -> str:
        """The first of several names under which gateways of different age write one attribute."""
        texts = [json_text(attributes, name) for name in names]
        return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"

    def metric(kind: Kind, name: str) -> Column:
        return typed(attribute(f"tfy.model.metric.{name}"), kind)

    def who(name: str, part: int) -> Column:
        """Who asked: the spans query says it beside the attributes, an OTel exporter among them, as JSON or as text."""
        in_text = f"nullif(regexp_extract({told}, {quote(_SUBJECT)}, {part}), '')"
        return Column(
            "text", f"coalesce({json_text(subject, name)}, json_extract_string({told_parts}, '$.{name}'), {in_text})"
        )

    return LogFormat(
        source="truefoundry",
        table="truefoundry__spans",
        record_name="TrueFoundry span",
        json_fields=frozenset(named(name) for name in _DOCUMENTS),
        keep=f"{json_text(attributes, 'tfy.span_type')} = {quote(MODEL_SPAN)}",
        columns={
            "span_id": Column("text", of("spanId"), required=True),
            "trace_id": Column("text", of("traceId"), required=True),
            "parent_span_id": Column("text", of("parentSpanId")),
            "timestamp": typed(of("timestamp"), "timestamp").as_required(),
            "duration_ns": typed(of("durationNs"), "bigint"),
            "status_code": Column("text", of("statusCode")),
            "span_type": Column("text", attribute("tfy.span_type")),
            "requested_model_name": Column("text", attribute("tfy.request.model_name")),
            "model_name": Column("text", attribute("tfy.model.name")),
            "model_fqn": Column("text", attribute("tfy.model.fqn")),
            "provider_account_type": Column("text", attribute("tfy.model.provider_account_type", "tfy.provider")),
            "request_type": Column("text", attribute("tfy.model.request_type")),
            "is_streaming": typed(attribute("tfy.model.streaming"), "bool"),
            "http_status_code": typed(attribute("http.response.status_code"), "bigint"),
            "error_type": Column("text", attribute("tfy.error_type")),
            "cached_trace_id": Column("text", attribute("x-tfy-cached-trace-id")),
            "provider_response_id": Column("text", attribute("gen_ai.response.id")),
            "input_tokens": metric("bigint", "input_tokens"),
            "output_tokens": metric("bigint", "output_tokens"),
            "cache_read_input_tokens": metric("bigint", "cache_read_input_tokens"),
            "cache_creation_input_tokens": metric("bigint", "cache_creation_input_tokens"),
            "cost_in_usd": metric("money", "cost_in_usd"),
            "latency_in_ms": metric("decimal", "latency_in_ms"),
            "time_to_first_token_in_ms": metric("decimal", "time_to_first_token_in_ms"),
            "temperature": typed(attribute("tfy.request.temperature"), "decimal"),
            "max_tokens": typed(attribute("tfy.request.max_tokens"), "bigint"),
            "subject_type": who("subjectType", 1),
            "subject_slug": who("subjectSlug", 2),
            "subject_pat_name": Column("text", json_text(subject, "subjectPatName")),
            "subject_teams": Column("json", _array(json_part(attributes, "tfy.request.created_by_subject_teams"))),
            "feedbacks": Column("json", of("feedbacks")),
            "metadata": Column("json", object_or_text(metadata)),
        },
        metadata_column="metadata",
        metadata_given=metadata,
    )


def _array(document: str) -> str:
    """A JSON array, from one, from text that holds one, or from a list of values as OTLP has it."""
    text = "json_extract_string(d, '$')"
    values = f"json_extract_string(try_cast({text} AS JSON), '$.values[*].stringValue')"
    other = (
        f"CASE WHEN starts_with({text}, '[') THEN try_cast({text} AS JSON)"
        f" WHEN starts_with({text}, '{{') THEN to_json({values}) END"
    )
    # A list of one, so that the part is looked up once.
    return once(document, "d", f"CASE WHEN starts_with(CAST(d AS VARCHAR), '[') THEN d ELSE {other} END")


QUERIED_SPANS = _spans(lambda name: name)
"""Spans as the spans query gives them, one a record."""

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "spanId": ("spanId", "span_id"),
    "traceId": ("traceId", "trace_id"),
    "parentSpanId": ("parentSpanId", "parent_span_id"),
    "timestamp": ("timestamp", "startTime", "start_time"),
    "durationNs": ("durationNs", "duration_ns"),
    "statusCode": ("statusCode", "status_code"),
    "spanAttributes": ("spanAttributes", "attributes"),
    "createdBySubject": ("createdBySubject", "created_by_subject"),
    "feedbacks": ("feedbacks",),
}
"""What the fields of a span may be called in a line."""

_LINE_DOCUMENTS = (
    "spanAttributes",
    "attributes",
    "createdBySubject",
    "created_by_subject",
    "feedbacks",
    "status",
    "data",
)
_ATTRIBUTE_LIST = (
    '[{"key": "VARCHAR", "value": {"stringValue": "VARCHAR", "intValue": "VARCHAR", "doubleValue": "VARCHAR",'
    ' "boolValue": "VARCHAR", "arrayValue": "JSON"}}]'
)


# Of a span in OTLP, and of a page of them.
_OF_OTLP = ("name", "kind", "links", "flags", "traceState", "resource", "scope", "resourceAttributes", "pagination")


def _inner(name: str) -> str:
    """What a field is called in a record that was found in a line: lines have fields of the same name."""
    return f"span.{name}"


def _record(values: Mapping[str, str]) -> str:
    kinds = {name: "JSON" if name in _DOCUMENTS else "VARCHAR" for name in _FIELDS}
    parts = (f"{identifier(_inner(name))} := CAST({values.get(name, 'NULL')} AS {kinds[name]})" for name in _FIELDS)
    return f"struct_pack({', '.join(parts)})"


def _of_line(attributes: Sequence[str]) -> str:
    """The span that a line is, or NULL; of a list of attributes it has the named ones."""
    values = {name: f"coalesce({', '.join(field(each) for each in names)})" for name, names in _ALIASES.items()}
    listed = field("attributes")
    pairs = (
        f"list_filter(from_json(CASE WHEN json_type({listed}) = 'ARRAY' THEN {listed} END, {quote(_ATTRIBUTE_LIST)}),"
        f" a -> a.key IN ({', '.join(quote(name) for name in attributes)}))"
    )
    values_of = ("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue::VARCHAR")
    value = f"to_json(coalesce({', '.join(f'a.value.{name}' for name in values_of)}))"
    values["spanAttributes"] = (
        f"CASE WHEN json_type({listed}) = 'ARRAY' THEN CAST(concat('{{', array_to_string(list_transform({pairs},"
        f" a -> to_json(a.key) || ':' || {value}), ','), '}}') AS JSON) ELSE {values['spanAttributes']} END"
    )
    started, ended = field("startTimeUnixNano"), field("endTimeUnixNano")
    values["statusCode"] = f"coalesce({values['statusCode']}, {_status(json_text(field('status'), 'code'))})"
    values["timestamp"] = f"coalesce({values['timestamp']}, CAST({otlp.nanos_timestamp(started)} AS VARCHAR))"
    values["durationNs"] = f"coalesce({values['durationNs']}, {_nanos(started, ended)})"
    is_span = f"coalesce({', '.join(f'{field(each)}::VARCHAR' for names in _ALIASES.values() for each in names)})"
    return f"CASE WHEN {is_span} IS NOT NULL THEN [{_record(values)}] END"


def _of_page() -> str:
    """The spans of an answer of the spans query, or NULL."""
    values = {name: json_part("s", name) if name in _DOCUMENTS else json_text("s", name) for name in _FIELDS}
    page = field("data")
    listed = f"from_json(CASE WHEN json_type({page}) = 'ARRAY' THEN {page} END, '[\"JSON\"]')"
    return f"list_transform({listed}, s -> {_record(values)})"


def _of_otlp(records: str) -> str:
    """The spans of an export request, or NULL."""
    values = {
        "spanId": f"o.{otlp.SPAN_ID}",
        "traceId": f"o.{otlp.TRACE_ID}",
        "timestamp": otlp.nanos_timestamp(f"o.{otlp.STARTED}"),
        "durationNs": _nanos(f"o.{otlp.STARTED}", f"o.{otlp.ENDED}"),
        "statusCode": _status(f"o.{otlp.STATUS}"),
        "spanAttributes": f"o.{otlp.TAGS}",
    }
    return f"list_transform({records}, o -> {_record(values)})"


def _status(code: str) -> str:
    return f"CASE WHEN {code} IN ('2', 'STATUS_CODE_ERROR') THEN 'ERROR' WHEN {code} IS NOT NULL THEN 'OK' END"


def _nanos(start: str, end: str) -> str:
    return f"CAST(try_cast({end} AS BIGINT) - try_cast({start} AS BIGINT) AS VARCHAR)"


def _numbers_in(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Metrics of the spans of a document."""
    page = document.get("data")
    for span in (document, *(page if isinstance(page, list) else ())):
        told = span if isinstance(span, dict) else {}
        for attributes in (told.get("spanAttributes"), told.get("attributes")):
            if isinstance(attributes, dict):
                yield from attributes.items()
            elif isinstance(attributes, list):
                yield from ((str(each.get("key")), 1) for each in attributes if isinstance(each, dict))
    yield from otlp.numbers_in(document, ("tfy.span_type",))


def _unnested(others: Sequence[str] = ()) -> Unnest:
    """The spans of a line, with `others` among their attributes."""
    attributes = (*ATTRIBUTES, *others)
    exported = otlp.spans(
        otlp.Wanted(
            attributes={"kind": ("tfy.span_type",)},
            resource={},
            marks=("tfy.span_type",),
            condition=lambda of: f"{of('kind')} = {quote(MODEL_SPAN)}",
            tags=attributes,
        )
    )
    # The most frequent first: what comes later is not looked at.
    found = [_of_line(attributes), _of_page(), _of_otlp(exported.records)]
    return Unnest(
        records=f"coalesce({', '.join(found)})",
        fields=tuple(_inner(name) for name in _FIELDS),
        types={**exported.types, **dict.fromkeys(_LINE_DOCUMENTS, "JSON")},
    )


def _files() -> LogFormat:
    inside = Inside(
        lambda document: (each for each in _numbers_in(document) if each[0].startswith(METRIC)),
        frozenset({*ATTRIBUTES, UNREAD_METRIC}),
        lambda name: number_at(field(_inner("spanAttributes")), name),
        _unnested,
    )
    ignored = frozenset({*UNREAD, *_OF_OTLP})
    return replace(_spans(_inner), unnest=_unnested(), of_table=_of_table, ignored=ignored, inside=inside)


def _of_table(url: str, types: Mapping[str, str]) -> LogFormat:
    """The format of a table with these columns. Raises UserError for one that has no spans."""
    span_values(url, Fields(types))
    return _of_columns(tuple(types.items()))


@lru_cache(maxsize=64)
def _of_columns(types: tuple[tuple[str, str], ...]) -> LogFormat:
    """The same object for files with the same columns: they are read together."""
    fields = Fields(dict(types))
    record = _record(span_values("", fields))
    unnest = Unnest(f"[{record}]", tuple(_inner(name) for name in _FIELDS))
    return replace(_spans(_inner), unnest=unnest, json_fields=frozenset(fields.documents))


SPANS = _files()
"""Lines of files, each a span, a page of them or an export request; or a table of spans."""

ABOUT = About(
    title="TrueFoundry",
    grain="One row a `Model` span: each attempt at a model, with failed ones and fallbacks. Root spans, which repeat"
    " tokens and cost, and spans of guardrails and MCP are left out.",
    cost="US dollars, as the gateway estimated them at its own prices; there may be none for a model without a price.",
    tokens="Input is taken to include cached tokens, which TrueFoundry does not say; all cache writes count as 5-minute"
    " ones.",
    attribution="The user (e-mail) or virtual account that asked, the one team of a caller who has no other, and"
    " `X-TFY-METADATA` with what the gateway adds to it or overrides.",
    lateness="Collectors send in batches and try again: spans come late, or twice, and count once.",
    cannot_tell="Requests that were not logged have no span, so costs are a lower bound (`gateway__totals` has what the"
    " gateway counted); reasoning tokens; 1-hour cache writes. Feedback is not asked for: it is a list of its own in a"
    " span, and comes after it.",
    files="JSON lines: spans or pages of the spans query, flat spans with `attributes`, OTLP/JSON of a collector. Of a"
    " data routing bucket, the Parquet files of the table `traces`, or of `gateway_model_metrics`, which has no cached"
    " tokens (`--path 's3://bucket/…/traces/**/*.parquet'`).",
    api="Spans, usage by day as the gateway counts it, users, teams, virtual accounts, limits and budget usage. Takes"
    " the token of a tenant admin: what others may not see is left out without a word.",
    settings=(
        Setting("api_key", "token of a virtual account with the role of a tenant admin", True, True),
        Setting("base_url", "address of the control plane, such as `https://acme.truefoundry.cloud`", is_required=True),
        Setting("data_routing_destination", "where spans are kept; `default` if not given"),
        Setting("tracing_project_fqn", "a tracing project instead of that"),
        Setting("totals_metadata_keys", 'a list of metadata keys that usage is added up by, too: `["team"]`'),
    ),
)
