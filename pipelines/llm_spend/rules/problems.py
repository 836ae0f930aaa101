"""What is wrong in a rule file, where it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, RootModel

from llm_spend.errors import UserError
from llm_spend.log import redact
from llm_spend.rules.yaml_lines import Document, YamlPath


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a rule file. `field` is a path such as `rules[0].when.subjects[1]`."""

    file: Path
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field + ': ' if self.field else ''}{self.message}"


class RuleFileError(UserError):
    """A rule file has problems; nothing of it was used."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def problem_at(file: Path, document: Document, path: YamlPath, message: str) -> Problem:
    return Problem(file, document.line_of(path), redact(field_of(path)), redact(message))


def invalid(file: Path, document: Document, model: type[BaseModel], detail: Mapping[str, Any]) -> Problem:
    """The problem that one entry of pydantic's `errors()` tells of."""
    # pydantic marks a bad mapping key as (..., key, "[key]").
    path: YamlPath = tuple(part for part in detail["loc"] if part != "[key]")
    return problem_at(file, document, path, _message(model, detail, path))


def field_of(path: YamlPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _message(model: type[BaseModel], detail: Mapping[str, Any], path: YamlPath) -> str:
    kind, found = detail["type"], detail.get("input")
    context = detail.get("ctx", {})
    match kind:
        case "missing":
            return "is missing; add it" + (" ({} = every request)" if path[-1] == "when" else "")
        case "extra_forbidden":
            return f"is not known here; the fields are {', '.join(_fields_beside(model, path))}"
        case "literal_error":
            return f"is {found!r}; write {context['expected']}"
        case "int_type" | "greater_than_equal":
            return f"is {found!r}; write a whole number, 0 or more"
        case "bool_type":
            return f"is {found!r}; write true or false"
        case "string_type":
            return f"is {found!r}; write text (in quotes when it looks like a number or a truth value)"
        case "list_type":
            return f"is {found!r}; write a list, such as [{found}]"
        case "dict_type" | "model_type":
            return f"is {found!r}; write keys and values"
        case "too_short":
            return "is an empty list; fill it" + (" or leave it out" if "when" in path else "")
        case "too_long":
            return f"has {len(found or [])} entries; at most {context['max_length']} are supported"
        case "value_error":
            return str(context["error"])
        case _:
            return str(detail["msg"])


def _fields_beside(model: type[BaseModel], path: YamlPath) -> list[str]:
    """The fields of the part of a file that the last part of a path is in."""
    if issubclass(model, RootModel):
        model = _model_in(model.model_fields["root"].annotation) or model
    for part in path[:-1]:
        field = {info.alias or name: info for name, info in model.model_fields.items()}.get(str(part))
        model = (field and _model_in(field.annotation)) or model
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
