"""Quota rules of TrueFoundry's files: ordered rules (V1), named limits (V2), and the oldest segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from llm_spend.rules import remarks
from llm_spend.rules.quota import (
    EVERYONE,
    METADATA,
    Condition,
    Enforcement,
    Evaluation,
    QuotaRule,
    narrowed,
    plain,
)
from llm_spend.rules.remarks import Remark, Unkept
from llm_spend.rules.truefoundry import Alerts, BudgetConfig, BudgetRule, RateLimitConfig, Rule, When, split_subject
from llm_spend.rules.truefoundry_segments import Segment, SegmentsConfig, TenantsConfig
from llm_spend.rules.truefoundry_v2 import CostOverride, InNotIn, ModelRateLimit, RateOverride, TeamBudget, TenantBudget
from llm_spend.rules.yaml_lines import YamlPath

NamedLimit = ModelRateLimit | TenantBudget | TeamBudget

_KINDS = {"users": "user", "teams": "team", "virtual_accounts": "virtualaccount"}
_COUNTERS = {"per-user": "user", "per-model": "model", "per-virtual-account": "virtualaccount"}
_MODES: Mapping[str, Enforcement] = {"enforce": "", "audit": "audit", "soft_enforce": "soft"}


def rate_limits(config: RateLimitConfig, evaluation: Evaluation) -> list[QuotaRule]:
    return [
        _rule(config.name, order, evaluation, rule, rule.rate_limit_applies_per)
        for order, rule in enumerate(config.rules, start=1)
    ]


def budgets(config: BudgetConfig, evaluation: Evaluation) -> list[QuotaRule]:
    return [
        _rule(
            config.name,
            order,
            evaluation,
            rule,
            rule.budget_applies_per,
            enforcement="audit" if rule.audit_mode or rule.block_on_budget_exceed is False else "",
            thresholds=_thresholds(rule.alerts),
        )
        for order, rule in enumerate(config.rules, start=1)
    ]


def remarks_of_rules(config: RateLimitConfig | BudgetConfig) -> Iterator[Remark]:
    rules: Sequence[Rule | BudgetRule] = config.rules
    for index, rule in enumerate(rules):
        path: YamlPath = ("rules", index)
        yield from remarks.of_amount((*path, "limit_to"), rule.unit, Decimal(rule.limit_to))
        yield from remarks.of_metadata_keys((*path, "when", "metadata"), rule.when.metadata or ())
        yield from remarks.of_conditions((*path, "when", "metadata"), _rule("", 1, "all_match", rule, ()).conditions)
        if isinstance(rule, BudgetRule):
            yield from _remarks_of_alerts((*path, "alerts"), rule.alerts)


def _rule(
    rule_set: str,
    order: int,
    evaluation: Evaluation,
    rule: Rule | BudgetRule,
    applies_per: Sequence[str] | None,
    enforcement: Enforcement = "",
    thresholds: tuple[int, ...] = (),
) -> QuotaRule:
    base = QuotaRule(
        rule_set=rule_set,
        rule_id=rule.id,
        order=order,
        evaluation=evaluation,
        unit=rule.unit,
        limit_to=Decimal(rule.limit_to),
        applies_per=tuple(dict.fromkeys(applies_per or ())),
        enforcement=enforcement,
        alert_thresholds=thresholds,
    )
    models = _without_all(rule.when.models)
    conditions = [*([Condition("model", models)] if models else ()), *_pairs(rule.when.metadata)]
    return replace(narrowed(base, conditions), subjects=_subjects(rule.when))


def _subjects(when: When) -> tuple[tuple[str, str], ...]:
    subjects = [split_subject(subject) for subject in when.subjects or ["*"]]
    # Everyone includes each one.
    return EVERYONE if ("*", "*") in subjects else tuple(dict.fromkeys(subjects))


def _without_all(names: Sequence[str] | None) -> tuple[str, ...]:
    return () if names is None or "*" in names else tuple(dict.fromkeys(names))


def _pairs(metadata: Mapping[str, str] | None) -> list[Condition]:
    return [Condition(METADATA + key, (value,)) for key, value in (metadata or {}).items()]


def named(config: NamedLimit, evaluation: Evaluation) -> list[QuotaRule]:
    """A rule a period. An override replaces all periods of its members, so those without one are left out of it."""
    key = _counter(config)
    overridden = {
        plain(key, member): override.limits.given
        for override in config.applies_to.overrides or ()
        for member in override.members
    }
    units = dict.fromkeys([*config.limits.given, *(unit for limits in overridden.values() for unit in limits)])
    rules = []
    for order, unit in enumerate(units, start=1):
        others = {member: Decimal(limits[unit]) for member, limits in overridden.items() if unit in limits}
        conditions = _conditions_of(config)
        if unit in config.limits.given:
            limit = Decimal(config.limits.given[unit])
            unlimited = tuple(member for member in overridden if member not in others)
            if unlimited:
                conditions.append(Condition(key, unlimited, excludes=True))
        else:
            # Only those who are named have such a limit.
            limit = next(iter(others.values()))
            conditions.append(Condition(key, tuple(others)))
        base = QuotaRule(
            rule_set=_rule_set(config),
            rule_id=unit,
            order=order,
            evaluation=evaluation,
            unit=unit,
            limit_to=limit,
            applies_per=(key,) if key else (),
            overrides={member: other for member, other in others.items() if other != limit},
            enforcement=_MODES[config.mode],
            alert_thresholds=_thresholds(config.alerts),
        )
        rules.append(narrowed(base, conditions))
    return rules


def _counter(config: NamedLimit) -> str:
    """What has a counter of its own; empty where all requests share one, which has no overrides."""
    per = config.applies_to
    return METADATA + per.metadata if per.metadata else _COUNTERS.get(per.type, "")


def _rule_set(config: NamedLimit) -> str:
    # Its name may be that of a config of rules, or of another kind of limit.
    kinds = {"tenant-budget-config": "budget", "team-budget-config": "team-budget"}
    return f"{kinds.get(config.type, 'rate-limit')}/{config.name}"


def _conditions_of(config: NamedLimit) -> list[Condition]:
    conditions = [Condition("team", (config.team_name,))] if isinstance(config, TeamBudget) else []
    when = config.when
    if when is None:
        return conditions
    for name, kind in _KINDS.items():
        conditions += _in_or_not(kind, getattr(when.subjects, name, None))
    conditions += _in_or_not("model", when.models)
    for key, values in (when.metadata or {}).items():
        conditions += _in_or_not(METADATA + key, values)
    return conditions


def _in_or_not(key: str, values: InNotIn | None) -> Iterator[Condition]:
    if values is None:
        return
    if included := _without_all(values.in_):
        yield Condition(key, included)
    if values.not_in:
        yield Condition(key, tuple(values.not_in), excludes=True)


def remarks_of_named(config: NamedLimit) -> Iterator[Remark]:
    for unit, limit in config.limits.given.items():
        yield from remarks.of_amount(("limits", unit), unit, Decimal(limit))
    yield from _remarks_of_alerts(("alerts",), config.alerts)
    per = config.applies_to
    yield from remarks.of_keys([(("applies_to", "metadata"), METADATA + per.metadata)] if per.metadata else ())
    seen: set[str] = set()
    overrides: Sequence[CostOverride | RateOverride] = per.overrides or ()
    for index, override in enumerate(overrides):
        path: YamlPath = ("applies_to", "overrides", index)
        for unit, limit in override.limits.given.items():
            yield from remarks.of_amount((*path, "limits", unit), unit, Decimal(limit))
        yield from remarks.of_overridden(path, override.members)
        for member in override.members:
            if plain(_counter(config), member) in seen:
                yield Unkept(path, f"{member!r} has an override before it; leave one of them out")
            seen.add(plain(_counter(config), member))
    if config.when is None:
        return
    if config.when.provider_accounts and _narrows(config.when.provider_accounts):
        path = ("when", "provider_accounts")
        yield Unkept(path, "can't be told from a request; list the models of the account with `models` instead")
    yield from remarks.of_metadata_keys(("when", "metadata"), config.when.metadata or ())
    most = max((rule.conditions for rule in named(config, "all_match")), key=len)
    yield from remarks.of_conditions(("when",), most)


def _narrows(values: InNotIn) -> bool:
    return bool(values.not_in) or bool(_without_all(values.in_))


def _thresholds(alerts: Alerts | None) -> tuple[int, ...]:
    return remarks.whole_percents(alerts.thresholds if alerts else ())


def _remarks_of_alerts(path: YamlPath, alerts: Alerts | None) -> Iterator[Remark]:
    if alerts:
        yield from remarks.of_thresholds((*path, "thresholds"), alerts.thresholds)
        yield from remarks.of_targets((*path, "notification_target"), alerts.notification_target)


def segments(config: SegmentsConfig | TenantsConfig, evaluation: Evaluation) -> list[QuotaRule]:
    if isinstance(config, TenantsConfig):
        rule_set, found = config.configs[0].tenant_name, config.configs[0].segments
    else:
        rule_set, found = config.name, config.segments
    return [_segment(rule_set, order, evaluation, segment) for order, segment in enumerate(found, start=1)]


def remarks_of_segments(config: SegmentsConfig | TenantsConfig) -> Iterator[Remark]:
    is_nested = isinstance(config, TenantsConfig)
    found = config.configs[0].segments if isinstance(config, TenantsConfig) else config.segments
    for index, segment in enumerate(found):
        place: YamlPath = (*(("configs", 0) if is_nested else ()), "segments", index)
        yield from remarks.of_amount((*place, "limit"), segment.unit, Decimal(segment.limit))
        path: YamlPath = (*place, "metadata")
        yield from remarks.of_metadata_keys(path, segment.metadata or ())
        yield from remarks.of_conditions(path, _segment("", 1, "all_match", segment).conditions)


def _segment(rule_set: str, order: int, evaluation: Evaluation, segment: Segment) -> QuotaRule:
    subject = segment.subject or (f"user:{segment.user}" if segment.user else "*")
    base = QuotaRule(
        rule_set=rule_set,
        rule_id=segment.id,
        order=order,
        evaluation=evaluation,
        unit=f"{segment.unit}_per_minute",
        limit_to=Decimal(segment.limit),
    )
    models = _without_all([segment.model] if segment.model else None)
    conditions = [*([Condition("model", models)] if models else ()), *_pairs(segment.metadata)]
    return replace(narrowed(base, conditions), subjects=(split_subject(subject),))
