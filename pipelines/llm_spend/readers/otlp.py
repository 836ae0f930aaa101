"""OTLP/JSON files: every line is an export request with spans, and so is every element of an array.

Keys are camelCase as the protocol has them, or snake_case as protobuf writes them when it keeps its names; then ids may
be base64. Only the attributes that are asked for are taken out of a span, so what was said to a model is never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_spend.readers.records import Unnest
from llm_spend.readers.sql import field, identifier, once, quote

TRACE_ID, SPAN_ID, SPAN_NAME, SCOPE = "trace_id", "span_id", "span_name", "scope"
STARTED, ENDED, FIRST_TOKEN = "started_nanos", "ended_nanos", "first_token_nanos"
STATUS, EXCEPTION = "status_code", "exception_type"
TAGS, RESOURCE_TAGS, OTHERS = "tags", "resource_tags", "other_attributes"

_FIELDS = (
    *(TRACE_ID, SPAN_ID, SPAN_NAME, SCOPE),
    *(STARTED, ENDED, FIRST_TOKEN, STATUS, EXCEPTION),
    *(TAGS, RESOURCE_TAGS),
)

# A collector may write metrics and logs into the same file.
_OTHER_SIGNALS = ("resourceMetrics", "resourceLogs", "resource_metrics", "resource_logs")


@dataclass(frozen=True)
class Wanted:
    """What becomes of spans.

    `attributes`, `resource`: by field of a record, the attributes of the span or of its resource that may hold its
    text; the first that is not empty counts. `marks`: a span without any of these attributes is no record, and neither
    is one that does not meet `condition`, given how to write a field of `attributes`. `tags`: attributes that become
    the JSON objects TAGS and RESOURCE_TAGS; `tag_prefixes`: beginnings of names of others for TAGS, which are cut off,
    and which win over `tags` of the same name. `first_tokens`: events that tell when the answer began. `others`:
    attributes that become the JSON object OTHERS; without any there is no such field.
    """

    attributes: Mapping[str, Sequence[str]]
    resource: Mapping[str, Sequence[str]]
    marks: Collection[str]
    condition: Callable[[Callable[[str], str]], str]
    tags: Collection[str] = ()
    tag_prefixes: Sequence[str] = ()
    first_tokens: Collection[str] = ()
    others: Collection[str] = ()


@dataclass(frozen=True)
class _Spelling:
    """How the keys are written."""

    spans: str
    name: Callable[[str], str]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


_SPELLINGS = (_Spelling("resourceSpans", lambda name: name), _Spelling("resource_spans", _snake))


def spans(wanted: Wanted) -> Unnest:
    """The spans of a line as records: the fields named above, and those of `wanted`, all text but for the tags."""
    found = f"coalesce({', '.join(_found(spelling, wanted) for spelling in _SPELLINGS)})"
    of_span, of_resource = _names(wanted.attributes), _names(wanted.resource)
    # A document is parsed once for a list of texts.
    opened = (
        f"list_transform({found}, s -> struct_pack(s := s, a := {_texts('s.attributes', of_span)},"
        f" b := {_texts('s.resource', of_resource)}))"
    )
    texts = {name: _first("x.a", keys, of_span) for name, keys in wanted.attributes.items()}
    fields = {
        **{name: f"x.s.{name}" for name in (*_FIELDS, *((OTHERS,) if wanted.others else ()))},
        **texts,
        **{name: _first("x.b", keys, of_resource) for name, keys in wanted.resource.items()},
    }
    record = ", ".join(f"{identifier(name)} := {sql}" for name, sql in fields.items())
    condition = wanted.condition(lambda name: texts[name])
    other_signal = f"coalesce({', '.join(field(name) for name in _OTHER_SIGNALS)}) IS NOT NULL"
    return Unnest(
        f"coalesce(list_transform(list_filter({opened}, x -> {condition}), x -> struct_pack({record})),"
        f" CASE WHEN {other_signal} THEN [] END)",
        tuple(fields),
        {spelling.spans: _type(spelling) for spelling in _SPELLINGS},
    )


def _names(fields: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in fields.values() for name in names))


def _texts(document: str, names: Sequence[str]) -> str:
    paths = ", ".join(quote(f'$."{name}"') for name in names)
    return f"json_extract_string({document}, [{paths}])" if paths else "[]"


def _first(texts: str, names: Sequence[str], order: Sequence[str]) -> str:
    """The first text that is not empty, of a list in which the texts of names are in an order."""
    told = [f"nullif({texts}[{order.index(name) + 1}], '')" for name in names]
    return told[0] if len(told) == 1 else f"coalesce({', '.join(told)})"


def numbers_in(document: Mapping[str, Any], marks: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Attributes that are no text, by name, of the spans of a document that have one of some marks."""
    for spelling in _SPELLINGS:
        numbers = [spelling.name(name) for name in ("intValue", "doubleValue", "boolValue")]
        for resource in _objects(document.get(spelling.spans)):
            for scope in _objects(resource.get(spelling.name("scopeSpans"))):
                for span in _objects(scope.get("spans")):
                    attributes = {each.get("key"): each.get("value") for each in _objects(span.get("attributes"))}
                    if not attributes.keys().isdisjoint(marks):
                        yield from ((str(name), 1) for name, value in attributes.items() if _has(value, numbers))


