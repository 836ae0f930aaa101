"""Names out of logs and seeds, made harmless: for a spreadsheet, as a sheet's name, as a file's name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from unicodedata import normalize
from urllib.parse import quote

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), in either width.
_FORMULA_BEGINS = frozenset("=+-@\t\r\n＝＋－＠")
# Controls, what turns the direction of writing, and what XML does not allow.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
# Where another separator of lists is set, a spreadsheet cuts there, and a cell of its own begins.
_INNER_FORMULA = re.compile(r"(;\s*|(?<=\S)[\t\r\n]\s*)(?=[=+\-@＝＋－＠])")
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\]")
_SHEET_NAME_UNITS = 31
_LONGEST_SLUG = 120  # bytes


def is_like_a_formula(text: str) -> bool:
    """Whether a spreadsheet may take the text for a formula, also after blanks that it drops."""
    return text[:1] in _FORMULA_BEGINS or text.lstrip()[:1] in _FORMULA_BEGINS


def as_csv_text(text: str) -> str:
    """Text that stays text when a spreadsheet opens the file."""
    inside = _INNER_FORMULA.sub(r"\1'", text)
    return f"'{inside}" if is_like_a_formula(text) else inside


def shown(text: str) -> str:
    """Text without anything that can't be seen but does something."""
    return _NOT_SHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def sheet_names(names: Iterable[str]) -> list[str]:
    """Legal names of sheets that differ in more than their case, in the order of the names."""
    taken = {"history"}  # Excel keeps it for itself.
    found = []
    for name in names:
        legal = _NOT_IN_SHEET_NAMES.sub("_", shown(name)).strip().strip("'") or "_"
        chosen, number = _cut(legal, _SHEET_NAME_UNITS), 1
        while chosen.casefold() in taken:
            number += 1
            ending = f" ({number})"
            chosen = _cut(legal, _SHEET_NAME_UNITS - len(ending)) + ending
        taken.add(chosen.casefold())
        found.append(chosen)
    return found


def file_slug(name: str) -> str:
    """The name as a part of a file's name; two names never have the same, also where a disk does not tell capitals."""
    slug = "".join(each if each.isalnum() or each in " ._-" else quote(each, safe="") for each in name)
    if len(slug.encode()) <= _LONGEST_SLUG and name == normalize("NFC", name).casefold():
        return slug
    return f"{slug.encode()[:_LONGEST_SLUG].decode(errors='ignore')}-{sha256(name.encode()).hexdigest()[:16]}"


def _cut(text: str, units: int) -> str:
    """The beginning of the text; a sheet's name is counted in units of UTF-16."""
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore").rstrip().rstrip("'")
