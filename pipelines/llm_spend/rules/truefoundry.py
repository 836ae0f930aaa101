"""TrueFoundry `gateway-rate-limiting-config` and `gateway-budget-config` (V1) as pydantic models.

Validators say what to do in their message; what the format allows but we can't honour is an error, because a
condition that is silently ignored makes a wrong number.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from llm_spend.rules.quota import METADATA, is_key

SUBJECT_TYPES = {
    "user": "user",
    "team": "team",
    "virtualaccount": "virtualaccount",
    "virtual-account": "virtualaccount",
    "serviceaccount": "virtualaccount",
}
APPLIES_PER = ("user", "team", "virtualaccount", "model")

Unit = Literal[
    "requests_per_minute",
    "requests_per_hour",
    "requests_per_day",
    "tokens_per_minute",
    "tokens_per_hour",
    "tokens_per_day",
]
BudgetUnit = Literal[
    "cost_per_day",
    "cost_per_week",
    "cost_per_month",
    "cost_per_quarter",
    "tokens_per_day",
    "tokens_per_month",
]


def split_subject(subject: str) -> tuple[str, str]:
    """`team:frontend` -> (`team`, `frontend`); users lower-cased as in the warehouse. Raises ValueError."""
    text = subject.strip()
    if text == "*":
        return "*", "*"
    prefix, colon, name = text.partition(":")
    name = name.strip()
    subject_type = SUBJECT_TYPES.get(prefix.strip())
    if not colon or subject_type is None:
        raise ValueError(f"{subject!r} names no kind of subject; write user:…, team:…, virtualaccount:… or *")
    if not name:
        raise ValueError(f"{subject!r} has no name after the colon")
    if name == "*":
        raise ValueError(
            f"{subject!r} is not supported; write * for everyone,"
            f" and rate_limit_applies_per: [{subject_type}] to give each a limit"
        )
    return subject_type, name.lower() if subject_type == "user" else name


def _subject(value: str) -> str:
    split_subject(value)
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; write a name")
    return value.strip()


def _rule_id(value: str) -> str:
    if "{" in value:
        raise ValueError(f"{value!r} is an old dynamic id; write a plain one, and rate_limit_applies_per")
    return value


def _budget_id(value: str) -> str:
    if "{" in value:
        raise ValueError(f"{value!r} is an old dynamic id; write a plain one, and budget_applies_per")
    return value


def _pairs(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not key.strip() or not text.strip():
            raise ValueError("has an empty key or value; write both, or leave metadata out")
    return value


def _counter(value: str) -> str:
    if value in APPLIES_PER or (value.startswith(METADATA) and is_key(value)):
        return value
    raise ValueError(f"{value!r} is not supported; write {', '.join(APPLIES_PER)} or metadata.<key>")


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"is {value!r}; write a number, 0 or more")
    amount = Decimal(repr(value))
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"is {value!r}; write a number, 0 or more")
    return amount


Name = Annotated[StrictStr, AfterValidator(_not_blank)]
Subject = Annotated[StrictStr, AfterValidator(_subject)]
Pairs = Annotated[dict[StrictStr, StrictStr], AfterValidator(_pairs)]
Counter = Annotated[StrictStr, AfterValidator(_counter)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]


class Strict(BaseModel):
    """Every key is known, or it is an error."""

    model_config = ConfigDict(extra="forbid")


class Manifest(BaseModel):
    """A file. Keys at its top beside those of its format don't say what is limited: they are ignored."""

    model_config = ConfigDict(extra="ignore")


class When(Strict):
    """Conditions of a rule, all of which must hold; none = every request."""

    subjects: list[Subject] | None = Field(default=None, min_length=1)
    models: list[Name] | None = Field(default=None, min_length=1)
    metadata: Pairs | None = None


class Rule(Strict):
    id: Annotated[Name, AfterValidator(_rule_id)]
    when: When
    limit_to: StrictInt = Field(ge=0)
    unit: Unit
    rate_limit_applies_per: list[Counter] | None = Field(default=None, max_length=2)


class RateLimitConfig(Manifest):
    """Rules in order, of which the first that matches counts. A tenant has one such config; its name is for people."""

    name: Name = "gateway-rate-limiting-config"
    type: Literal["gateway-rate-limiting-config"]
    rules: list[Rule] = Field(min_length=1)


class Alerts(Strict):
    """`thresholds`: percentages of the limit. Who is told is no concern of ours, so targets may have any shape."""

    thresholds: list[Amount]
    notification_target: list[dict[str, Any]] | None = None


class BudgetRule(Strict):
    """`block_on_budget_exceed` is what older gateways have instead of `audit_mode`, and means its contrary."""

    id: Annotated[Name, AfterValidator(_budget_id)]
    when: When
    limit_to: Amount
    unit: BudgetUnit
    budget_applies_per: list[Counter] | None = Field(default=None, max_length=2)
    alerts: Alerts | None = None
    audit_mode: StrictBool | None = None
    block_on_budget_exceed: StrictBool | None = None


class BudgetConfig(Manifest):
    """Rules in order: usage counts against every rule that matches, and the first of them decides what is blocked."""

    name: Name = "gateway-budget-config"
    type: Literal["gateway-budget-config"]
    rules: list[BudgetRule] = Field(min_length=1)
