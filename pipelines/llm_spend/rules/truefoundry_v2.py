"""TrueFoundry's second generation of budgets and rate limits as pydantic models: one named limit a file.

Every limit that matches a request must allow it. Budgets are as in TrueFoundry's SDK; rate limits are documented only,
with the same parts and other units.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

from llm_spend.rules.truefoundry import Alerts, Amount, Manifest, Name, Strict

Mode = Literal["enforce", "audit", "soft_enforce"]
AppliesToType = Literal["aggregate", "per-user", "per-model", "per-virtual-account", "metadata"]
# What an override lists, by what has a counter each.
_OVERRIDDEN = {
    "per-user": "users",
    "per-model": "models",
    "per-virtual-account": "virtual_accounts",
    "metadata": "metadata_values",
}


class InNotIn(Strict):
    """Values of which one must be there, or none may be; `*` stands for all."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True)

    in_: list[Name] | None = Field(default=None, alias="in", min_length=1)
    not_in: list[Name] | None = Field(default=None, min_length=1)


class Subjects(Strict):
    users: InNotIn | None = None
    teams: InNotIn | None = None
    virtual_accounts: InNotIn | None = None


class TeamSubjects(Strict):
    users: InNotIn | None = None
    virtual_accounts: InNotIn | None = None


class When(Strict):
    """Conditions of a limit, all of which must hold; none = every request."""

    subjects: Subjects | None = None
    models: InNotIn | None = None
    provider_accounts: InNotIn | None = None
    metadata: dict[StrictStr, InNotIn] | None = None


class TeamWhen(Strict):
    subjects: TeamSubjects | None = None
    models: InNotIn | None = None
    provider_accounts: InNotIn | None = None
    metadata: dict[StrictStr, InNotIn] | None = None


class _Limits(Strict):
    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not self.given:
            raise ValueError(f"has no limit; write one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def given(self) -> dict[str, int | Decimal]:
        """The limits that are there, by unit."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in found if value is not None}


class CostLimits(_Limits):
    cost_per_day: Amount | None = None
    cost_per_week: Amount | None = None
    cost_per_month: Amount | None = None
    cost_per_quarter: Amount | None = None
    cost_per_lifetime: Amount | None = None


class RateLimits(_Limits):
    requests_per_minute: StrictInt | None = Field(default=None, ge=0)
    requests_per_hour: StrictInt | None = Field(default=None, ge=0)
    requests_per_day: StrictInt | None = Field(default=None, ge=0)
    tokens_per_minute: StrictInt | None = Field(default=None, ge=0)
    tokens_per_hour: StrictInt | None = Field(default=None, ge=0)
    tokens_per_day: StrictInt | None = Field(default=None, ge=0)


class _Override(Strict):
    """Members with limits of their own, which replace all limits of the rest."""

    users: list[Name] | None = Field(default=None, min_length=1)
    models: list[Name] | None = Field(default=None, min_length=1)
    virtual_accounts: list[Name] | None = Field(default=None, min_length=1)
    metadata_values: list[Name] | None = Field(default=None, min_length=1)

    @property
    def members(self) -> list[str]:
        return self.users or self.models or self.virtual_accounts or self.metadata_values or []


class CostOverride(_Override):
    limits: CostLimits


class RateOverride(_Override):
    limits: RateLimits


class _AppliesTo(Strict):
    """What has a counter of its own: all requests together, or each user, model, account or value of a key."""

    type: AppliesToType
    metadata: Name | None = None

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if (self.type == "metadata") != (self.metadata is not None):
            raise ValueError("names a metadata key for type: metadata, and for no other; write both or neither")
        expected = _OVERRIDDEN.get(self.type)
        for number, override in enumerate(getattr(self, "overrides", None) or ()):
            if override.model_fields_set - {"limits"} != {expected}:
                raise ValueError(f"has an override {number + 1} that does not list {expected or 'anything it can'}")
        return self


class CostAppliesTo(_AppliesTo):
    overrides: list[CostOverride] | None = None


class RateAppliesTo(_AppliesTo):
    overrides: list[RateOverride] | None = None


class _NamedLimit(Manifest):
    name: Name
    mode: Mode
    alerts: Alerts | None = None


class TenantBudget(_NamedLimit):
    type: Literal["tenant-budget-config"]
    when: When | None = None
    limits: CostLimits
    applies_to: CostAppliesTo


class TeamBudget(_NamedLimit):
    type: Literal["team-budget-config"]
    team_name: Name
    when: TeamWhen | None = None
    limits: CostLimits
    applies_to: CostAppliesTo


class ModelRateLimit(_NamedLimit):
    """`log_request_body_on_block` says what is logged, not what is limited."""

    type: Literal["tenant-rate-limit-config/model"]
    when: When | None = None
    limits: RateLimits
    applies_to: RateAppliesTo
    log_request_body_on_block: StrictBool | None = None
