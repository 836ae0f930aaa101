"""DuckDB expressions that the log formats share: how text becomes a timestamp, an amount, a metadata object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_spend.schema import DUCKDB_TYPES, OTHER_USAGE, Column, Kind


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def field(name: str) -> str:
    """A top-level field of the record."""
    return f"r.{identifier(name)}"


def json_text(document: str, *keys: str) -> str:
    """Text at a path of literal keys (dots inside a key are kept), NULL when missing."""
    path = "$" + "".join('."' + key.replace('"', '\\"') + '"' for key in keys)
    return f"json_extract_string({document}, {quote(path)})"


def json_part(document: str, *keys: str) -> str:
    """The JSON value at a path of literal keys, NULL when missing."""
    path = "$" + "".join('."' + key.replace('"', '\\"') + '"' for key in keys)
    return f"json_extract({document}, {quote(path)})"


def number_at(document: str, *keys: str) -> str:
    """The JSON number, true or false at a path of literal keys, also where it is written as text; NULL for others."""
    text = json_text(document, *keys)
    is_one = f"try_cast({text} AS DOUBLE) IS NOT NULL OR {text} IN ('true', 'false')"
    return f"CASE WHEN {is_one} THEN try_cast({text} AS JSON) END"


def utc_timestamp(text: str, assumed_zone: str = "UTC") -> str:
    """A naive UTC timestamp from ISO text: an offset is applied, text without one is in `assumed_zone`.

    A plain cast to TIMESTAMP ignores the offset, and a cast to TIMESTAMPTZ reads text without one in the zone of
    the session; neither may decide on which day a request is counted.
    """
    local = f"try_cast({text} AS TIMESTAMP)"
    if assumed_zone != "UTC":
        local = f"timezone('UTC', timezone({quote(assumed_zone)}, {local}))"
    return (
        f"CASE WHEN ends_with({text}, 'Z') THEN try_cast({text} AS TIMESTAMP)"
        f" WHEN length({text}) > 10 AND regexp_matches({text}, '[0-9][+-][0-9][0-9](:?[0-9][0-9])?$')"
        f" THEN timezone('UTC', try_cast({text} AS TIMESTAMPTZ))"
        f" ELSE {local} END"
    )


def epoch_timestamp(text: str, per_second: int = 1) -> str:
    """A naive UTC timestamp from epoch text (`per_second` 1: seconds, 1000: milliseconds), exact to the µs."""
    micros = 1_000_000 // per_second
    return f"make_timestamp(CAST(round(try_cast({text} AS DECIMAL(38, 9)) * {micros}) AS BIGINT))"


def iso_or_epoch_timestamp(text: str) -> str:
    """A naive UTC timestamp from epoch seconds or ISO text: LiteLLM writes both."""
    return (
        f"CASE WHEN try_cast({text} AS DECIMAL(38, 9)) IS NULL THEN {utc_timestamp(text)}"
        f" ELSE {epoch_timestamp(text)} END"
    )


def once(value: str, name: str, sql: str) -> str:
    """An expression in which `name` stands for a value. In a CASE, DuckDB computes it as often as it is written."""
    return f"list_transform([{value}], lambda {name}: {sql})[1]"


def is_flat_object(document: str) -> str:
    """Whether a document is a JSON object whose keys are distinct.

    Marts read metadata as a map, and a map refuses a repeated key. Keys that set a bit each are distinct; comparing
    them costs twice as much and is left to the few objects where two keys share a bit. The order is in CASEs, since
    DuckDB evaluates both sides of an OR.
    """
    text = f"CAST({document} AS VARCHAR)"
    bits = "list_bit_or(list_transform(k, lambda x: CAST(1 AS BIGINT) << CAST(hash(x) % 61 AS BIGINT)))"
    distinct = f"CASE WHEN bit_count({bits}) = len(k) THEN TRUE ELSE len(k) = len(list_distinct(k)) END"
    # Its first character tells nearly always, and what it does not tell is parsed.
    is_object = f"starts_with({text}, '{{') OR (NOT starts_with({text}, '\"') AND json_type({document}) = 'OBJECT')"
    return f"CASE WHEN {is_object} THEN {once(f'json_keys({document})', 'k', distinct)} ELSE FALSE END"


def flat_object(document: str) -> str:
    """The document when it is a JSON object whose keys are distinct, else NULL."""
    return f"CASE WHEN {is_flat_object(document)} THEN {document} END"


def object_from_arrays(keys: str, values: str) -> str:
    """A JSON object from two JSON arrays of equal length, else NULL."""
    texts = "'[\"VARCHAR\"]'"
    lists = f"{{'keys': from_json({keys}, {texts}), 'values': from_json({values}, {texts})}}"
    # A map refuses keys that are repeated or null.
    paired = "CASE WHEN len(l.keys) = len(l.values) THEN to_json(TRY(map(l.keys, l.values))) END"
    return once(lists, "l", paired)


def object_or_text(document: str) -> str:
    """A JSON object from an object or from a string that holds one, else NULL."""
    parsed = once(f"try_cast(json_extract_string({document}, '$') AS JSON)", "d", flat_object("d"))
    return (
        f"CASE WHEN {is_flat_object(document)} THEN {document} WHEN json_type({document}) = 'VARCHAR' THEN {parsed} END"
    )


def cast_text(text: str, kind: Kind) -> str:
    """Text as a value of a kind, NULL when it is none. Whole numbers here count things, so none is negative."""
    value = f"try_cast({text} AS {DUCKDB_TYPES[kind]})"
    if kind == "money":
        # In 64 bits nine times as fast, with the same 12 digits; amounts of a million and more take the other.
        return f"coalesce(CAST(try_cast({text} AS DECIMAL(18, 12)) AS {DUCKDB_TYPES[kind]}), {value})"
    return f"CAST(try_cast({value} AS UBIGINT) AS BIGINT)" if kind == "bigint" else value


def typed(text: str, kind: Kind) -> Column:
    """A column that casts text, remembering the text so that a value that can't be cast is a problem."""
    if kind in ("text", "json"):
        return Column(kind, text)
    # No type takes an empty text, so only the text must tell it from a value.
    given = f"nullif({text}, '')"
    if kind == "timestamp":
        return Column(kind, utc_timestamp(text), given)
    return Column(kind, cast_text(text, kind), given)


