"""Python, by its own parser."""

from __future__ import annotations

import ast
import json
import warnings
from collections import defaultdict
from collections.abc import Iterator

from llm_spend.tags.tree import AnyOf, Document, Dumped, Item, Listed, Mapping, Name, Other, Text, Value


def read_python(text: str) -> Document:
    """The mappings of a Python file. Raises ValueError with the line of what is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a strange escape, which is not our business
            module = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"line {getattr(error, 'lineno', None) or 1}: no Python that can be read") from error
    assigned: dict[str, list[Value]] = defaultdict(list)
    mappings: list[Mapping] = []
    for node in ast.walk(module):
        mappings += _mappings(node)
        for name, value in _assignments(node):
            assigned[name].append(value)
    return Document(tuple(mappings), assigned)


def _mappings(node: ast.AST) -> Iterator[Mapping]:
    match node:
        case ast.Dict():
            yield _mapping(node)
        case ast.Call():
            function = _dotted(node.func)
            yield _keywords(node, function)
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    yield _mapping(argument, function)
            match node.args:
                case [ast.Constant(value=str() as key), value]:  # headers.add("x-portkey-metadata", …)
                    yield Mapping(node.lineno, (Item(node.args[0].lineno, key, _value(value)),))


def _assignments(node: ast.AST) -> Iterator[tuple[str, Value]]:
    targets: list[ast.expr]
    match node:
        case ast.Assign(targets=targets, value=value):
            pass
        case ast.AnnAssign(target=only, value=ast.expr() as value) | ast.NamedExpr(target=only, value=value):
            targets = [only]
        case ast.AugAssign(target=only, op=ast.BitOr(), value=value):
            targets = [only]
        case ast.Call(func=ast.Attribute(value=updated, attr="update")):
            yield _dotted(updated), _keywords(node, "")
            return
        case _:
            return
    for target in targets:
        match target:
            case ast.Name(id=name):
                yield name, _value(value)
            case ast.Attribute():
                yield _dotted(target), _value(value)
            case ast.Subscript(value=whole, slice=ast.Constant(value=str() as key)):
                yield _dotted(whole), Mapping(target.lineno, (Item(target.lineno, key, _value(value)),))


def _value(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=str() | int() | float() as constant):
            return Text(node.lineno, constant if isinstance(constant, str) else json.dumps(constant))
        case ast.Name(id=name):
            return Name(node.lineno, name)
        case ast.Attribute():
            return Name(node.lineno, _dotted(node))
        case ast.Dict():
            return _mapping(node)
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
            return Listed(node.lineno, tuple(_value(each) for each in elements))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return AnyOf(node.lineno, (_value(left), _value(right)))
        case ast.IfExp(body=left, orelse=right):
            return AnyOf(node.lineno, (_value(left), _value(right)))
        case ast.BoolOp(values=values):
            return AnyOf(node.lineno, tuple(_value(each) for each in values))
        case ast.Call(func=function, args=[argument, *_]) if _dotted(function).endswith("dumps"):
            return Dumped(node.lineno, _value(argument))
        case ast.Call(func=ast.Name(id="dict")):
            return _keywords(node, "")
        case _:
            return Other(node.lineno)


def _mapping(node: ast.Dict, function: str = "") -> Mapping:
    items = (
        Item(key.lineno, key.value, _value(value))
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    )
    spread = (_value(value) for key, value in zip(node.keys, node.values, strict=True) if key is None)
    return Mapping(node.lineno, tuple(items), function, tuple(spread))


def _keywords(node: ast.Call, function: str) -> Mapping:
    """`dict(base, team="x", **others)`: its keywords, and what else its keys come from."""
    items = (Item(word.lineno, word.arg, _value(word.value)) for word in node.keywords if word.arg)
    spread = (*node.args, *(word.value for word in node.keywords if not word.arg))
    return Mapping(node.lineno, tuple(items), function, tuple(_value(each) for each in spread))


def _dotted(node: ast.expr) -> str:
    """`client.chat.completions.create` of its expression; what is no name between the dots is left out."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
        case _:
            return ""
