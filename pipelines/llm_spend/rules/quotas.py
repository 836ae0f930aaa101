"""Quota rules: from a gateway's YAML to the form in which the warehouse keeps them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from llm_spend.errors import UserError
from llm_spend.rules.truefoundry import RateLimitConfig, Rule, When, split_subject
from llm_spend.rules.yaml_lines import Document, YamlError, YamlPath, read_document

Evaluation = Literal["first_match", "all_match"]
RULE_FIELDS = tuple(Rule.model_fields)
WHEN_FIELDS = tuple(When.model_fields)


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


@dataclass(frozen=True)
class QuotaRule:
    """One rule of a rule set. `limit_to` is in the unit's requests or tokens; `order` starts at 1."""

    rule_set: str
    rule_id: str
    order: int
    evaluation: Evaluation
    subjects: tuple[tuple[str, str], ...]
    models: tuple[str, ...]
    metadata: tuple[str, str] | None
    applies_per: tuple[str, ...]
    unit: str
    limit_to: int


def import_rules(file: Path, evaluation: Evaluation = "first_match") -> list[QuotaRule]:
    """The rules of a TrueFoundry `gateway-rate-limiting-config`. Raises RuleFileError: every problem."""
    document, config, problems = _read(file)
    if config is not None and document is not None:
        problems = _repeated_ids(file, document, config)
    if problems or config is None:
        raise RuleFileError(problems)
    return [_quota_rule(config.name, order, rule, evaluation) for order, rule in enumerate(config.rules, start=1)]


def check(file: Path) -> list[Problem]:
    """What is wrong in a rule file; empty when it can be imported."""
    try:
        import_rules(file)
    except RuleFileError as error:
        return error.problems
    return []


def _read(file: Path) -> tuple[Document | None, RateLimitConfig | None, list[Problem]]:
    try:
        document = read_document(file)
    except YamlError as error:
        return None, None, [Problem(file, error.line, "", f"this is not valid YAML: {error}")]
    except OSError as error:
        return None, None, [Problem(file, 1, "", f"can't be read ({error.strerror}); check the path")]
    if not isinstance(document.value, dict):
        hint = "expected keys name, type and rules at the top"
        return document, None, [Problem(file, document.line_of(()), "", hint)]
    try:
        return document, RateLimitConfig.model_validate(document.value), []
    except ValidationError as error:
        return document, None, [_problem(file, document, dict(detail)) for detail in error.errors()]


def _quota_rule(rule_set: str, order: int, rule: Rule, evaluation: Evaluation) -> QuotaRule:
    subjects = [split_subject(subject) for subject in rule.when.subjects or ["*"]]
    return QuotaRule(
        rule_set=rule_set,
        rule_id=rule.id,
        order=order,
        evaluation=evaluation,
        # Everyone includes each one.
        subjects=(("*", "*"),) if ("*", "*") in subjects else tuple(dict.fromkeys(subjects)),
        models=tuple(dict.fromkeys(rule.when.models or ())),
        metadata=next(iter(rule.when.metadata.items()), None) if rule.when.metadata else None,
        applies_per=tuple(dict.fromkeys(rule.rate_limit_applies_per or ())),
        unit=rule.unit,
        limit_to=rule.limit_to,
    )


def _repeated_ids(file: Path, document: Document, config: RateLimitConfig) -> list[Problem]:
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for index, rule in enumerate(config.rules):
        path: YamlPath = ("rules", index, "id")
        if rule.id in first:
            text = f"{rule.id!r} is also the id on line {first[rule.id]}; give each rule its own"
            problems.append(Problem(file, document.line_of(path), _field(path), text))
        first.setdefault(rule.id, document.line_of(path))
    return problems


def _problem(file: Path, document: Document, detail: dict[str, Any]) -> Problem:
    # pydantic marks a bad mapping key as (..., key, "[key]").
    path: YamlPath = tuple(part for part in detail["loc"] if part != "[key]")
    return Problem(file, document.line_of(path), _field(path), _message(detail, path))


def _field(path: YamlPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _message(detail: dict[str, Any], path: YamlPath) -> str:
    """What is wrong and what to do, from one entry of pydantic's `errors()`."""
    kind, found = detail["type"], detail.get("input")
    context = detail.get("ctx", {})
    match kind:
        case "missing":
            return "is missing; add it" + (" ({} = every request)" if path[-1] == "when" else "")
        case "extra_forbidden":
            known = ", ".join(WHEN_FIELDS if "when" in path else RULE_FIELDS)
            return f"is not known here; the fields are {known}"
        case "literal_error":
            return f"is {found!r}; write {context['expected']}"
        case "int_type" | "greater_than_equal":
            return f"is {found!r}; write a whole number, 0 or more"
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
