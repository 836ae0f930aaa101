"""What records hold besides the fields that a format reads: it goes into the column `_extra`, as far as it may.

Who adds a field tells nobody, and an API may have forgotten the row before the field has a column here. But such a
field may hold what people wrote. So numbers are kept, which can't, and text on demand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import orjson

from llm_spend.readers.files import LogFile, layout_of, start_of
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, quote

UnknownFields = Literal["none", "numbers", "all"]
"""What is kept of fields that a format does not read: nothing, what is no text, or all but bodies and keys."""

_MOST_FIELDS = 50
_LINES_LOOKED_AT = 50
# A list of numbers can be a text after all: an embedding.
_LONGEST_DOCUMENT = 1000
# Where logs keep what was asked and answered, and what opens doors.
_IS_BODY_OR_KEY = re.compile(
    r"messages?$|prompts?$|request$|response$|inputs?$|outputs?$|bod(y|ies)|content|completions?$|choices|headers?$"
    r"|cookie|authorization|secret|password|credential|api_?key$|(^|_)token$",
    re.IGNORECASE,
)
_NOTHING = "CAST(NULL AS JSON)"
# In JSON text a string that a colon follows is a name, any other one a value.
_TEXT_VALUE = r'"(?:[^"\\]|\\.)*"(\s*[,\]}])'
_WITHOUT_TEXT = r"null\1"


def unknown_names(fmt: LogFormat, names: Iterable[str]) -> list[str]:
    """Those of some fields that a format does not read, by name. DuckDB does not tell upper from lower case."""
    known = {name.lower() for name in fmt.file_fields} | {"filename"}
    found: dict[str, str] = {}
    for name in sorted(names):
        if name and name.lower() not in known:
            found.setdefault(name.lower(), name)
    return sorted(found.values())


def is_looked_into(fmt: LogFormat) -> bool:
    """Whether fields of files are looked for: not where a document holds several records, or a format keeps them."""
    return not (fmt.unnest or fmt.by_fields)


def names_in(fmt: LogFormat, file: LogFile) -> list[str]:
    """Fields in the first lines of a file that a format does not read. None in tables, whose columns are mapped."""
    if layout_of(file) != "newline_delimited":
        return []
    names: set[str] = set()
    for line in start_of(file).splitlines()[:_LINES_LOOKED_AT]:
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            names.update(record)
    return unknown_names(fmt, names)


def keeping(fmt: LogFormat, names: Iterable[str], kept: UnknownFields) -> LogFormat:
    """The format that writes fields of these names, where it does not read them, into `_extra`; or the same format."""
    names = [] if kept == "none" else unknown_names(fmt, names)[:_MOST_FIELDS]
    if not names:
        return fmt
    pairs = ", ".join(f"{quote(name)}, {_kept(name, kept)}" for name in names)
    # A patch leaves out what is NULL in it.
    document = f"CAST(json_merge_patch('{{}}', json_object({pairs})) AS VARCHAR)"
    return replace(
        fmt,
        extra=f"CAST(nullif({document}, '{{}}') AS JSON)",
        json_fields=fmt.json_fields.union(names),
        fuller=fmt.fuller and with_column(keeping(fmt.fuller, names, kept)),
    )


def with_column(fmt: LogFormat) -> LogFormat:
    """The format that writes `_extra`, if only NULL: what is loaded together has the same columns."""
    return fmt if fmt.extra else replace(fmt, extra=_NOTHING)


def _kept(name: str, kept: UnknownFields) -> str:
    """The value of a field, or what may be kept of it."""
    value = field(name)
    if _IS_BODY_OR_KEY.search(name):
        return f"CASE WHEN json_type({value}) NOT IN ('VARCHAR', 'OBJECT', 'ARRAY') THEN {value} END"
    if kept == "all":
        return value
    text = f"CAST({value} AS VARCHAR)"
    numbers = f"try_cast(regexp_replace({text}, {quote(_TEXT_VALUE)}, {quote(_WITHOUT_TEXT)}, 'g') AS JSON)"
    return (
        f"CASE json_type({value}) WHEN 'VARCHAR' THEN NULL"
        f" WHEN 'OBJECT' THEN CASE WHEN length({text}) <= {_LONGEST_DOCUMENT} THEN {numbers} END"
        f" WHEN 'ARRAY' THEN CASE WHEN length({text}) <= {_LONGEST_DOCUMENT} THEN {numbers} END ELSE {value} END"
    )
