"""TrueFoundry `gateway-rate-limiting-config` (V1) as pydantic models.

Validators say what to do in their message; what the format allows but we can't honour is an error, because a
condition that is silently ignored makes a wrong number.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

SUBJECT_TYPES = {
    "user": "user",
    "team": "team",
    "virtualaccount": "virtualaccount",
    "virtual-account": "virtualaccount",
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


def _model_name(value: str) -> str:
    if "|" in value:
        raise ValueError(f"{value!r} contains '|'; list each model on its own")
    return value


def _one_pair(value: dict[str, str]) -> dict[str, str]:
    if len(value) > 1:
        raise ValueError(f"has {len(value)} keys; one is supported, make a rule of each")
    for key, text in value.items():
        if not key.strip() or not text.strip():
            raise ValueError("has an empty key or value; write both, or leave metadata out")
    return value


def _counter(value: str) -> str:
    key = value.removeprefix("metadata.")
    if value in APPLIES_PER or (value != key and key and "|" not in key):
        return value
    raise ValueError(f"{value!r} is not supported; write {', '.join(APPLIES_PER)} or metadata.<key>")


Name = Annotated[StrictStr, AfterValidator(_not_blank)]
Subject = Annotated[StrictStr, AfterValidator(_subject)]
ModelName = Annotated[Name, AfterValidator(_model_name)]
Counter = Annotated[StrictStr, AfterValidator(_counter)]


class When(BaseModel):
    """Conditions of a rule, all of which must hold; none = every request."""

    model_config = ConfigDict(extra="forbid")

    subjects: list[Subject] | None = Field(default=None, min_length=1)
    models: list[ModelName] | None = Field(default=None, min_length=1)
    metadata: Annotated[dict[StrictStr, StrictStr], AfterValidator(_one_pair)] | None = None


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[Name, AfterValidator(_rule_id)]
    when: When
    limit_to: StrictInt = Field(ge=0)
    unit: Unit
    rate_limit_applies_per: list[Counter] | None = Field(default=None, max_length=2)


class RateLimitConfig(BaseModel):
    """The file. Keys beside these three don't say what is limited: they are ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    type: Literal["gateway-rate-limiting-config"]
    rules: list[Rule] = Field(min_length=1)
