"""The forms that rule files of TrueFoundry have, and how the limits of each become quota rules.

What a file can say and a quota can't keep is named, never left out: a limit without one of its parts is another limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from llm_spend.rules.quota import Evaluation, QuotaRule
from llm_spend.rules.truefoundry import BudgetConfig, BudgetRule, RateLimitConfig, Rule, When, split_subject
from llm_spend.rules.truefoundry_segments import Segment, SegmentsConfig, TenantsConfig
from llm_spend.rules.truefoundry_v2 import InNotIn, ModelRateLimit, TeamBudget, TenantBudget
from llm_spend.rules.yaml_lines import YamlPath

_UNITS = frozenset(
    f"{measure}_per_{window}" for measure in ("requests", "tokens") for window in ("minute", "hour", "day")
)
_EVERYONE = (("*", "*"),)
_KINDS = {"users": "user", "teams": "team", "virtual_accounts": "virtualaccount"}
_COUNTERS = {"per-user": "user", "per-model": "model", "per-virtual-account": "virtualaccount"}
_NO_ALERTS = "can't be kept by a quota, which warns at 80 %; leave it out to import the limit itself"
_NO_AUDIT = "is a limit that blocks nothing; a quota can't tell it from one that does, so leave the rule out"


class Unkept(NamedTuple):
    """A part of a file that a quota can't keep."""

    path: YamlPath
    message: str


class Form(NamedTuple):
    """A kind of rule file: its model, how its rules count if nobody says, and its rules with what they can't keep.

    `rules` is None where `unkept` finds something in every file.
    """

    model: type[BaseModel]
    evaluation: Evaluation
    rules: Callable[[Any, Evaluation], list[QuotaRule]] | None
    unkept: Callable[[Any], Iterator[Unkept]]


def _rate_limits(config: RateLimitConfig, evaluation: Evaluation) -> list[QuotaRule]:
    return [
        _rule(config.name, order, evaluation, rule, rule.rate_limit_applies_per, rule.limit_to)
        for order, rule in enumerate(config.rules, start=1)
    ]


def _budgets(config: BudgetConfig, evaluation: Evaluation) -> list[QuotaRule]:
    return [
        _rule(config.name, order, evaluation, rule, rule.budget_applies_per, int(rule.limit_to))
        for order, rule in enumerate(config.rules, start=1)
    ]


def _rule(
    rule_set: str,
    order: int,
    evaluation: Evaluation,
    rule: Rule | BudgetRule,
    applies_per: list[str] | None,
    limit_to: int,
) -> QuotaRule:
    return QuotaRule(
        rule_set=rule_set,
        rule_id=rule.id,
        order=order,
        evaluation=evaluation,
        subjects=_subjects(rule.when),
        models=_without_all(rule.when.models),
        metadata=next(iter(rule.when.metadata.items()), None) if rule.when.metadata else None,
        applies_per=tuple(dict.fromkeys(applies_per or ())),
        unit=rule.unit,
        limit_to=limit_to,
    )


def _subjects(when: When) -> tuple[tuple[str, str], ...]:
    subjects = [split_subject(subject) for subject in when.subjects or ["*"]]
    # Everyone includes each one.
    return _EVERYONE if ("*", "*") in subjects else tuple(dict.fromkeys(subjects))


def _without_all(names: list[str] | None) -> tuple[str, ...]:
    return () if names is None or "*" in names else tuple(dict.fromkeys(names))


def _keeps_all(config: Any) -> Iterator[Unkept]:
    return iter(())


def _unkept_of_budgets(config: BudgetConfig) -> Iterator[Unkept]:
    for index, rule in enumerate(config.rules):
        path: YamlPath = ("rules", index)
        if rule.unit not in _UNITS:
            yield Unkept((*path, "unit"), _cannot_count(rule.unit))
        elif rule.limit_to != rule.limit_to.to_integral_value():
            yield Unkept((*path, "limit_to"), f"is {rule.limit_to}; tokens are counted in whole numbers")
        if rule.alerts:
            yield Unkept((*path, "alerts"), _NO_ALERTS)
        if rule.audit_mode:
            yield Unkept((*path, "audit_mode"), _NO_AUDIT)
        if rule.block_on_budget_exceed is False:
            yield Unkept((*path, "block_on_budget_exceed"), _NO_AUDIT)


def _cannot_count(unit: str) -> str:
    return f"{unit} can't be counted by a quota; it counts {', '.join(sorted(_UNITS))}"


def _named(config: ModelRateLimit, evaluation: Evaluation) -> list[QuotaRule]:
    when = config.when
    metadata = (when and when.metadata) or {}
    per = config.applies_to
    counter = f"metadata.{per.metadata}" if per.metadata else _COUNTERS.get(per.type)
    return [
        QuotaRule(
            # Its name may be that of a config of rules, or of another kind of limit.
            rule_set=f"rate-limit/{config.name}",
            rule_id=unit,
            order=order,
            evaluation=evaluation,
            subjects=_named_subjects(config),
            models=_without_all(when.models.in_ if when and when.models else None),
            metadata=next(((key, value.in_[0]) for key, value in metadata.items() if value.in_), None),
            applies_per=(counter,) if counter else (),
            unit=unit,
            limit_to=int(limit),
        )
        for order, (unit, limit) in enumerate(config.limits.given.items(), start=1)
    ]


