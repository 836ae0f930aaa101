"""What Python, TypeScript, YAML and the like have in common, as far as tags go: mappings of texts, names and calls."""

from __future__ import annotations

from collections.abc import Mapping as Names
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A value that is written out: a text, a number, a truth value."""

    line: int
    text: str


@dataclass(frozen=True)
class Name:
    """A variable; what it holds is found where it is assigned."""

    line: int
    name: str


@dataclass(frozen=True)
class Dumped:
    """A value that is turned into JSON: `json.dumps(…)`, `JSON.stringify(…)`."""

    line: int
    value: Value


@dataclass(frozen=True)
class Other:
    """What is known only when the program runs."""

    line: int


@dataclass(frozen=True)
class Listed:
    line: int
    values: tuple[Value, ...]


@dataclass(frozen=True)
class AnyOf:
    """One of these, or several of them merged: `a if b else c`, `a or b`, `a | b`."""

    line: int
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Item:
    """A key that is written out, with the line it stands on."""

    line: int
    key: str
    value: Value


@dataclass(frozen=True)
class Mapping:
    """Keys and values.

    `function`: the call whose argument it is, or whose keywords these are; '' for none.
    `spread`: what else its keys come from: `**a`, `...a`, `<<: *a`.
    """

    line: int
    items: tuple[Item, ...]
    function: str = ""
    spread: tuple[Value, ...] = ()


Value = Text | Name | Dumped | Other | Listed | AnyOf | Mapping


@dataclass(frozen=True)
class Document:
    """A file: every mapping of it, however deep, and what variables are set to.

    `whole`: what a file of YAML, JSON or TOML is, of YAML each of its documents.
    """

    mappings: tuple[Mapping, ...]
    assigned: Names[str, list[Value]] = field(default_factory=dict)
    whole: tuple[Value, ...] = ()
