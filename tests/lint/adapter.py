"""Stand-in for dbt's adapter: every dispatched macro is a call with its arguments, a type is a type."""

from collections.abc import Callable
from typing import Any


def dispatch(name: str, package: str) -> Callable[..., str]:
    def call(*arguments: Any) -> str:
        if name.startswith("type_"):
            return "decimal(38, 12)"
        if name == "unnest_map":
            relation, _, columns = arguments
            return f"select {', '.join(columns)}, tag_key, tag_value from {relation}"
        return f"{name}({', '.join(str(argument) for argument in arguments[:1])})"

    return call


def quote(name: str) -> str:
    return f'"{name}"'
