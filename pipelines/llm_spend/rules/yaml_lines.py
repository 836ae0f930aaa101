"""YAML with line numbers: the plain value of a document, and the line on which each part of it stands."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

YamlPath = tuple[str | int, ...]


class YamlError(ValueError):
    """The text is not YAML. `line` is 1-based."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    value: Any
    lines: dict[YamlPath, int]

    def line_of(self, path: YamlPath) -> int:
        """Line (1-based) of the part at `path`, or of the closest part around it when it isn't there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    """JSON is YAML but for numbers such as `1e-06`, which YAML takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?[eE][-+]?\d+$", re.ASCII), list("-0123456789")
)
_SURROGATES = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


def _yaml_text(file: Path) -> str:
    """The text of a file. Tabs between the parts of JSON, and its halves of characters, are nothing to YAML."""
    text = file.read_text(encoding="utf-8-sig")
    if file.suffix.lower() != ".json":
        return text
    halves = _SURROGATES.sub(lambda found: bytes.fromhex(found[1] + found[2]).decode("utf-16-be"), text)
    return halves.replace("\t", " ")


def read_document(file: Path) -> Document:
    """The one YAML document of `file`. Raises YamlError; OSError when the file can't be read."""
    loader: _Loader | None = None
    try:
        loader = _Loader(_yaml_text(file))
        node = loader.get_single_node()
        if node is None:
            return Document(None, {})
        lines: dict[YamlPath, int] = {}
        _collect_lines(node, (), lines, set())
        return Document(loader.construct_document(node), lines)
    except UnicodeDecodeError as error:
        raise YamlError("the file is not UTF-8 text", 1) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "not valid YAML", mark.line + 1 if mark else 1) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlError(str(error).splitlines()[0], 1) from error
    finally:
        if loader is not None:
            loader.dispose()


def _collect_lines(node: yaml.Node, path: YamlPath, lines: dict[YamlPath, int], seen: set[int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    # An alias is the node of its anchor: once is enough, and a document can refer to itself.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in keys:
                raise YamlError(f"the key {name!r} is there twice", key.start_mark.line + 1)
            keys.add(name)
            lines[(*path, name)] = key.start_mark.line + 1
            _collect_lines(value, (*path, name), lines, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*path, index), lines, seen)
