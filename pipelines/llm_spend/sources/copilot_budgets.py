"""Budgets of GitHub that are about Copilot, and what is used of them, as rows of the tables of all sources.

Amounts are whole US dollars for a calendar month. A budget for several users counts each of them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_spend.readers.api.values import amount, number

Row = Mapping[str, Any]

_OF_SEVERAL = ("multi_user_customer", "multi_user_cost_center")
_SCOPES = {
    "enterprise": "organization",
    "organization": "organization",
    "repository": "any",
    "cost_center": "project",
    "multi_user_customer": "user",
    "multi_user_cost_center": "user",
    "user": "user",
}
_ABOUT_COPILOT = ("copilot", "ai_credit", "ai-credit", "premium_request")


def is_about_copilot(budget: Row) -> bool:
    """Whether a budget limits Copilot: there are others for Actions, Packages and so on."""
    named = budget.get("budget_product_skus") or [budget.get("budget_product_sku")]
    return any(word in str(name).lower().replace(" ", "_") for name in named for word in _ABOUT_COPILOT)


def is_of_several(budget: Row) -> bool:
    """Whether users are counted one by one."""
    return budget.get("budget_scope") in _OF_SEVERAL


def budget_rows(budgets: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__limits`."""
    for budget in budgets:
        scope, entity = str(budget.get("budget_scope")), _entity(budget)
        kind = _SCOPES.get(scope, "any")
        yield {
            "limit_id": budget.get("id"),
            "name": f"{scope} {entity}" if entity else scope,
            "limit_kind": "budget",
            "scope_type": kind,
            "scope": {kind: entity} if entity else {},
            "counter_keys": ["user"] if is_of_several(budget) else [],
            "measure": "cost",
            "limit_value": amount(budget.get("budget_amount")),
            "limit_unit": "usd",
            "window_unit": "month",
            "window_length": 1,
            "window_anchor": "first",
            "enforcement": "enforce" if budget.get("prevent_further_usage") else "audit",
            "evaluation": "all_match",
            "alert_thresholds": [],
            "raw": {
                name: value for name, value in budget.items() if name not in ("consumed_amount", "budget_alerting")
            },
        }


def budget_usage_rows(budget: Row, states: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__limit_usage`: of the budget itself, if GitHub tells it, and of each user that it counts."""
    if budget.get("consumed_amount") is not None:
        yield _usage(budget, _entity(budget), budget.get("consumed_amount"), budget.get("budget_amount"), budget)
    for state in states:
        yield _usage(budget, state.get("user"), state.get("consumed_amount"), state.get("target_amount"), state)


def _usage(budget: Row, entity: Any, used: Any, limit: Any, raw: Row) -> dict[str, Any]:
    known, most = number(used), number(limit)
    is_exhausted = known is not None and most is not None and known >= most
    return {
        "limit_id": budget.get("id"),
        "entity": entity,
        "used_value": amount(used),
        "used_unit": "usd",
        "limit_value": amount(limit),
        "status": "exhausted" if is_exhausted else "active",
        "raw": {name: value for name, value in raw.items() if name != "budget_alerting"},
    }


def _entity(budget: Row) -> str | None:
    found = budget.get("user") or budget.get("budget_entity_name")
    return str(found) if found else None
