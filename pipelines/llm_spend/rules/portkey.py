"""Usage-limit and rate-limit policies of Portkey, as its API takes and gives them: one, or a list.

Facts (Portkey's OpenAPI and pages): all conditions must hold, several values are alternatives and `*` is any; each
combination of `group_by` has a counter; `credit_limit` and `alert_threshold` are US dollars or tokens, never cents; a
counter begins anew at midnight UTC, on Mondays, or on the 1st of a month, and never without `periodic_reset`; models
are those that were asked for. A policy is one workspace's, and every policy that matches must allow a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    RootModel,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from llm_spend.rules import remarks
from llm_spend.rules.quota import METADATA, Condition, Evaluation, QuotaRule, narrowed, not_secret
from llm_spend.rules.remarks import Note, Remark, Unkept
from llm_spend.rules.truefoundry import Amount, Manifest, Name, Strict
from llm_spend.rules.yaml_lines import YamlPath

USAGE, RATES = "portkey/usage-limits", "portkey/rate-limits"
_KEPT = ("api_key", "provider", "model")
_PLACES = ("workspace_id", "organisation_id")
_UNTOLD = ("virtual_key", "config", "prompt")
_KNOWN = (*_KEPT, *_PLACES, *_UNTOLD)
# Portkey names who is called; the warehouse has who made the model.
_RESELLERS = ("azure", "bedrock", "vertex")
_MOST_COUNTERS = 2
_RESETS = {"daily": "day", "weekly": "week", "monthly": "month"}
_RATES = {"rpm": "minute", "rph": "hour", "rpd": "day", "rpw": "week"}


def _key(value: str) -> str:
    if value in _KNOWN or value.startswith(METADATA):
        return value
    raise ValueError(f"is {value!r}; write {', '.join(_KEPT)} or metadata.<key>")


class _Keyed(Strict):
    key: StrictStr

    @field_validator("key")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return _key(value)


class PolicyCondition(_Keyed):
    value: list[Name] = Field(min_length=1)
    excludes: list[Name] = Field(default_factory=list)

    @field_validator("value", "excludes")
    @classmethod
    def _has_no_secret(cls, value: list[str], info: ValidationInfo) -> list[str]:
        return list(map(not_secret, value)) if info.data.get("key") == "api_key" else value

    @field_validator("value", "excludes", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [] if value is None else [value] if isinstance(value, str) else value


class Group(_Keyed):
    pass


class Policy(Manifest):
    """What the API says of a policy besides (who made it and when, what is used) limits nothing, and is ignored."""

    model_config = ConfigDict(extra="ignore")

    id: Name | None = None
    name: Name | None = None
    conditions: list[PolicyCondition] = Field(default_factory=list)
    group_by: list[Group] = Field(default_factory=list)
    type: Literal["cost", "tokens", "requests"]
    credit_limit: Amount | None = None
    alert_threshold: Amount | None = None
    periodic_reset: Literal["daily", "weekly", "monthly"] | None = None
    periodic_reset_days: StrictInt | None = Field(default=None, ge=1, le=365)
    unit: Literal["rpm", "rph", "rpd", "rpw"] | None = None
    value: Amount | None = None
    target: StrictStr | None = None
    status: StrictStr | None = None
    workspace_id: StrictStr | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.credit_limit is None) == (self.value is None):
            raise ValueError("is no policy; a usage limit has `credit_limit`, a rate limit `unit` and `value`")
        if self.value is not None and self.unit is None:
            raise ValueError("has a value but no unit; write rpm, rph, rpd or rpw")
        if self.value is not None and self.type == "cost":
            raise ValueError("limits the rate of costs; write type: requests or tokens, or a credit_limit")
        if not (self.name or self.id):
            raise ValueError("has no name; write one, so that a change of it can be told")
        if self.periodic_reset and self.periodic_reset_days:
            raise ValueError("has periodic_reset and periodic_reset_days; leave one of them out")
        return self

    @property
    def is_archived(self) -> bool:
        return self.status == "archived"

    @property
    def is_usage_limit(self) -> bool:
        return self.credit_limit is not None

    @property
    def quota_unit(self) -> str:
        if not self.is_usage_limit:
            return f"{self.type}_per_{_RATES[str(self.unit)]}"
        if self.periodic_reset_days:
            days = self.periodic_reset_days
            return f"{self.type}_per_{'day' if days == 1 else f'{days}d'}"
        return f"{self.type}_per_{_RESETS.get(str(self.periodic_reset), 'lifetime')}"

    @property
    def limit(self) -> Decimal:
        return self.credit_limit if self.credit_limit is not None else self.value or Decimal(0)


class Policies(RootModel[list[Policy]]):
    """A list of policies."""


class PolicyList(Manifest):
    """A list of policies, as the API answers it."""

    data: list[Policy] = Field(min_length=1)
    total: Any = None
    has_more: Any = None


PortkeyFile = Policy | Policies | PolicyList


def is_policy(value: object) -> bool:
    """Whether a document looks like a policy."""
    return isinstance(value, Mapping) and ("credit_limit" in value or {"group_by", "value"} <= set(value))


def rules(config: PortkeyFile, evaluation: Evaluation) -> list[QuotaRule]:
    found = [policy for _, policy in _policies(config) if not policy.is_archived]
    names = Counter((policy.is_usage_limit, policy.name) for policy in found)
    orders: Counter[str] = Counter()
    made = []
    for policy in found:
        rule_set = _rule_set(config, policy)
        orders[rule_set] += 1
        is_alone = policy.name and names[(policy.is_usage_limit, policy.name)] == 1
        rule_id = str(policy.name if is_alone else policy.id or policy.name)
        made.append(_rule(policy, rule_set, rule_id, orders[rule_set], evaluation))
    return made


def rule_sets(config: PortkeyFile) -> tuple[str, ...]:
    """What a file says everything about: the one policy, or all policies of the kinds that its list has."""
    return tuple(dict.fromkeys(_rule_set(config, policy) for _, policy in _policies(config)))


def _rule_set(config: PortkeyFile, policy: Policy) -> str:
    kind = USAGE if policy.is_usage_limit else RATES
    return f"{kind}/{policy.name or policy.id}" if isinstance(config, Policy) else kind


def _policies(config: PortkeyFile) -> list[tuple[YamlPath, Policy]]:
    if isinstance(config, Policy):
        return [((), config)]
    if isinstance(config, PolicyList):
        return [(("data", index), policy) for index, policy in enumerate(config.data)]
    return [((index,), policy) for index, policy in enumerate(config.root)]


def _rule(policy: Policy, rule_set: str, rule_id: str, order: int, evaluation: Evaluation) -> QuotaRule:
    base = QuotaRule(
        rule_set=rule_set,
        rule_id=rule_id,
        order=order,
        evaluation=evaluation,
        unit=policy.quota_unit,
        limit_to=policy.limit,
        applies_per=_counters(policy),
        alert_thresholds=remarks.whole_percents(_percents(policy)),
    )
    return narrowed(base, _conditions(policy))


def _counters(policy: Policy) -> tuple[str, ...]:
    return tuple(dict.fromkeys(group.key for group in policy.group_by if group.key not in _PLACES))


def _conditions(policy: Policy) -> list[Condition]:
    conditions = []
    for condition in policy.conditions:
        if condition.key in _PLACES:
            continue
        # Of metadata `*` asks for some value; everything else every request has.
        if "*" not in condition.value or condition.key.startswith(METADATA):
            conditions.append(Condition(condition.key, tuple(condition.value)))
        if condition.excludes:
            conditions.append(Condition(condition.key, tuple(condition.excludes), excludes=True))
    return conditions


def _percents(policy: Policy) -> list[Decimal]:
    """The one threshold, which Portkey has as an amount, in percent of the limit."""
    if not policy.alert_threshold or not policy.limit:
        return []
    return [policy.alert_threshold * 100 / policy.limit]


def said(config: PortkeyFile) -> Iterator[Remark]:
    policies = _policies(config)
    if isinstance(config, PolicyList):
        yield from remarks.of_pages(len(policies), config.total, has_more=config.has_more)
    repeated = Counter((policy.is_usage_limit, policy.id or policy.name) for _, policy in policies)
    for path, policy in policies:
        if policy.is_archived:
            yield Note((*path, "status"), "is archived: left out")
            continue
        if repeated[(policy.is_usage_limit, policy.id or policy.name)] > 1:
            yield Unkept(path, f"{policy.name or policy.id!r} is there twice; give each policy its own name")
        yield from _said_of_policy(path, policy)
    yield from _said_of_workspaces(policies)


def _said_of_policy(path: YamlPath, policy: Policy) -> Iterator[Remark]:
    amount = "credit_limit" if policy.is_usage_limit else "value"
    yield from remarks.of_amount((*path, amount), policy.quota_unit, policy.limit)
    yield from remarks.of_thresholds((*path, "alert_threshold"), _percents(policy))
    if policy.target not in (None, "llm"):
        yield Unkept((*path, "target"), f"is {policy.target!r}; only limits on models are read, leave the policy out")
    for index, condition in enumerate(policy.conditions):
        place = (*path, "conditions", index)
        yield from _said_of_key((*place, "key"), condition.key)
        if condition.key == "provider":
            yield from _said_of_providers((*place, "value"), [*condition.value, *condition.excludes])
        if condition.key in _PLACES and (condition.excludes or len(condition.value) > 1):
            yield Unkept(place, f"{condition.key} can't be told from a request; import the policies of one workspace")
    for index, group in enumerate(policy.group_by):
        yield from _said_of_key((*path, "group_by", index, "key"), group.key)
    if len(_counters(policy)) > _MOST_COUNTERS:
        message = f"has {len(_counters(policy))} keys; a counter of {_MOST_COUNTERS} can be kept"
        yield Unkept((*path, "group_by"), message)
    yield from remarks.of_conditions((*path, "conditions"), _rule(policy, "", "", 1, "all_match").conditions)
    if policy.periodic_reset_days and policy.periodic_reset_days > 1:
        yield Note(
            (*path, "periodic_reset_days"),
            "its windows are counted from the date from which the rule holds here: to have Portkey's, import with"
            " --valid-from on a day on which Portkey's begins",
        )


def _said_of_key(path: YamlPath, key: str) -> Iterator[Remark]:
    if key in _UNTOLD:
        yield Unkept(path, f"{key} can't be told from a request; write {', '.join(_KEPT)} or metadata.<key>")
    elif key.startswith(METADATA):
        yield from remarks.of_keys([(path, key)])


def _said_of_providers(path: YamlPath, providers: list[str]) -> Iterator[Remark]:
    for provider in providers:
        if any(reseller in provider.lower() for reseller in _RESELLERS):
            message = (
                f"{provider!r} sells models of others, and a request is here of who made its model: list the models"
            )
            yield Unkept(path, message)


def _said_of_workspaces(policies: list[tuple[YamlPath, Policy]]) -> Iterator[Remark]:
    asked = [
        ((*path, "conditions", index), condition.value[0])
        for path, policy in policies
        for index, condition in enumerate(policy.conditions)
        if condition.key == "workspace_id" and condition.value != ["*"]
    ]
    held = [((*path, "workspace_id"), policy.workspace_id) for path, policy in policies if policy.workspace_id]
    for found in (asked, held):
        names = list(dict.fromkeys(name for _, name in found))
        if len(names) > 1:
            message = f"has policies of the workspaces {' and '.join(names)}; requests don't tell theirs: import one's"
            yield Unkept(found[1][0], message)
            return
    for path, name in (asked or held)[:1]:
        yield Note(path, f"is for the workspace {name}: it counts all requests that are loaded, which must be its own")
