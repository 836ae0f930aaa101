"""The tag registry, as rules for one tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from llm_spend.errors import UserError
from llm_spend.seeds import parsed_rows, seed_place

FILE = "tag_registry.csv"
COLUMNS = (
    "tag_key",
    "meaning",
    "owner",
    "allowed_values",
    "pattern",
    "required_in",
    "since",
    "retired",
    "replaced_by",
)


@dataclass(frozen=True)
class TagKey:
    """A row of the registry."""

    key: str
    allowed_values: frozenset[str]
    pattern: re.Pattern[str] | None
    retired: date | None
    replaced_by: str

    @property
    def has_rule(self) -> bool:
        """Whether it says which values may be sent."""
        return bool(self.allowed_values or self.pattern)

    def allows(self, value: str) -> bool:
        """Whether the value is one of those that it names, or has the form of its pattern."""
        return value in self.allowed_values or bool(self.pattern and self.pattern.search(value))


@dataclass(frozen=True)
class Registry:
    """The keys that may be sent. Without any, nothing is asked of keys."""

    file: Path | None
    keys: Mapping[str, TagKey]


def seeds_folder(given: Path | None) -> Path | None:
    """The folder of seeds of a command about tags: that of the setting, else `seeds`, where there is one."""
    here = Path("seeds")
    return given or (here if here.is_dir() else None)


def find_registry(file: Path | None, seeds: Path | None) -> Registry:
    """The registry of a file, or of a folder of seeds; empty when there is none.

    Raises UserError when the file can't be read, with the line that is wrong.
    """
    place = file or (seeds and seed_place(seeds, "mapping", FILE))
    if not place or not place.is_file():
        if file:
            raise UserError(f"There is no registry {file}.", "Give its file with --registry.")
        return Registry(None, {})
    rows = parsed_rows(place, COLUMNS, _tag_key)
    return Registry(place, {row.key: row for row in rows})


def _tag_key(row: dict[str, str]) -> TagKey:
    try:
        pattern = re.compile(row["pattern"]) if row["pattern"].strip() else None
    except re.error as error:
        raise ValueError(f"its pattern is no regular expression: {error}") from error
    values = frozenset(value.strip() for value in row["allowed_values"].split("|") if value.strip())
    retired = row["retired"].strip()
    return TagKey(
        row["tag_key"].strip(),
        values,
        pattern,
        date.fromisoformat(retired) if retired else None,
        row["replaced_by"].strip(),
    )
