"""Limits of Portkey and what counts against them, as rows of the tables of all gateways.

Facts (Portkey OpenAPI, code of the gateway): `credit_limit` is US dollars, while logs and counters are US cents; in
which of them the API gives `current_usage` is not said, so the counters themselves are asked. When a week begins is
told differently in different places, so the next reset is kept and no start is inferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_spend.readers.api.values import number
from llm_spend.sources.portkey_client import Row

_LIMIT_UNITS = {"cost": "usd", "tokens": "tokens", "requests": "count"}
_WINDOWS = {
    "monthly": ("month", 1, "first"),
    "weekly": ("week", 1, "next_reset_at"),
    "rpm": ("minute", 1, None),
    "rph": ("hour", 1, None),
    "rpd": ("day", 1, None),
    "rpw": ("week", 1, None),
}
_SCOPES = {
    "api_key": "api_key",
    "workspace_id": "workspace",
    "organisation_id": "organization",
    "virtual_key": "provider",
    "provider": "provider",
    "model": "model",
}


def usage_policy_row(policy: Row) -> dict[str, Any]:
    """A budget of a policy: a row of `gateway__limits`."""
    return {**_policy(policy), **_budget(policy)}


def rate_policy_row(policy: Row) -> dict[str, Any]:
    """A rate limit of a policy: a row of `gateway__limits`."""
    return {**_policy(policy), **_rate(policy)}


def held_limit_rows(kind: str, holder: str, row: Row) -> Iterator[dict[str, Any]]:
    """The limits that an API key, a workspace or a provider (`kind`, with its id) has: rows of `gateway__limits`."""
    common = {
        "name": row.get("name"),
        "scope_type": kind,
        "scope": {kind: holder},
        "counter_keys": [kind],
        "status": row.get("status"),
    }
    for limits in budgets(row):
        yield {"limit_id": budget_id(kind, holder, limits), **common, **_budget(limits), "raw": limits}
    for limits in _objects(row.get("rate_limits")):
        identifier = f"{kind}:{holder}:{limits.get('type')}:{limits.get('unit')}"
        yield {"limit_id": identifier, **common, **_rate(limits), "raw": limits}


def held_usage_rows(kind: str, holder: str, row: Row) -> Iterator[dict[str, Any]]:
    """How the budgets that an API key, a workspace or a provider has stand: rows of `gateway__limit_usage`.

    Portkey tells their status, and how much was used only at times.
    """
    for limits in budgets(row):
        used = limits.get("current_usage", row.get("current_usage"))
        counter = {"current_usage": used, "status": row.get("status")}
        yield _usage(budget_id(kind, holder, limits), holder, limits, counter, _used_unit(limits, [counter]))


def budgets(row: Row) -> list[Row]:
    """The budgets of an API key or a provider, which has one, or of a workspace, which has a list of them."""
    return [limits for limits in _objects(row.get("usage_limits")) if limits.get("credit_limit") is not None]


def budget_id(kind: str, holder: str, limits: Row) -> str:
    return f"{kind}:{holder}:{limits.get('type') or 'cost'}"


def policy_usage_rows(policy: Row, counters: Iterable[Row]) -> list[dict[str, Any]]:
    """What counts against a usage policy: rows of `gateway__limit_usage`."""
    counted = list(counters)
    unit = _used_unit(policy, counted)
    return [_usage(str(policy["id"]), each.get("value_key"), policy, each, unit) for each in counted]


def _usage(limit_id: str, entity: Any, limits: Row, counter: Row, unit: str) -> dict[str, Any]:
    return {
        "limit_id": limit_id,
        "entity": entity,
        "period_start": limits.get("last_reset_at"),
        "period_end": limits.get("next_usage_reset_at"),
        "used_value": counter.get("current_usage"),
        "used_unit": unit,
        "limit_value": limits.get("credit_limit"),
        "status": counter.get("status"),
        "raw": counter,
    }


def _used_unit(limits: Row, counters: Iterable[Row]) -> str:
    """The unit of counters: cents for costs, unless one is exhausted that in cents would not be.

    An active one that has reached the limit in dollars says that they are cents after all.
    """
    measure = str(limits.get("type") or "cost")
    if measure != "cost":
        return _LIMIT_UNITS.get(measure, "count")
    limit = number(limits.get("credit_limit"))
    found = [(number(each.get("current_usage")), each.get("status")) for each in counters]
    used = [(amount, status) for amount, status in found if amount is not None]
    if limit is None or any(status == "active" and amount >= limit for amount, status in used):
        return "us_cent"
    is_dollars = any(status == "exhausted" and limit <= amount < limit * 100 for amount, status in used)
    return "usd" if is_dollars else "us_cent"


def _policy(policy: Row) -> dict[str, Any]:
    conditions, groups = _objects(policy.get("conditions")), _objects(policy.get("group_by"))
    keys = [str(each["key"]) for each in (*groups, *conditions) if each.get("key")]
    return {
        "limit_id": policy.get("id"),
        "name": policy.get("name"),
        "scope_type": _scope_type(keys[0]) if keys else "any",
        "scope": {str(each.get("key")): _condition(each) for each in conditions},
        "counter_keys": [str(each["key"]) for each in groups if each.get("key")],
        "status": policy.get("status"),
        "raw": {name: value for name, value in policy.items() if name != "value_key_usage_map"},
    }


def _scope_type(key: str) -> str:
    return "metadata" if key.startswith("metadata.") else _SCOPES.get(key, "any")


def _condition(condition: Row) -> Any:
    value, excludes = condition.get("value"), condition.get("excludes")
    return {"value": value, "excludes": excludes} if excludes else value


def _budget(limits: Row) -> dict[str, Any]:
    measure, days = str(limits.get("type") or "cost"), limits.get("periodic_reset_days")
    window = ("days", days, "next_reset_at") if days else _WINDOWS.get(str(limits.get("periodic_reset")))
    threshold = limits.get("alert_threshold")
    return {
        "limit_kind": "budget",
        **_measured(measure, limits.get("credit_limit"), window or ("lifetime", None, None)),
        "alert_thresholds": [] if threshold is None else [threshold],
        "next_reset_at": limits.get("next_usage_reset_at"),
    }


def _rate(limits: Row) -> dict[str, Any]:
    window = _WINDOWS.get(str(limits.get("unit"))) or (None, None, None)
    return {
        "limit_kind": "rate_limit",
        **_measured(str(limits.get("type")), limits.get("value"), window),
        "alert_thresholds": [],
    }


def _measured(measure: str, limit: Any, window: tuple[str | None, Any, str | None]) -> dict[str, Any]:
    unit, length, anchor = window
    return {
        "measure": measure,
        "limit_value": limit,
        "limit_unit": _LIMIT_UNITS.get(measure),
        "window_unit": unit,
        "window_length": length,
        "window_anchor": anchor,
        "enforcement": "enforce",
        "evaluation": "all_match",
    }


def _objects(value: Any) -> list[Row]:
    """Objects of a list, or the one that stands for it."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, Mapping)]
