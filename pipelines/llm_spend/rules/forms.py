"""The forms that rule files have: how one is told, its model, its rules, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from llm_spend.rules import litellm, litellm_rules, portkey, short_form, truefoundry_rules
from llm_spend.rules.quota import Evaluation, QuotaRule
from llm_spend.rules.remarks import Remark
from llm_spend.rules.truefoundry import BudgetConfig, RateLimitConfig
from llm_spend.rules.truefoundry_segments import SegmentsConfig, TenantsConfig
from llm_spend.rules.truefoundry_v2 import ModelRateLimit, TeamBudget, TenantBudget


class Form(NamedTuple):
    """A kind of rule file.

    `evaluation`: how its rules count if nobody says. `rule_sets`: of what a file says everything; None: of the rule
    sets that its rules are of.
    """

    model: type[BaseModel]
    evaluation: Evaluation
    rules: Callable[[Any, Evaluation], list[QuotaRule]]
    remarks: Callable[[Any], Iterator[Remark]]
    rule_sets: Callable[[Any], tuple[str, ...]] | None = None


# Of rate limits of the first generation only the first rule that matches counts. Of its budgets the first decides what
# is blocked, but costs and tokens count against every one that matches, and counting is what an evaluation says.
_V1, _V2 = truefoundry_rules.remarks_of_rules, truefoundry_rules.remarks_of_named
FORMS: Mapping[str, Form] = {
    "gateway-rate-limiting-config": Form(RateLimitConfig, "first_match", truefoundry_rules.rate_limits, _V1),
    "gateway-budget-config": Form(BudgetConfig, "all_match", truefoundry_rules.budgets, _V1),
    "tenant-rate-limit-config/model": Form(ModelRateLimit, "all_match", truefoundry_rules.named, _V2),
    "tenant-budget-config": Form(TenantBudget, "all_match", truefoundry_rules.named, _V2),
    "team-budget-config": Form(TeamBudget, "all_match", truefoundry_rules.named, _V2),
    "llm-spend-quotas": Form(short_form.ShortFile, "all_match", short_form.rules, short_form.said),
}
_SEGMENTS = truefoundry_rules.segments, truefoundry_rules.remarks_of_segments
_PORTKEY = portkey.rules, portkey.said, portkey.rule_sets
SEGMENTS = Form(SegmentsConfig, "all_match", *_SEGMENTS)
TENANTS = Form(TenantsConfig, "all_match", *_SEGMENTS)
POLICY = Form(portkey.Policy, "all_match", *_PORTKEY)
POLICIES = Form(portkey.Policies, "all_match", *_PORTKEY)
POLICY_LIST = Form(portkey.PolicyList, "all_match", *_PORTKEY)
LITELLM = Form(litellm.LiteLLMFile, "all_match", litellm_rules.rules, litellm_rules.said, litellm_rules.rule_sets)


class UnknownFormError(ValueError):
    """A document is none of the forms. `key`: where it says which it would be, empty for the whole document."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


def form_of(value: Any) -> Form:
    """The form of a document. Raises UnknownFormError."""
    if isinstance(value, list):
        if any(portkey.is_policy(each) for each in value):
            return POLICIES
        raise UnknownFormError(
            "is a list, but not of Portkey policies; lists of LiteLLM stand below what they list:"
            f" {', '.join(f'{kind}:' for kind in litellm.KINDS)}"
        )
    if not isinstance(value, dict):
        raise UnknownFormError("expected keys name, type and rules at the top")
    if portkey.is_policy(value):
        return POLICY
    if isinstance(value.get("data"), list) and (not value["data"] or any(map(portkey.is_policy, value["data"]))):
        return POLICY_LIST
    if "type" not in value and "rules" not in value:
        if "segments" in value:
            return SEGMENTS
        if "configs" in value:
            return TENANTS
        if litellm.is_litellm(value):
            return LITELLM
        raise UnknownFormError(
            f"is no rule file that is known: it has neither `type` (one of {', '.join(FORMS)}) nor what policies of"
            " Portkey or budgets of LiteLLM have"
        )
    found = value.get("type")
    if found == "tenant-rate-limit-config/mcp":
        message = "limits calls of MCP tools, which cost no tokens here; only limits on models are read"
        raise UnknownFormError(message, "type")
    if isinstance(found, str) and found not in FORMS:
        raise UnknownFormError(f"is {found!r}; write one of {', '.join(FORMS)}", "type")
    return FORMS.get(str(found), FORMS["gateway-rate-limiting-config"])
