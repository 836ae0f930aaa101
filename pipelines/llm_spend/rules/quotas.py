"""Quota rules: from a rule file to the form in which the warehouse keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llm_spend.rules.forms import UnknownFormError, form_of
from llm_spend.rules.problems import Problem, RuleFileError, invalid, problem_at
from llm_spend.rules.quota import Evaluation, QuotaRule
from llm_spend.rules.remarks import Note
from llm_spend.rules.yaml_lines import Document, YamlError, YamlPath, read_document


@dataclass(frozen=True)
class RuleFile:
    """What a file says. `rule_sets`: of which rule sets it has all rules; `notes`: what it says that is not kept."""

    rules: tuple[QuotaRule, ...]
    rule_sets: tuple[str, ...]
    notes: tuple[Problem, ...]


def read_rules(file: Path, evaluation: Evaluation | None = None) -> RuleFile:
    """The rules of a file of TrueFoundry, Portkey or LiteLLM, or of our own, YAML or JSON.

    `evaluation`: how they count, that of the file or its form if not given. Raises RuleFileError: every problem.
    """
    try:
        document = read_document(file)
    except YamlError as error:
        raise RuleFileError([Problem(file, error.line, "", f"this is not valid YAML: {error}")]) from error
    except OSError as error:
        raise RuleFileError([Problem(file, 1, "", f"can't be read ({error.strerror}); check the path")]) from error
    try:
        form = form_of(document.value)
    except UnknownFormError as error:
        path: YamlPath = (error.key,) if error.key else ()
        raise RuleFileError([problem_at(file, document, path, str(error))]) from error
    try:
        config = form.model.model_validate(document.value)
    except ValidationError as error:
        raise RuleFileError([invalid(file, document, form.model, dict(each)) for each in error.errors()]) from error
    remarks = list(form.remarks(config))
    said = [(problem_at(file, document, *remark), isinstance(remark, Note)) for remark in remarks]
    problems = [problem for problem, is_note in said if not is_note] + _repeated_ids(file, document, config)
    if problems:
        raise RuleFileError(problems)
    of_file: Evaluation = getattr(config, "evaluation", form.evaluation)
    rules = form.rules(config, evaluation or of_file)
    rule_sets = form.rule_sets(config) if form.rule_sets else tuple(dict.fromkeys(rule.rule_set for rule in rules))
    return RuleFile(tuple(rules), rule_sets, tuple(note for note, is_note in said if is_note))


def check(file: Path) -> list[Problem]:
    """What is wrong in a rule file; empty when it can be imported."""
    try:
        read_rules(file)
    except RuleFileError as error:
        return error.problems
    return []


def _repeated_ids(file: Path, document: Document, config: Any) -> list[Problem]:
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for path, identifier in _ids(config, ()):
        if identifier in first:
            text = f"{identifier!r} is also the id on line {first[identifier]}; give each rule its own"
            problems.append(problem_at(file, document, path, text))
        first.setdefault(identifier, document.line_of(path))
    return problems


def _ids(config: Any, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    """Where the rules of forms with ids have theirs."""
    for key in ("rules", "segments"):
        for index, rule in enumerate(getattr(config, key, ())):
            yield (*path, key, index, "id"), rule.id
    for index, each in enumerate(getattr(config, "configs", ())):
        yield from _ids(each, (*path, "configs", index))
