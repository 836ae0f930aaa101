"""Our own rule files, `type: llm-spend-quotas`: everything that a quota can be, readable in one look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr, model_validator

from llm_spend.rules import remarks
from llm_spend.rules.quota import (
    DIMENSIONS,
    EVERYONE,
    METADATA,
    SUBJECT_KINDS,
    Condition,
    Enforcement,
    Evaluation,
    QuotaRule,
    is_key,
    narrowed,
    not_secret,
    plain,
    time_zone,
    zone_of_windows,
)
from llm_spend.rules.remarks import Remark
from llm_spend.rules.truefoundry import Amount, Name, Strict
from llm_spend.rules.yaml_lines import YamlPath

_LIMIT = re.compile(
    r"(?P<amount>\d[\d_]*(?:\.\d+)?) *(?P<measure>USD|requests?|tokens?)"
    r" +(?:per +(?P<window>minute|hour|day|week|month|quarter|(?P<days>[1-9]\d{0,3}) +days)|in +total)",
    re.ASCII,
)
_LIMIT_HELP = (
    "write an amount, USD, requests or tokens, and `per minute`, hour, day, week, month, quarter, `per 30 days` or"
    " `in total`, such as 500 USD per month; or none"
)
_MEASURES = {"USD": "cost", "request": "requests", "token": "tokens"}
_ENFORCEMENT: Mapping[str, Enforcement] = {"enforce": "", "soft": "soft", "audit": "audit"}
# A rule without a limit has a unit all the same.
_NO_UNIT = "requests_per_day"


class Limit(NamedTuple):
    """`amount`: None sets no quota."""

    amount: Decimal | None
    unit: str


def read_limit(value: object) -> Limit:
    """`500 USD per month` -> 500, cost_per_month; `none` -> no quota. Raises ValueError."""
    if value in ("none", "None"):
        return Limit(None, _NO_UNIT)
    found = _LIMIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"is {value!r}; {_LIMIT_HELP}")
    measure = _MEASURES[found["measure"].rstrip("s")]
    window = f"{int(found['days'])}d" if found["days"] else found["window"] or "lifetime"
    return Limit(Decimal(found["amount"].replace("_", "")), f"{measure}_per_{'day' if window == '1d' else window}")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _date(value: object) -> object:
    try:
        found = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, date) or isinstance(found, datetime):
        raise ValueError(f"is {value!r}; write a date, such as 2026-03-10")
    return found


def _counter(value: str) -> str:
    if is_key(value):
        return value
    raise ValueError(f"{value!r} is not known; write {', '.join(DIMENSIONS)} or metadata.<key>")


def _subject(value: str) -> str:
    kind, colon, name = value.partition(":")
    if kind.strip() not in SUBJECT_KINDS or not colon or not name.strip() or "*" in name:
        raise ValueError(f"{value!r} names no subject; write user:…, team:… or another of {', '.join(SUBJECT_KINDS)}")
    if kind.strip() == "api_key":
        not_secret(name)
    return value


Values = Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)]
Keys = Annotated[list[Annotated[Name, AfterValidator(not_secret)]], BeforeValidator(_listed), Field(min_length=1)]
Counters = Annotated[
    list[Annotated[StrictStr, AfterValidator(_counter)]], BeforeValidator(_listed), Field(min_length=1, max_length=2)
]
Zone = Annotated[StrictStr, AfterValidator(time_zone)]
Date = Annotated[date, BeforeValidator(_date)]


class Who(Strict):
    """Conditions, all of which must hold; each is one value or several, of which one must be there."""

    user: Values | None = None
    team: Values | None = None
    virtualaccount: Values | None = None
    api_key: Keys | None = None
    customer: Values | None = None
    feature: Values | None = None
    cost_center: Values | None = None
    environment: Values | None = None
    model: Values | None = None
    provider: Values | None = None
    metadata: dict[StrictStr, Values] | None = None

    def conditions(self, *, excludes: bool = False) -> list[Condition]:
        found = [(key, getattr(self, key)) for key in DIMENSIONS]
        found += [(METADATA + key, values) for key, values in (self.metadata or {}).items()]
        return [Condition(key, tuple(values), excludes) for key, values in found if values]


class ShortRule(Who):
    """A quota in words. `not`: what a request may not be. `any_of`: subjects of several kinds, one of which it has."""

    id: Name
    limit: Annotated[Limit, BeforeValidator(read_limit)]
    any_of: Annotated[list[Annotated[StrictStr, AfterValidator(_subject)]], Field(min_length=1)] | None = None
    not_: Who | None = Field(default=None, alias="not")
    per: Counters | None = None
    overrides: dict[StrictStr, Amount] | None = None
    warn_at: list[StrictInt] | None = None
    enforcement: Literal["enforce", "soft", "audit"] = "enforce"
    time_zone: Zone | None = None
    from_: Date | None = Field(default=None, alias="from")
    until: Date | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overrides and not self.per:
            raise ValueError("has overrides, but one counter for all; write per: and whose limits they are")
        if self.overrides and self.limit.amount is None:
            raise ValueError("has overrides, but no limit that they would be instead of")
        if self.per and len({plain(self.per[0], member) for member in self.overrides or ()}) < len(
            self.overrides or ()
        ):
            raise ValueError("has two overrides of one member; leave one of them out")
        if self.per and self.per[0] == "api_key":
            for member in self.overrides or ():
                not_secret(member)
        if self.until and not self.from_:
            raise ValueError("has an end; write from: as well, so that the version that ends is clear")
        if self.until and self.from_ and self.until <= self.from_:
            raise ValueError(f"ends on {self.until}, not after it began; until: is the first day without it")
        return self


class ShortFile(Strict):
    """Rules in order; the order says something if only the first that matches counts."""

    type: Literal["llm-spend-quotas"]
    name: Name = "quotas"
    evaluation: Literal["first_match", "all_match"] = "all_match"
    time_zone: Zone = ""
    rules: list[ShortRule] = Field(min_length=1)


def rules(file: ShortFile, evaluation: Evaluation) -> list[QuotaRule]:
    return [_rule(file, order, rule, evaluation) for order, rule in enumerate(file.rules, start=1)]


def _rule(file: ShortFile, order: int, rule: ShortRule, evaluation: Evaluation) -> QuotaRule:
    per = tuple(dict.fromkeys(rule.per or ()))
    zone = file.time_zone if rule.time_zone is None else rule.time_zone
    base = QuotaRule(
        rule_set=file.name,
        rule_id=rule.id,
        order=order,
        evaluation=evaluation,
        unit=rule.limit.unit,
        limit_to=rule.limit.amount,
        applies_per=per,
        overrides={plain(per[0], member): amount for member, amount in (rule.overrides or {}).items()},
        time_zone=zone_of_windows(rule.limit.unit, zone),
        enforcement=_ENFORCEMENT[rule.enforcement],
        alert_thresholds=tuple(sorted(set(rule.warn_at or ()))),
        valid_from=rule.from_,
        valid_to=rule.until,
    )
    made = narrowed(base, _conditions(rule))
    return _of_any(made, rule.any_of) if rule.any_of else made


def _of_any(rule: QuotaRule, any_of: list[str]) -> QuotaRule:
    """A rule for any of several subjects; what it asks of a subject besides stays a condition."""
    pairs = [(kind.strip(), name) for kind, _, name in (each.partition(":") for each in any_of)]
    subjects = tuple(dict.fromkeys((kind, plain(kind, name)) for kind, name in pairs))
    asked = rule.subjects if rule.subjects != EVERYONE else ()
    moved = (Condition(asked[0][0], tuple(name for _, name in asked)),) if asked else ()
    return replace(rule, subjects=subjects, conditions=(*rule.conditions, *moved))


def _conditions(rule: ShortRule) -> list[Condition]:
    return [*rule.conditions(), *(rule.not_.conditions(excludes=True) if rule.not_ else ())]


def said(file: ShortFile) -> Iterator[Remark]:
    for index, rule in enumerate(file.rules):
        path: YamlPath = ("rules", index)
        yield from remarks.of_amount((*path, "limit"), rule.limit.unit, rule.limit.amount)
        for member, amount in (rule.overrides or {}).items():
            yield from remarks.of_amount((*path, "overrides", member), rule.limit.unit, amount)
        yield from remarks.of_overridden((*path, "overrides"), rule.overrides or ())
        yield from remarks.of_thresholds((*path, "warn_at"), map(Decimal, rule.warn_at or ()))
        yield from remarks.of_metadata_keys((*path, "metadata"), rule.metadata or ())
        yield from remarks.of_metadata_keys((*path, "not", "metadata"), (rule.not_ and rule.not_.metadata) or ())
        yield from remarks.of_conditions(path, _rule(file, index + 1, rule, file.evaluation).conditions)
