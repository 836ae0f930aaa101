"""What LiteLLM says of budgets and rate limits as pydantic models: rows of its API by kind, and the proxy's config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

from llm_spend.rules.quota import not_secret, time_zone
from llm_spend.rules.truefoundry import Manifest, Name, Strict
from llm_spend.rules.yaml_lines import YamlPath

KINDS = ("keys", "teams", "users", "customers", "team_memberships")
OTHER_KINDS = ("organizations", "projects", "tags", "agents")
_LIMIT = re.compile(r"budget|_limits?$|_limit_|^max_")
# How many run at once is counted by nobody afterwards. It is a limit of its own: those beside it hold without it.
UNCOUNTED = "max_parallel_requests"
_HARMLESS = frozenset({
    "budget_reset_at", "soft_budget_cooldown", "rpm_limit_type", "tpm_limit_type", "budget_fallbacks",
    "temp_budget_expiry", "model_max_budget_usage", "max_budget_alert_emails",
})  # fmt: skip
_IN_METADATA = frozenset({"model_rpm_limit", "model_tpm_limit", "mcp_rpm_limit", "temp_budget_increase"})


def _money(value: object) -> Decimal | None:
    """A number, which the proxy also takes as text."""
    if value is None:
        return None
    try:
        amount = Decimal(value) if isinstance(value, str) else Decimal(repr(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ValueError(f"is {value!r}; write a number, 0 or more")
    return amount


def _terms(value: object) -> object:
    """A budget by model may be its amount alone."""
    return value if isinstance(value, Mapping) else {"max_budget": value}


Money = Annotated[Decimal | None, BeforeValidator(_money)]
Count = Annotated[StrictInt, Field(ge=0)]


class ModelTerms(Strict):
    """A budget of a model, by the names of either place where the proxy has one."""

    max_budget: Money = Field(default=None, validation_alias=AliasChoices("max_budget", "budget_limit"))
    budget_duration: StrictStr | None = Field(
        default=None, validation_alias=AliasChoices("budget_duration", "time_period")
    )
    rpm_limit: Count | None = None
    tpm_limit: Count | None = None


class Window(Manifest):
    """One of several budgets of an owner."""

    max_budget: Money
    budget_duration: StrictStr | None = None


class Terms(BaseModel):
    """What a row says of limits. Rows say much else; what looks like a limit and is not known is told."""

    model_config = ConfigDict(extra="allow")

    budget_id: StrictStr | None = None
    max_budget: Money = None
    soft_budget: Money = None
    budget_duration: StrictStr | None = None
    rpm_limit: Count | None = None
    tpm_limit: Count | None = None
    tpd_limit: Count | None = None
    model_max_budget: dict[StrictStr, Annotated[ModelTerms, BeforeValidator(_terms)]] | None = None
    budget_limits: list[Window] | None = None
    temp_budget_increase: Money = None
    metadata: dict[StrictStr, Any] | None = None

    @property
    def unknown_limits(self) -> list[YamlPath]:
        """Where something looks like a limit that is not known here. Metadata are people's own, but for some names."""
        names = [name for name, value in (self.model_extra or {}).items() if value and _LIMIT.search(name)]
        inside = [name for name, value in (self.metadata or {}).items() if value and name in _IN_METADATA]
        known = {UNCOUNTED, *_HARMLESS}
        return [*((name,) for name in names if name not in known), *(("metadata", name) for name in inside)]


class Budget(Terms):
    budget_id: Name


class Owner(Terms):
    litellm_budget_table: Terms | None = None


class Key(Owner):
    token: Annotated[Name, AfterValidator(not_secret)]
    key_alias: StrictStr | None = None


class Team(Owner):
    team_id: Name
    team_alias: StrictStr | None = None
    team_member_budget: Money = None
    team_member_budget_duration: StrictStr | None = None
    team_member_rpm_limit: Count | None = None
    team_member_tpm_limit: Count | None = None

    @property
    def name(self) -> str:
        """As requests have it."""
        return self.team_alias or self.team_id


class User(Owner):
    user_id: Name


class Membership(Owner):
    user_id: Name
    team_id: Name


class Settings(BaseModel):
    """`litellm_settings` of the config."""

    model_config = ConfigDict(extra="allow")

    max_budget: Money = None
    budget_duration: StrictStr | None = None
    timezone: Annotated[StrictStr, AfterValidator(time_zone)] = ""
    budget_reset_time: StrictStr | None = None

    @property
    def is_config(self) -> bool:
        """Whether they are those of a proxy, and not only there to say when the budgets of a list begin anew."""
        return bool({*self.model_fields_set, *(self.model_extra or {})} - {"timezone", "budget_reset_time"})


class RouterSettings(BaseModel):
    model_config = ConfigDict(extra="allow")


class LiteLLMFile(Manifest):
    """The proxy's config, or lists of rows by kind, or both.

    Answers of the API have besides how many rows and pages there are, and whose they are if they are one's.
    """

    litellm_settings: Settings = Settings()
    router_settings: RouterSettings = RouterSettings()
    budgets: list[Budget] = Field(default_factory=list)
    keys: list[Key] = Field(default_factory=list)
    teams: list[Team] = Field(default_factory=list)
    users: list[User] = Field(default_factory=list)
    customers: list[User] = Field(default_factory=list)
    team_memberships: list[Membership] = Field(default_factory=list)
    organizations: list[Terms] = Field(default_factory=list)
    projects: list[Terms] = Field(default_factory=list)
    tags: list[Terms] = Field(default_factory=list)
    agents: list[Terms] = Field(default_factory=list)
    total: Any = None
    total_count: Any = None
    total_pages: Any = None
    user_id: Any = None
    user_info: Any = None
    team_id: Any = None
    team_info: Any = None


def is_litellm(value: Mapping[str, Any]) -> bool:
    """Whether a document has a part that LiteLLM's has."""
    return not {"litellm_settings", "router_settings", "budgets", *KINDS, *OTHER_KINDS}.isdisjoint(value)