def unknown(kind: Kind) -> Column:
    """A column of which a log says nothing."""
    return Column(kind, f"CAST(NULL AS {DUCKDB_TYPES[kind]})")


def quantity(text: str, unit: str) -> str:
    """Text as a quantity of a unit of OTHER_USAGE, NULL when it is none or below 0."""
    value = cast_text(text, OTHER_USAGE[unit])
    return value if OTHER_USAGE[unit] == "bigint" else f"CASE WHEN {value} >= 0 THEN {value} END"


def other_usage(texts: Mapping[str, str], told: Sequence[str] = (), parts: Mapping[str, str] | None = None) -> Column:
    """The column `other_usage` from the text of each unit that a log can tell.

    told: further texts from which follows that the log tells of such usage at all. parts: by unit, the text of a
    quantity that the log counts in that unit, too, and that is told under another one.
    Logs have zeros almost everywhere: what takes time is below the CASEs that sort those out.
    """
    units = sorted(texts)
    given = ", ".join(texts[unit] for unit in units)
    are_zeros = f"replace(concat({given}), '0', '') = ''"
    quantities = {unit: quantity(texts[unit], unit) for unit in units}
    is_wrong = " OR ".join(f"({texts[unit]} IS NOT NULL AND {quantities[unit]} IS NULL)" for unit in units)
    for unit, part in (parts or {}).items():
        inside = f"coalesce({quantity(part, unit)}, 0)"
        whole = quantities[unit]
        quantities[unit] = f"CASE WHEN {inside} <= {whole} THEN {whole} - {inside} ELSE {whole} END"
    pairs = ", ".join(f"{quote(unit)}, CASE WHEN {quantities[unit]} > 0 THEN {quantities[unit]} END" for unit in units)
    shown = ", ".join(f"{quote(unit + ' ')} || {texts[unit]}" for unit in units)
    return Column(
        "json",
        f"CASE WHEN coalesce({', '.join([given, *told])}) IS NULL THEN CAST(NULL AS JSON)"
        f" WHEN {are_zeros} THEN CAST('{{}}' AS JSON)"
        f" WHEN {is_wrong} THEN CAST(NULL AS JSON)"
        # A patch leaves out what is NULL in it.
        f" ELSE json_merge_patch('{{}}', json_object({pairs})) END",
        f"CASE WHEN {are_zeros} THEN NULL ELSE concat_ws(', ', {shown}) END",
        expected="quantities of 0 or more",
    )
