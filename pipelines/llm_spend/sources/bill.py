"""Files in the columns of our own tables of usage and bills: for a provider that no source asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from llm_spend.errors import UserError
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, quote, typed, unknown
from llm_spend.schema import Column, Kind
from llm_spend.sources.expressions import text_field

_DEFAULTS = {"profile": "primary", "cost_unit": "unit"}
"""What a file means that does not have the column. A currency is never assumed."""

_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
_WORDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "provider__costs": {"charge_category": _CATEGORIES, "cost_unit": ("unit", "cent")},
    "provider__usage": {"cost_unit": ("unit", "cent", "usd", "us_cent")},
}
"""By table and column: the only words that mean something, in any case. Of another one nobody would know the amount."""


def files_of(fmt: LogFormat) -> LogFormat:
    """The format of JSON lines and tables whose fields are columns of the table of `fmt`."""

    def by_fields(url: str, types: Mapping[str, str]) -> LogFormat:
        return _of_file(fmt, url, types)

    return replace(fmt, by_fields=by_fields)


def _of_file(fmt: LogFormat, url: str, types: Mapping[str, str]) -> LogFormat:
    """Raises UserError for a field that is no column, and for a column that is needed and not there."""
    # A file without a record is none of another kind.
    given = {name.strip().lower(): name for name in types} or dict.fromkeys(fmt.columns)
    if wrong := [given[name] for name in given if name not in fmt.columns]:
        raise UserError(f"{url} has unknown columns: {', '.join(map(str, wrong))}.", _known(fmt))
    needed = [name for name, column in fmt.columns.items() if column.required and name not in _DEFAULTS]
    if missing := [name for name in needed if name not in given]:
        raise UserError(f"{url} lacks the columns {', '.join(missing)}.", _known(fmt))
    columns = {}
    for name, column in fmt.columns.items():
        read = _column(fmt, name, given[name] or name) if name in given else _missing(name, column.kind)
        columns[name] = read.as_required() if column.required else read
    documents = [given[name] or name for name, column in columns.items() if column.kind == "json" and name in given]
    return replace(fmt, columns=columns, json_fields=frozenset(documents), by_fields=None)


def _known(fmt: LogFormat) -> str:
    return f"Columns of {fmt.table} are {', '.join(fmt.columns)}. See docs/bills.md."


def _column(fmt: LogFormat, name: str, given: str) -> Column:
    """A column from the field `given`."""
    kind = fmt.columns[name].kind
    if kind == "json":
        return Column(kind, field(given))
    if words := _WORDS[fmt.table].get(name):
        return _one_of(words, text_field(given))
    return typed(text_field(given), kind)


def _one_of(words: Sequence[str], text: str) -> Column:
    cases = " ".join(f"WHEN {quote(word.lower())} THEN {quote(word)}" for word in words)
    return Column("text", f"CASE lower({text}) {cases} END", text, expected=f"one of {', '.join(words)}")


def _missing(name: str, kind: Kind) -> Column:
    return Column(kind, quote(_DEFAULTS[name])) if name in _DEFAULTS else unknown(kind)
