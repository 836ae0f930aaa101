"""Quota rules: from a gateway's YAML to the form in which the warehouse keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llm_spend.rules.forms import FORMS, SEGMENTS, TENANTS, Form
from llm_spend.rules.problems import Problem, RuleFileError, invalid, problem_at
from llm_spend.rules.quota import Evaluation, QuotaRule
from llm_spend.rules.yaml_lines import Document, YamlError, YamlPath, read_document


def import_rules(file: Path, evaluation: Evaluation | None = None) -> list[QuotaRule]:
    """The rules of a rate-limit or budget file of TrueFoundry, in any of its forms.

    `evaluation`: how they count, that of the form if not given. Raises RuleFileError: every problem.
    """
    try:
        document = read_document(file)
    except YamlError as error:
        raise RuleFileError([Problem(file, error.line, "", f"this is not valid YAML: {error}")]) from error
    except OSError as error:
        raise RuleFileError([Problem(file, 1, "", f"can't be read ({error.strerror}); check the path")]) from error
    if not isinstance(document.value, dict):
        raise RuleFileError([problem_at(file, document, (), "expected keys name, type and rules at the top")])
    form = _form_of(file, document)
    try:
        config = form.model.model_validate(document.value)
    except ValidationError as error:
        raise RuleFileError([invalid(file, document, form.model, dict(each)) for each in error.errors()]) from error
    problems = [problem_at(file, document, *each) for each in form.unkept(config)]
    problems += _repeated_ids(file, document)
    if problems or form.rules is None:
        raise RuleFileError(problems)
    return form.rules(config, evaluation or form.evaluation)


def check(file: Path) -> list[Problem]:
    """What is wrong in a rule file; empty when it can be imported."""
    try:
        import_rules(file)
    except RuleFileError as error:
        return error.problems
    return []


def _form_of(file: Path, document: Document) -> Form:
    value = document.value
    if "type" not in value and "rules" not in value:
        if "segments" in value:
            return SEGMENTS
        if "configs" in value:
            return TENANTS
    found = value.get("type")
    if found == "tenant-rate-limit-config/mcp":
        message = "limits calls of MCP tools, which cost no tokens here; only limits on models are read"
        raise RuleFileError([problem_at(file, document, ("type",), message)])
    if isinstance(found, str) and found not in FORMS:
        message = f"is {found!r}; write one of {', '.join(FORMS)}"
        raise RuleFileError([problem_at(file, document, ("type",), message)])
    return FORMS.get(str(found), FORMS["gateway-rate-limiting-config"])


def _repeated_ids(file: Path, document: Document) -> list[Problem]:
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for path in _ids(document.value, ()):
        identifier = _at(document.value, path)
        if identifier in first:
            text = f"{identifier!r} is also the id on line {first[identifier]}; give each rule its own"
            problems.append(problem_at(file, document, path, text))
        first.setdefault(identifier, document.line_of(path))
    return problems


def _ids(value: Mapping[str, Any], path: YamlPath) -> Iterator[YamlPath]:
    for key in ("rules", "segments"):
        for index, _ in enumerate(value.get(key) or ()):
            yield (*path, key, index, "id")
    for index, each in enumerate(value.get("configs") or ()):
        yield from _ids(each, (*path, "configs", index))


def _at(value: Any, path: YamlPath) -> str:
    for part in path:
        value = value[part]
    return str(value).strip()
