"""Budgets and rate limits that TrueFoundry's API gives, as rows of `gateway__limits`.

A record of what the gateway holds, not a quota: whatever form a limit has it becomes a row, what is not known is NULL,
and `raw` keeps the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llm_spend.readers.api.values import amount, without
from llm_spend.rules.forms import FORMS
from llm_spend.rules.truefoundry import SUBJECT_TYPES

Row = dict[str, Any]

_UNIT = re.compile(r"(cost|requests|tokens)_per_(minute|hour|day|week|month|quarter|lifetime)")
_LIMIT_UNITS = {"cost": "usd", "requests": "count", "tokens": "tokens"}
# Budgets begin anew at a moment of the calendar. Of rate limits TrueFoundry does not say it.
_ANCHORS = {"day": "utc_midnight", "week": "monday", "month": "first", "quarter": "first"}
_MODES = {"enforce": "enforce", "audit": "audit", "soft_enforce": "soft"}
_SCOPE_TYPES = {name: kind.replace("virtualaccount", "virtual_account") for name, kind in SUBJECT_TYPES.items()}
_COUNTERS = {"per-user": "user", "per-model": "model", "per-virtual-account": "virtual_account"}
_OVERRIDDEN = {
    "users": ("subjects", "users"),
    "virtual_accounts": ("subjects", "virtual_accounts"),
    "models": ("models",),
}
_KINDS = {"users": "user", "teams": "team", "virtual_accounts": "virtual_account"}
_PLACEHOLDER = re.compile(r"\{([^}]+)\}")
# Who is told is not what is limited, and may be somebody's address.
_LEFT_OUT = ("notification_target",)


def limit_rows(manifest: Mapping[str, Any]) -> list[Row]:
    """One row a rule of a V1 config; of a V2 limit one row a period, and one more for each override of it."""
    if "rules" in manifest:
        return [_rule_row(manifest, rule, order) for order, rule in enumerate(_list(manifest, "rules"), start=1)]
    if _object(manifest, "limits"):
        return list(_named_rows(manifest))
    return [{"limit_id": f"{_text(manifest, 'type')}:{_text(manifest, 'name')}", "raw": without(manifest, _LEFT_OUT)}]


def rule_id(kind: str, rule: str) -> str:
    """What a rule of a V1 config is called here; a tenant has one config of a kind."""
    return f"{kind}:{rule}"


def period_id(kind: str, name: str, period: str) -> str:
    """What one period of a V2 limit is called here."""
    return f"{kind}:{name}:{period}"


def _rule_row(manifest: Mapping[str, Any], rule: Any, order: int) -> Row:
    kind, name = _text(manifest, "type"), _text(rule, "id")
    when = _object(rule, "when")
    per = _list(rule, "rate_limit_applies_per") or _list(rule, "budget_applies_per")
    # Rules of older gateways have a counter for each value that stands for a name in braces.
    keys = dict.fromkeys(_SCOPE_TYPES.get(key, key) for key in [*_PLACEHOLDER.findall(name), *per])
    rule = rule if isinstance(rule, Mapping) else {}
    is_audit = rule.get("audit_mode") is True or rule.get("block_on_budget_exceed") is False
    return {
        "limit_id": rule_id(kind, name),
        "name": name,
        "limit_kind": "budget" if "budget" in kind else "rate_limit",
        "scope_type": _rule_scope_type(when),
        "scope": _rule_scope(when),
        "counter_keys": list(keys),
        **_measured(_text(rule, "unit"), rule.get("limit_to"), is_budget="budget" in kind),
        "enforcement": "audit" if is_audit else "enforce",
        "evaluation": FORMS[kind].evaluation if kind in FORMS else None,
        "rule_order": order,
        "alert_thresholds": _thresholds(rule),
        "raw": without(rule, _LEFT_OUT),
    }


def _rule_scope(when: Mapping[str, Any]) -> Row:
    scope: Row = {}
    if subjects := [str(each) for each in _list(when, "subjects") if each != "*"]:
        scope["subjects"] = {"any_of": subjects}
    if models := [str(each) for each in _list(when, "models") if each != "*"]:
        scope["models"] = {"in": models}
    if metadata := _object(when, "metadata"):
        scope["metadata"] = {key: {"in": [value]} for key, value in metadata.items()}
    return scope


def _rule_scope_type(when: Mapping[str, Any]) -> str:
    subjects = [str(each).partition(":")[0].strip() for each in _list(when, "subjects")]
    return _scope_type({_SCOPE_TYPES.get(kind, "any") for kind in subjects}, _rule_scope(when))


def _scope_type(kinds: set[str], scope: Mapping[str, Any]) -> str:
    """What a limit is for, in a word: whose it is, else the one thing that it asks for."""
    if len(kinds) == 1:
        return kinds.pop()
    others = [name for key, name in _CONDITIONS.items() if key in scope]
    return others[0] if len(others) == 1 and not kinds else "any"


_CONDITIONS = {"models": "model", "provider_accounts": "provider", "metadata": "metadata"}


def _named_rows(manifest: Mapping[str, Any]) -> Iterator[Row]:
    kind, name = _text(manifest, "type"), _text(manifest, "name")
    applies_to = _object(manifest, "applies_to")
    key = applies_to.get("metadata")
    counter = f"metadata.{key}" if key else _COUNTERS.get(_text(applies_to, "type"))
    scope = _named_scope(manifest)
    is_budget = "budget" in kind
    common = {
        "name": name,
        "limit_kind": "budget" if is_budget else "rate_limit",
        "counter_keys": [counter] if counter else [],
        "enforcement": _MODES.get(_text(manifest, "mode")),
        "evaluation": "all_match",
        "alert_thresholds": _thresholds(manifest),
        "raw": without(manifest, _LEFT_OUT),
    }
    for period, value in manifest["limits"].items():
        if value is not None:
            identifier = period_id(kind, name, period)
            yield {**common, "limit_id": identifier, **_scoped(scope), **_measured(period, value, is_budget=is_budget)}
    for number, override in enumerate(_list(applies_to, "overrides"), start=1):
        narrowed = _narrowed(scope, override, key)
        for period, value in _object(override, "limits").items():
            if value is not None:
                identifier = f"{period_id(kind, name, period)}:override-{number}"
                measured = _measured(period, value, is_budget=is_budget)
                yield {**common, "limit_id": identifier, **_scoped(narrowed), **measured}


def _named_scope(manifest: Mapping[str, Any]) -> Row:
    scope: Row = {key: value for key, value in _object(manifest, "when").items() if value}
    if team := manifest.get("team_name"):
        scope["subjects"] = {**_object(scope, "subjects"), "teams": {"in": [team]}}
    return scope


def _narrowed(scope: Row, override: Mapping[str, Any], metadata_key: str | None) -> Row:
    """The scope of an override: that of its limit, for the members that it lists."""
    places = {**_OVERRIDDEN, "metadata_values": ("metadata", str(metadata_key))}
    for name, place in places.items():
        if values := _list(override, name):
            inner: Row = {"in": values}
            return {**scope, place[0]: {**_object(scope, place[0]), place[1]: inner} if len(place) > 1 else inner}
    return scope


def _scoped(scope: Row) -> Row:
    kinds = {_KINDS[key] for key in _object(scope, "subjects") if key in _KINDS}
    return {"scope_type": _scope_type(kinds, scope), "scope": scope}


def _measured(unit: str, value: Any, *, is_budget: bool) -> Row:
    found = _UNIT.fullmatch(unit)
    measure, window = found.groups() if found else (None, None)
    return {
        "measure": measure,
        "limit_value": amount(value),
        "limit_unit": _LIMIT_UNITS.get(str(measure)),
        "window_unit": window,
        "window_anchor": _ANCHORS.get(str(window)) if is_budget else None,
    }


def _thresholds(document: Mapping[str, Any]) -> list[Any] | None:
    alerts = _object(document, "alerts")
    return _list(alerts, "thresholds") if alerts else None


def _object(document: Any, key: str) -> Mapping[str, Any]:
    found = document.get(key) if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _list(document: Any, key: str) -> list[Any]:
    found = document.get(key) if isinstance(document, Mapping) else None
    return found if isinstance(found, list) else []


def _text(document: Any, key: str) -> str:
    return str(document.get(key) or "") if isinstance(document, Mapping) else ""