def _objects(listed: Any) -> Iterator[dict[str, Any]]:
    return (each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else iter(())


def _has(value: Any, names: Sequence[str]) -> bool:
    return isinstance(value, dict) and any(name in value for name in names)


def nanos_timestamp(text: str) -> str:
    """A naive UTC timestamp from the text of nanoseconds since 1970; 0 means that there is none."""
    return f"make_timestamp(nullif(try_cast({text} AS BIGINT), 0) // 1000)"


def nanos_between(start: str, end: str) -> str:
    """Milliseconds between two moments in nanoseconds, NULL when the second is the earlier one."""
    nanos = f"(try_cast({end} AS HUGEINT) - nullif(try_cast({start} AS HUGEINT), 0))"
    return f"CASE WHEN {nanos} >= 0 THEN try_cast({nanos} // 1000 / 1000 AS DECIMAL(18, 6)) END"


def _type(spelling: _Spelling) -> str:
    key = spelling.name
    values = ", ".join(f"{key(name)} VARCHAR" for name in ("stringValue", "intValue", "doubleValue", "boolValue"))
    attributes = f"STRUCT(key VARCHAR, value STRUCT({values}, {key('arrayValue')} JSON))[]"
    event = f"STRUCT(name VARCHAR, {key('timeUnixNano')} VARCHAR, attributes {attributes})[]"
    span = (
        f"STRUCT({key('traceId')} VARCHAR, {key('spanId')} VARCHAR, name VARCHAR, {key('startTimeUnixNano')} VARCHAR,"
        f" {key('endTimeUnixNano')} VARCHAR, status STRUCT(code VARCHAR), attributes {attributes}, events {event})[]"
    )
    scope = f"STRUCT(scope STRUCT(name VARCHAR), spans {span})[]"
    return f"STRUCT(resource STRUCT(attributes {attributes}), {key('scopeSpans')} {scope})[]"


def _found(spelling: _Spelling, wanted: Wanted) -> str:
    """The marked spans of a document, with the attributes that are read as JSON objects; NULL if spelled otherwise."""
    key = spelling.name
    exceptions = "list_filter(s.events, e -> e.name = 'exception')[1].attributes"
    began = ", ".join(quote(event) for event in wanted.first_tokens) or "''"
    values = {
        TRACE_ID: _hexadecimal(f"s.{key('traceId')}", size=16),
        SPAN_ID: _hexadecimal(f"s.{key('spanId')}", size=8),
        SPAN_NAME: "s.name",
        SCOPE: "ss.scope.name",
        STARTED: f"s.{key('startTimeUnixNano')}",
        ENDED: f"s.{key('endTimeUnixNano')}",
        FIRST_TOKEN: f"list_filter(s.events, e -> e.name IN ({began}))[1].{key('timeUnixNano')}",
        STATUS: "s.status.code",
        EXCEPTION: f"list_filter({exceptions}, a -> a.key = 'exception.type')[1].value.{key('stringValue')}",
        TAGS: _tags(
            f"list_concat({_those_of('s.attributes', _any_of((), wanted.tag_prefixes))},"
            f" {_those_of('s.attributes', _any_of(wanted.tags))})",
            spelling,
            without=wanted.tag_prefixes,
        ),
        RESOURCE_TAGS: "rs.tags",
        "attributes": _object(_those_of("s.attributes", _any_of(_names(wanted.attributes))), spelling),
        "resource": "rs.attributes",
    }
    if wanted.others:
        values[OTHERS] = _object(_those_of("s.attributes", _any_of(wanted.others)), spelling)
    record = ", ".join(f"{name} := {sql}" for name, sql in values.items())
    marks = ", ".join(quote(mark) for mark in wanted.marks)
    is_marked = f"list_has_any(list_transform(s.attributes, a -> a.key), [{marks}])"
    of_scope = f"list_transform(list_filter(ss.spans, s -> {is_marked}), s -> struct_pack({record}))"
    of_resource = f"flatten(list_transform(rs.scopes, ss -> {of_scope}))"
    # What all spans of a resource share is made once for them.
    resources = (
        f"list_transform({field(spelling.spans)}, rs -> struct_pack(scopes := rs.{key('scopeSpans')},"
        f" attributes := {_object(_those_of('rs.resource.attributes', _any_of(_names(wanted.resource))), spelling)},"
        f" tags := {_tags(_those_of('rs.resource.attributes', _any_of(wanted.tags)), spelling)}))"
    )
    return f"flatten(list_transform({resources}, rs -> {of_resource}))"


def _any_of(names: Collection[str], prefixes: Sequence[str] = ()) -> str:
    """Whether the attribute `a` has one of some names."""
    conditions = [f"a.key IN ({', '.join(quote(name) for name in names)})"] if names else []
    conditions += [f"starts_with(a.key, {quote(prefix)})" for prefix in prefixes]
    return " OR ".join(conditions) or "FALSE"


def _those_of(attributes: str, condition: str) -> str:
    return f"list_filter({attributes}, a -> {condition})"


def _object(attributes: str, spelling: _Spelling) -> str:
    """A JSON object of a list of attributes, with text as values: DuckDB makes none from lists of pairs."""
    return _braced(f"list_transform({attributes}, a -> {_key('a.key')} || {_value(spelling)})")


def _tags(attributes: str, spelling: _Spelling, without: Sequence[str] = ()) -> str:
    """The same with distinct keys, as metadata must have them: of several attributes with a name the first counts."""
    name = "a.key"
    for prefix in without:
        name = f"replace({name}, {quote(prefix)}, '')"
    named = f"list_transform({attributes}, a -> struct_pack(k := {_key(name)}, v := {_value(spelling)}))"
    told = f"list_filter({named}, p -> p.v IS NOT NULL)"
    first = "list_filter(l, (p, i) -> list_position(list_transform(l, q -> q.k), p.k) = i)"
    # A list of one, so that the pairs are made once.
    return _braced(once(told, "l", f"list_transform({first}, p -> p.k || p.v)"))


def _key(name: str) -> str:
    return f"to_json({name}) || ':'"


def _value(spelling: _Spelling) -> str:
    scalars = ", ".join(
        f"a.value.{spelling.name(name)}" for name in ("stringValue", "intValue", "doubleValue", "boolValue")
    )
    return f"to_json(coalesce({scalars}, CAST(a.value.{spelling.name('arrayValue')} AS VARCHAR)))"


def _braced(pairs: str) -> str:
    return f"CAST(concat('{{', array_to_string({pairs}, ','), '}}') AS JSON)"


def _hexadecimal(identifier: str, *, size: int) -> str:
    """An id of `size` bytes in hex; protobuf's own JSON has it in base64."""
    length = -(-size // 3) * 4
    decoded = f"lower(hex(TRY(from_base64({identifier}))))"
    return f"CASE WHEN length({identifier}) = {length} THEN {decoded} ELSE lower({identifier}) END"
