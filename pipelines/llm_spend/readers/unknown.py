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
# Where logs keep what was asked and answered, and what opens doors: how names end, and what they have in them.
_ENDINGS = r"messages?|prompts?|request|response|inputs?|outputs?|bod(?:y|ies)|completions?|headers?|api[_-]?key|token"
_PARTS = "content|choices|cookie|authorization|secret|password|credential"
_IS_BODY_OR_KEY = re.compile(rf"(?:{_ENDINGS})$|{_PARTS}", re.IGNORECASE)
# The same in JSON text, for the regular expressions of DuckDB.
_HAS_BODY_OR_KEY = rf'(?i)"[^"]*(?:(?:{_ENDINGS})"|(?:{_PARTS})[^"]*")\s*:'
_NOTHING = "CAST(NULL AS JSON)"
# In JSON text a string that a colon follows is a name, any other one a value.
_TEXT_VALUE = r'"(?:[^"\\]|\\.)*"(\s*[,\]}])'
_WITHOUT_TEXT = r"null\1"
# A name that says what a number is; another one is somebody's address, or a sentence.
_PLAIN_NAME = r'"[A-Za-z0-9_.$-]{1,64}"\s*:'


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
    text = f"CAST({value} AS VARCHAR)"
    if kept == "all":
        hides = f"json_type({value}) IN ('OBJECT', 'ARRAY') AND regexp_matches({text}, {quote(_HAS_BODY_OR_KEY)})"
        return f"CASE WHEN {hides} THEN NULL ELSE {value} END"
    numbers = f"regexp_replace({text}, {quote(_TEXT_VALUE)}, {quote(_WITHOUT_TEXT)}, 'g')"
    # What has a quote left beside its names is not what it seemed to be.
    is_plain = f"NOT contains(regexp_replace({numbers}, {quote(_PLAIN_NAME)}, '', 'g'), '\"')"
    document = f"CASE WHEN length({text}) <= {_LONGEST_DOCUMENT} AND {is_plain} THEN try_cast({numbers} AS JSON) END"
    return (
        f"CASE WHEN json_type({value}) IN ('OBJECT', 'ARRAY') THEN {document}"
        f" WHEN json_type({value}) <> 'VARCHAR' THEN {value} END"
    )
