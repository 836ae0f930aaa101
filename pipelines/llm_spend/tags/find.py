"""Which keys and values of a file are tags: those in a gateway's metadata header or in the metadata of an LLM call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from llm_spend.tags.tree import AnyOf, Document, Dumped, Item, Listed, Mapping, Name, Other, Text, Value

HEADERS = frozenset(
    {
        "x-tfy-metadata",
        "x-portkey-metadata",
        "x-litellm-spend-logs-metadata",
        "cf-aig-metadata",
        "databricks-ai-gateway-request-tags",
    }
)
"""Headers whose value is a JSON object of tags, in lower case."""

_LABEL_HEADER = "x-litellm-tags"
_ALWAYS_TAGS = frozenset({"metadata_override", "spend_logs_metadata", "spendLogsMetadata"})
_METADATA = frozenset({"metadata", "litellm_metadata", "requestMetadata"})
_BODIES = frozenset({"extra_body", "extraBody"})
# A mapping with one of these is a call of a model, not a manifest that has metadata of its own.
_CALL_FIELDS = frozenset(
    {"model", "model_name", "messages", "prompt", "virtual_key", "virtualKey", "litellm_params", "modelId"}
)
_CALLS = re.compile(
    r"(^|\.)((completions|responses|messages|embeddings)\.(create|parse|stream)"
    r"|a?(text_)?completion|a?embedding|Async?Portkey|Portkey|createHeaders|with_options|withOptions)$"
)
# Keys that only metadata for a gateway has.
_GATEWAY_KEY = re.compile(r"tfy_|_(user|environment|organisation|prompt)$")

TAGS_MARK = "llm-spend: tags"
IGNORE_MARK = "llm-spend: ignore"


@dataclass(frozen=True)
class Tag:
    """A tag as it is written. `value`: None where the program computes it.

    kind: `tag`; `label` is a tag of LiteLLM without a key; of `nested` the value is a document or a list.
    """

    line: int
    key: str
    value: str | None
    kind: Literal["tag", "label", "nested"] = "tag"


def find_tags(document: Document, lines: list[str]) -> list[Tag]:
    """The tags of a file, in its order. `lines`: its text, which may say what is a tag, and what to leave alone."""
    finder = _Finder(document)
    found = {tag for mapping in document.mappings for tag in finder.tags_in(mapping, is_call=False)}
    for name, values in document.assigned.items():
        for value in values:
            if isinstance(value, Mapping):  # headers["x-portkey-metadata"] = …
                found.update(finder.tags_in(value, is_call=False))
        if name.lower().endswith("metadata"):
            found.update(tag for value in values if _is_for_gateway(value) for tag in finder.tags_of(value))
    for mapping in document.mappings:
        around = lines[max(mapping.line - 2, 0) : mapping.line]
        if any(TAGS_MARK in line for line in around):
            found.update(finder.tags_of(mapping))
    shown = [tag for tag in found if IGNORE_MARK not in "".join(lines[tag.line - 1 : tag.line])]
    return sorted(shown, key=lambda tag: (tag.line, tag.key, tag.value or "", tag.kind))


def tags_of(document: Document) -> list[Tag]:
    """The tags of a file that holds nothing else. Raises ValueError when it is not one object."""
    match document.whole:
        case (Mapping() as only,):
            return list(_Finder(document).tags_of(only))
        case _:
            raise ValueError("line 1: it holds something else")


class _Finder:
    def __init__(self, document: Document) -> None:
        self._assigned = document.assigned

    def tags_in(self, mapping: Mapping, *, is_call: bool) -> Iterator[Tag]:
        """The tags that a mapping holds under keys that are known to hold some."""
        is_call = is_call or _is_call(mapping)
        for item in mapping.items:
            name = item.key.lower().replace("_", "-")
            if name in HEADERS or item.key in _ALWAYS_TAGS or (is_call and item.key in _METADATA):
                yield from self.tags_of(item.value)
            elif name == _LABEL_HEADER or (is_call and item.key == "tags"):
                yield from self._labels(item)
            elif is_call and item.key in _BODIES and isinstance(item.value, Mapping):
                yield from self.tags_in(item.value, is_call=True)

    def tags_of(self, value: Value, names: set[str] | None = None) -> Iterator[Tag]:
        """The tags that a value is made of. `names`: the variables that were followed; one can be made of itself."""
        names = set() if names is None else names
        inner: Iterable[Value] = ()
        match value:
            case Mapping(items=items, spread=inner):
                for item in items:
                    yield from self._tag(item)
            case Name(name=name) if name not in names:
                names.add(name)
                inner = self._assigned.get(name, ())
            case Dumped(value=dumped):
                inner = (dumped,)
            case Text(line=line, text=text):
                inner = (_json_mapping(line, text),)
            case Listed(values=inner) | AnyOf(values=inner):
                pass
        for each in inner:
            yield from self.tags_of(each, names)

    def _tag(self, item: Item) -> Iterator[Tag]:
        match item.value:
            case _ if item.key in _ALWAYS_TAGS:
                return  # It is found by its name.
            case _ if item.key == "tags":
                yield from self._labels(item)
            case Text(text=text):
                yield Tag(item.line, item.key, text)
            case AnyOf(values=values):
                for each in values:
                    yield from self._tag(Item(item.line, item.key, each))
            case Mapping() | Listed():
                yield Tag(item.line, item.key, None, "nested")
            case _:
                yield Tag(item.line, item.key, None)

    def _labels(self, item: Item) -> Iterator[Tag]:
        match item.value:
            case Listed(values=values):
                texts = [(each.line, each.text) for each in values if isinstance(each, Text)]
            case Text(line=line, text=text):
                texts = [(line, part.strip()) for part in text.split(",")]
            case _:
                texts = []
        for line, text in texts:
            yield Tag(line, item.key, text, "label")


def _is_call(mapping: Mapping) -> bool:
    return bool(_CALLS.search(mapping.function)) or any(item.key in _CALL_FIELDS for item in mapping.items)


def _is_for_gateway(value: Value) -> bool:
    return isinstance(value, Mapping) and any(_GATEWAY_KEY.match(item.key) for item in value.items)


def _json_mapping(line: int, text: str) -> Mapping:
    """The object that a text is the JSON of; empty when it is none."""
    try:
        content = json.loads(text)
    except ValueError:
        return Mapping(line, ())
    if not isinstance(content, dict):
        return Mapping(line, ())
    return Mapping(line, tuple(Item(line, key, _literal(line, value)) for key, value in content.items()))


def _literal(line: int, value: object) -> Value:
    match value:
        case dict():
            return Mapping(line, ())
        case list():
            return Listed(line, tuple(_literal(line, each) for each in value))
        case str():
            return Text(line, value)
        case None:
            return Other(line)
        case _:
            return Text(line, json.dumps(value))
