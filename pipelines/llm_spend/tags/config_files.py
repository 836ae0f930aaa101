"""YAML, JSON, TOML, and texts of a shell: files that set headers and metadata without a program."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml

from llm_spend.tags.find import HEADERS
from llm_spend.tags.tree import Document, Item, Listed, Mapping, Other, Text, Value

_HEADER_TEXT = re.compile(
    r"(?i)("
    + "|".join(re.escape(name).replace(r"\-", "[-_]") for name in sorted(HEADERS))
    + r")[\"']?\s*[:=]\s*[\"']?(?=\{)"
)
_YAML = "tag:yaml.org,2002:"
_NULL, _MERGE = f"{_YAML}null", f"{_YAML}merge"
_MOST_NODES = 300_000


def read_yaml(text: str) -> Document:
    """The mappings of a YAML file, of all its documents. Raises ValueError with the line of what is no YAML."""
    try:
        reader = _Nodes()
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
        return _document(tuple(reader.value(node) for node in nodes))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(
            f"line {mark.line + 1 if mark else 1}: {error.problem or 'no YAML that can be read'}"
        ) from error
    except yaml.YAMLError as error:
        raise ValueError("line 1: no YAML that can be read") from error


def read_json(text: str) -> Document:
    """The mappings of a JSON file, comments and all: YAML can read it once its tabs are gone."""
    try:
        return read_yaml(re.sub(r"(?m)^[ \t]*//.*$", "", text.replace("\t", " ")))
    except ValueError as error:
        raise ValueError(str(error).replace("YAML", "JSON")) from error


def read_toml(text: str) -> Document:
    """The mappings of a TOML file. Raises ValueError for what is no TOML."""
    return _document((_plain_value(tomllib.loads(text), text.splitlines(), 1),))


def read_shell(text: str) -> Document:
    """Headers of tags that are set in a text: `.env` files, scripts that call curl."""
    return Document(tuple(_headers(text)))


def _headers(text: str) -> Iterator[Mapping]:
    # In double quotes the quotes of JSON are escaped.
    plain = text.replace('\\"', '"')
    for found in _HEADER_TEXT.finditer(plain):
        line = plain.count("\n", 0, found.start()) + 1
        try:
            content, _ = json.JSONDecoder().raw_decode(plain, found.end())
        except ValueError:
            continue
        yield Mapping(line, (Item(line, found[1], Text(line, json.dumps(content))),))


class _Nodes:
    """Nodes of YAML as values. Aliases can lead back to where they stand, and make a short file endless."""

    def __init__(self) -> None:
        self._left = _MOST_NODES
        self._open: set[int] = set()

    def value(self, node: yaml.Node) -> Value:
        """The value of a node. Raises ValueError when there are too many."""
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"line {line}: more than {_MOST_NODES:,} values up to here")
        if id(node) in self._open:
            return Other(line)
        self._open.add(id(node))
        value = self._opened(node, line)
        self._open.remove(id(node))
        return value

    def _opened(self, node: yaml.Node, line: int) -> Value:
        match node:
            case yaml.MappingNode():
                pairs = [(key, self.value(value)) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
                items = (Item(key.start_mark.line + 1, key.value, value) for key, value in pairs if key.tag != _MERGE)
                return Mapping(line, tuple(items), spread=tuple(value for key, value in pairs if key.tag == _MERGE))
            case yaml.Node(tag=str() as tag) if tag == _NULL or not tag.startswith(_YAML):
                return Other(line)  # `!ENV TEAM` is known at run time only.
            case yaml.SequenceNode():
                return Listed(line, tuple(self.value(each) for each in node.value))
            case _:
                return Text(line, str(node.value))


def _plain_value(value: Any, lines: list[str], line: int) -> Value:
    match value:
        case dict():
            items = []
            for key, inner in value.items():
                at = _line_of(key, lines, line)
                items.append(Item(at, key, _plain_value(inner, lines, at)))
            return Mapping(line, tuple(items))
        case list():
            return Listed(line, tuple(_plain_value(each, lines, line) for each in value))
        case bool():
            return Text(line, str(value).lower())
        case _:
            return Text(line, str(value))


def _line_of(key: str, lines: list[str], since: int) -> int:
    """The line on which a key of TOML stands; the parser does not tell."""
    name = re.compile(rf"""(^|[\[.{{,\s])["']?{re.escape(key)}["']?\s*([=.\]])""")
    return next((number for number, text in enumerate(lines, 1) if number >= since and name.search(text)), since)


def _document(whole: tuple[Value, ...]) -> Document:
    found: list[Mapping] = []
    for value in whole:
        _collect(value, found)
    return Document(tuple(found), whole=whole)


def _collect(value: Value, found: list[Mapping]) -> None:
    match value:
        case Mapping():
            found.append(value)
            for item in value.items:
                _collect(item.value, found)
        case Listed(values=values):
            for each in values:
                _collect(each, found)
