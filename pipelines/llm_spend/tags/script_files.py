"""TypeScript and JavaScript, by tree-sitter."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from llm_spend.tags.tree import AnyOf, Document, Dumped, Item, Listed, Mapping, Name, Other, Text, Value

# What stands around a value without changing it.
_WRAPPERS = {
    "parenthesized_expression",
    "as_expression",
    "satisfies_expression",
    "non_null_expression",
    "await_expression",
    "type_assertion",
}
_TYPED_SUFFIXES = {".ts", ".mts", ".cts"}


def read_script(text: str, suffix: str) -> Document:
    """The mappings of a file; what is no TypeScript in it is skipped."""
    # `<T>x` is a cast in TypeScript, and the start of an element everywhere else.
    is_typed = suffix in _TYPED_SUFFIXES
    grammar = tree_sitter_typescript.language_typescript() if is_typed else tree_sitter_typescript.language_tsx()
    tree = Parser(Language(grammar)).parse(text.encode())
    assigned: dict[str, list[Value]] = defaultdict(list)
    mappings: list[Mapping] = []
    for node in _nodes(tree.root_node):
        if node.type == "object":
            mappings.append(_mapping(node, _called(node)))
        elif node.type == "call_expression":
            match _arguments(node):
                case [key, content] if key.type == "string":  # headers.set("x-portkey-metadata", …)
                    mappings.append(Mapping(_line(key), (Item(_line(key), _string(key), _value(content)),)))
        for name, value in _assignments(node):
            assigned[name].append(value)
    return Document(tuple(mappings), assigned)


def _nodes(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.named_children


def _assignments(node: Node) -> Iterator[tuple[str, Value]]:
    match node.type:
        case "variable_declarator":
            target, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        case "assignment_expression":
            target, value = node.child_by_field_name("left"), node.child_by_field_name("right")
        case _:
            return
    if target is None or value is None:
        return
    line = _line(target)
    match target.type:
        case "identifier":
            yield _text(target), _value(value)
        case "member_expression":
            whole, part = target.child_by_field_name("object"), target.child_by_field_name("property")
            if whole and part and whole.type == "identifier":
                yield _text(target), _value(value)
                yield _text(whole), Mapping(line, (Item(line, _text(part), _value(value)),))
        case "subscript_expression":
            whole, part = target.child_by_field_name("object"), target.child_by_field_name("index")
            if whole and part and part.type == "string":
                yield _text(whole), Mapping(line, (Item(line, _string(part), _value(value)),))


def _value(node: Node) -> Value:
    line = _line(node)
    while node.type in _WRAPPERS and node.named_children:
        node = node.named_children[-1 if node.type == "type_assertion" else 0]
    match node.type:
        case "string":
            return Text(line, _string(node))
        case "template_string" if all(child.type != "template_substitution" for child in node.named_children):
            return Text(line, _text(node)[1:-1])
        case "number" | "true" | "false":
            return Text(line, _text(node))
        case "identifier" | "member_expression":
            return Name(line, _text(node))
        case "object":
            return _mapping(node)
        case "array":
            return Listed(line, tuple(_value(child) for child in node.named_children if child.type != "comment"))
        case "ternary_expression":
            return AnyOf(line, tuple(_value(child) for child in node.named_children[1:] if child.type != "comment"))
        case "binary_expression" if any(child.type in ("||", "??") for child in node.children):
            return AnyOf(line, tuple(_value(child) for child in node.named_children if child.type != "comment"))
        case "call_expression" if _function(node) == "JSON.stringify" and (arguments := _arguments(node)):
            return Dumped(line, _value(arguments[0]))
        case _:
            return Other(line)


def _mapping(node: Node, function: str = "") -> Mapping:
    items, spread = [], []
    for child in node.named_children:
        if child.type == "shorthand_property_identifier":
            items.append(Item(_line(child), _text(child), Name(_line(child), _text(child))))
        elif child.type == "pair":
            key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
            if key and value and key.type in ("property_identifier", "string", "number"):
                name = _string(key) if key.type == "string" else _text(key)
                items.append(Item(_line(key), name, _value(value)))
        elif child.type == "spread_element" and child.named_children:
            spread.append(_value(child.named_children[0]))
    return Mapping(_line(node), tuple(items), function, tuple(spread))


def _called(node: Node) -> str:
    """The function whose argument an object is."""
    arguments = node.parent
    if arguments is None or arguments.type != "arguments" or arguments.parent is None:
        return ""
    return _function(arguments.parent)


def _function(call: Node) -> str:
    function = call.child_by_field_name("function") or call.child_by_field_name("constructor")
    return _text(function) if function else ""


def _arguments(call: Node) -> list[Node]:
    arguments = call.child_by_field_name("arguments")
    return [child for child in arguments.named_children if child.type != "comment"] if arguments else []


def _string(node: Node) -> str:
    """What a text in quotes says; its escapes are those of JSON, or stay as they are."""
    inner = _text(node)[1:-1]
    if "\\" not in inner:
        return inner
    try:
        return str(json.loads(f'"{inner}"' if _text(node)[0] == '"' else '"' + inner.replace('"', '\\"') + '"'))
    except ValueError:
        return inner


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _line(node: Node) -> int:
    return node.start_point[0] + 1
