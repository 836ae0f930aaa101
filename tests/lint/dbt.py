"""Stand-ins for dbt's own macros, so that sqlfluff reads the models without starting dbt. They only have to parse."""

from typing import Any


def concat(fields: list[str]) -> str:
    return " || ".join(fields)


def hash(field: str) -> str:
    return f"md5({field})"


def split_part(text: str, delimiter: str, part: int) -> str:
    return f"split_part({text}, {delimiter}, {part})"


def position(part: str, text: str) -> str:
    return f"strpos({text}, {part})"


def date_trunc(part: str, value: str) -> str:
    return f"date_trunc('{part}', {value})"


def dateadd(part: str, number: int, value: str) -> str:
    return f"date_add({value}, {number})"


def datediff(first: str, second: str, part: str) -> str:
    return f"date_diff('{part}', {first}, {second})"


def listagg(measure: str, delimiter: str, order_by: str) -> str:
    return f"string_agg({measure}, {delimiter} {order_by})"


def __getattr__(name: str) -> Any:
    if name.startswith("type_"):
        return lambda: name.removeprefix("type_").replace("string", "varchar")
    raise AttributeError(name)
