"""What records hold besides the fields that a format reads: it goes into the column `_extra`, as far as it may.

Who adds a field tells nobody, and an API may have forgotten the row before the field has a column here. But such a
field may hold what people wrote. So numbers are kept, which can't, and text on demand. Files are looked into where they
begin and where they end: a field that is new stays, and to look at every line would cost as much as to read it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any, Literal

from llm_spend.readers.files import LogFile, documents_of
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, quote

UnknownFields = Literal["none", "numbers", "all"]
"""What is kept of fields that a format does not read: nothing, what is no text, or all but bodies and keys."""

_MOST_FIELDS = 50
_NAMES_SHOWN = 10
_WHAT_IS_KEPT: Mapping[UnknownFields, str] = {
    "none": "They are not kept.",
    "numbers": "Their numbers are kept in the column _extra, text is not: see the setting unknown_fields.",
    "all": "They are kept in the column _extra.",
}
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
    """Those of some fields that are new to a format, by name. DuckDB does not tell upper from lower case."""
    known = {name.lower() for name in known_names(fmt)}
    found: dict[str, str] = {}
    for name in sorted(names):
        if name and name.lower() not in known:
            found.setdefault(name.lower(), name)
    return sorted(found.values())


def known_names(fmt: LogFormat) -> set[str]:
    """The fields at the top of a document that are not new to a format: it or its fuller form reads them, or nobody."""
    own = {*fmt.file_fields, *fmt.ignored, "filename", fmt.envelope or "filename"}
    # What is called like a field of an unnested record can't be read beside it.
    own |= set(fmt.unnest.fields if fmt.unnest else ())
    return own | (known_names(fmt.fuller) if fmt.fuller else set())


@dataclass(frozen=True)
class NewFields:
    """Fields of files that are new to a format: by name whether one of the values that were seen holds a number.

    `top`: at the top of documents; `inside`: elsewhere in records.
    """

    top: dict[str, bool] = dataclass_field(default_factory=dict)
    inside: dict[str, bool] = dataclass_field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """All of them."""
        return {*self.top, *self.inside}

    def covers(self, others: NewFields) -> bool:
        """Whether what is kept of the others is the same when these are kept."""
        pairs = ((self.top, others.top), (self.inside, others.inside))
        return all(mine.get(name) in (True, value) for mine, theirs in pairs for name, value in theirs.items())

    def kept_by(self, fmt: LogFormat, kept: UnknownFields) -> LogFormat:
        """The format that keeps what may be kept of them; the same one if that is nothing."""
        top, inside = (
            [name for name in each if each[name] or (kept == "all" and not _IS_BODY_OR_KEY.search(name))]
            for each in (self.top, self.inside)
        )
        return keeping(fmt, top, kept, inside)


def new_fields(fmt: LogFormat, files: Iterable[LogFile]) -> NewFields:
    """What is new in the first and last documents of JSON files. Nothing in tables, whose columns are mapped."""
    return new_in(fmt, (document for file in files for document in documents_of(file)))


def new_in(fmt: LogFormat, documents: Iterable[Mapping[str, Any]]) -> NewFields:
    """What is new in some documents."""
    found = NewFields()
    if fmt.by_fields:  # it takes what there is
        return found
    known = known_names(fmt)
    envelope = fmt.envelope or (fmt.fuller and fmt.fuller.envelope) or ""
    inside = fmt.inside or (fmt.fuller and fmt.fuller.inside)
    for document in documents:
        _note(found.top, known, document)
        if isinstance(document.get(envelope), dict):
            _note(found.top, known, document[envelope])
        if inside:
            for name, value in inside.items(document):
                _note(found.inside, inside.known, {name: value})
    return replace(found, top={name: found.top[name] for name in unknown_names(fmt, found.top)})


def numbers_below(value: Any, place: str, known: Collection[str], depth: int = 4) -> Iterator[tuple[str, Any]]:
    """For Inside.items: the numbers in a document, also as text, by path (`usage.details.new`).

    Without those of `known`, and what is below them.
    """
    if place in known:
        return
    if isinstance(value, dict):
        for name, inner in value.items() if depth else ():
            yield from numbers_below(inner, f"{place}.{name}", known, depth - 1)
    elif isinstance(value, int | float) or (isinstance(value, str) and value.replace(".", "", 1).isdecimal()):
        yield place, 1


def _note(found: dict[str, bool], known: Collection[str], fields: Mapping[str, Any]) -> None:
    for name in fields.keys() - known:
        found[name] = found.get(name, False) or _has_number(name, fields[name])


def _has_number(name: str, value: Any) -> bool:
    """Whether there is a number in a field that may be kept: of a body only if it is one."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return not _IS_BODY_OR_KEY.search(name) and any(_has_number("", each) for each in inner)
    return isinstance(value, int | float)


def keeping(fmt: LogFormat, names: Iterable[str], kept: UnknownFields, inside: Iterable[str] = ()) -> LogFormat:
    """The format that writes fields of these names, where it does not read them, into `_extra`; or the same format.

    `names`: at the top of documents; `inside`: elsewhere in records.
    """
    if kept == "none":
        return fmt
    fuller = fmt.fuller and keeping(fmt.fuller, names, kept, inside)
    top = unknown_names(fmt, names)[:_MOST_FIELDS]
    deep = sorted(inside)[:_MOST_FIELDS] if fmt.inside else []
    if not top and not deep:
        # The two write into one table: what the fuller one finds more gives both the column.
        return replace(with_column(fmt), fuller=fuller) if fuller and fuller.extra else fmt
    values = {name: field(name) for name in top}
    if fmt.inside:
        values |= {name: fmt.inside.value(name) for name in deep}
    pairs = ", ".join(f"{quote(name)}, {_kept(name, value, kept)}" for name, value in values.items())
    # A patch leaves out what is NULL in it.
    document = f"CAST(json_merge_patch('{{}}', json_object({pairs})) AS VARCHAR)"
    return replace(
        fmt,
        extra=f"CAST(nullif({document}, '{{}}') AS JSON)",
        json_fields=fmt.json_fields.union(top),
        unnest=fmt.inside.reading(deep) if deep and fmt.inside and fmt.inside.reading else fmt.unnest,
        fuller=fuller and with_column(fuller),
    )


def said_of(names: Iterable[str], kept: UnknownFields) -> str:
    """The warning that there are such fields."""
    shown = sorted(name[:40] for name in names)
    others = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return f"Fields that are not known: {', '.join(shown[:_NAMES_SHOWN])}{others}. {_WHAT_IS_KEPT[kept]}"


def with_column(fmt: LogFormat) -> LogFormat:
    """The format that writes `_extra`, if only NULL: what is loaded together has the same columns."""
    return fmt if fmt.extra else replace(fmt, extra=_NOTHING)


def _kept(name: str, value: str, kept: UnknownFields) -> str:
    """The value of a field, or what may be kept of it."""
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