def _named_subjects(config: ModelRateLimit) -> tuple[tuple[str, str], ...]:
    subjects = config.when and config.when.subjects
    for name, kind in _KINDS.items():
        values = _without_all(getattr(subjects, name).in_) if subjects and getattr(subjects, name) else ()
        if values:
            return tuple((kind, value.lower() if kind == "user" else value) for value in values)
    return _EVERYONE


def _unkept_of_named(config: ModelRateLimit | TenantBudget | TeamBudget) -> Iterator[Unkept]:
    for unit in config.limits.given:
        if unit not in _UNITS:
            yield Unkept(("limits", unit), _cannot_count(unit))
    if config.mode != "enforce":
        yield Unkept(("mode",), f"is {config.mode!r}: {_NO_AUDIT}")
    if config.alerts:
        yield Unkept(("alerts",), _NO_ALERTS)
    if config.applies_to.overrides:
        message = "can't be kept by a quota, which is the same for everyone that it counts"
        yield Unkept(("applies_to", "overrides"), message)
    if config.when:
        yield from _unkept_conditions(config.when)


def _unkept_conditions(when: Any) -> Iterator[Unkept]:
    given = [name for name in _KINDS if _narrows(getattr(when.subjects, name, None))]
    if len(given) > 1:
        yield Unkept(("when", "subjects"), f"has {' and '.join(given)}; a quota is for one kind of them")
    for name in _KINDS:
        yield from _excluded(("when", "subjects", name), getattr(when.subjects, name, None))
    yield from _excluded(("when", "models"), when.models)
    if _narrows(when.provider_accounts):
        yield Unkept(("when", "provider_accounts"), "can't be told from a request; list the models instead")
    metadata = when.metadata or {}
    if len(metadata) > 1:
        yield Unkept(("when", "metadata"), f"has {len(metadata)} keys; a quota is for one")
    for key, values in metadata.items():
        path: YamlPath = ("when", "metadata", key)
        yield from _excluded(path, values)
        if len(values.in_ or ()) > 1 or values.in_ == ["*"]:
            yield Unkept((*path, "in"), "can't be kept by a quota, which is for one value; make a limit of each")


def _narrows(values: InNotIn | None) -> bool:
    return values is not None and (bool(values.not_in) or bool(_without_all(values.in_)))


def _excluded(path: YamlPath, values: InNotIn | None) -> Iterator[Unkept]:
    if values is not None and values.not_in:
        yield Unkept((*path, "not_in"), "can't be kept by a quota, which can't exclude; list what it is for with `in`")


def _segments(config: SegmentsConfig | TenantsConfig, evaluation: Evaluation) -> list[QuotaRule]:
    if isinstance(config, TenantsConfig):
        rule_set, segments = config.configs[0].tenant_name, config.configs[0].segments
    else:
        rule_set, segments = config.name, config.segments
    return [_segment(rule_set, order, evaluation, segment) for order, segment in enumerate(segments, start=1)]


def _segment(rule_set: str, order: int, evaluation: Evaluation, segment: Segment) -> QuotaRule:
    subject = segment.subject or (f"user:{segment.user}" if segment.user else "*")
    return QuotaRule(
        rule_set=rule_set,
        rule_id=segment.id,
        order=order,
        evaluation=evaluation,
        subjects=(split_subject(subject),),
        models=_without_all([segment.model] if segment.model else None),
        metadata=next(iter(segment.metadata.items()), None) if segment.metadata else None,
        applies_per=(),
        unit=f"{segment.unit}_per_minute",
        limit_to=segment.limit,
    )


# Of rate limits of the first generation only the first rule that matches counts. Of its budgets the first decides what
# is blocked, but costs and tokens count against every one that matches, and counting is what an evaluation says.
FORMS: Mapping[str, Form] = {
    "gateway-rate-limiting-config": Form(RateLimitConfig, "first_match", _rate_limits, _keeps_all),
    "gateway-budget-config": Form(BudgetConfig, "all_match", _budgets, _unkept_of_budgets),
    "tenant-rate-limit-config/model": Form(ModelRateLimit, "all_match", _named, _unkept_of_named),
    "tenant-budget-config": Form(TenantBudget, "all_match", None, _unkept_of_named),
    "team-budget-config": Form(TeamBudget, "all_match", None, _unkept_of_named),
}
SEGMENTS = Form(SegmentsConfig, "all_match", _segments, _keeps_all)
TENANTS = Form(TenantsConfig, "all_match", _segments, _keeps_all)
