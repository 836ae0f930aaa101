"""Keys, workspaces, members and credits of OpenRouter, as rows of the tables of all sources.

Amounts are USD. A limit of a key counts from the start of the UTC day, week (Monday) or month; without a reset it never
starts anew. What is bought in advance is a limit too: when it is used up, calls are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from llm_spend.readers.api.values import amount, number

Row = Mapping[str, Any]

CREDITS = "credits"

_WINDOWS: Mapping[str, tuple[str, int | None, str | None]] = {
    "daily": ("day", 1, "first"),
    "weekly": ("week", 1, "first"),
    "monthly": ("month", 1, "first"),
}
# What changes with every call would make every list a new one; prompts of a workspace are set elsewhere.
_KEPT_OF_KEY = ("label", "limit", "limit_reset", "include_byok_in_limit", "external_user", "disabled", "workspace_id")
_KEPT_OF_WORKSPACE = ("slug", "description", "default_guardrail_id", "include_byok_in_budgets")


def key_rows(keys: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__members`, under the hash that activity is asked by; OpenRouter never tells a key."""
    for key in keys:
        yield {
            "member_type": "api_key",
            "member_id": key.get("hash"),
            "name": key.get("name") or key.get("label"),
            "status": "disabled" if key.get("disabled") else "active",
            "owner_type": "user" if key.get("creator_user_id") else None,
            "owner_id": key.get("creator_user_id"),
            "workspace_id": key.get("workspace_id"),
            "created_at": key.get("created_at"),
            "updated_at": key.get("updated_at"),
            "expires_at": key.get("expires_at"),
            "raw": _kept(key, _KEPT_OF_KEY),
        }


def workspace_rows(workspaces: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__members`: what costs call a project."""
    for workspace in workspaces:
        yield {
            "member_type": "workspace",
            "member_id": workspace.get("id"),
            "name": workspace.get("name"),
            "owner_type": "user" if workspace.get("created_by") else None,
            "owner_id": workspace.get("created_by"),
            "created_at": workspace.get("created_at"),
            "updated_at": workspace.get("updated_at"),
            "raw": _kept(workspace, _KEPT_OF_WORKSPACE),
        }


def member_rows(members: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__members` of the people of an organisation."""
    for member in members:
        names = [str(member[part]) for part in ("first_name", "last_name") if member.get(part)]
        yield {
            "member_type": "user",
            "member_id": member.get("id"),
            "name": " ".join(names) or None,
            "email": member.get("email"),
            "raw": _kept(member, ("role",)),
        }


def limit_rows(keys: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__limits`: of every key that has a limit."""
    for key in _limited(keys):
        reset = key.get("limit_reset")
        unit, length, anchor = _WINDOWS.get(str(reset), ("lifetime", None, None))
        yield {
            "limit_id": _limit_id(key),
            "name": key.get("name"),
            "scope_type": "api_key",
            "scope": {"api_key": key.get("hash")},
            "counter_keys": ["api_key"],
            **_budget(key.get("limit")),
            "window_unit": unit,
            "window_length": length,
            "window_anchor": anchor,
            "status": "disabled" if key.get("disabled") else "active",
            "raw": _kept(key, _KEPT_OF_KEY),
        }


def credit_row(credits: Row) -> dict[str, Any]:
    """A row of `gateway__limits`: what was bought in advance."""
    return {
        "limit_id": CREDITS,
        "name": "Credits bought",
        "scope_type": "organization",
        "scope": {},
        "counter_keys": [],
        **_budget(credits.get("total_credits")),
        "window_unit": "lifetime",
        "status": "active",
        "raw": _kept(credits, ("total_credits",)),
    }


def limit_usage_rows(keys: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__limit_usage`: how much of the limit of each key is used."""
    for key in _limited(keys):
        limit, remaining = number(key.get("limit")), number(key.get("limit_remaining"))
        used = None if limit is None or remaining is None else limit - remaining
        yield _usage(_limit_id(key), str(key.get("hash")), used, limit, _kept(key, ("limit", "limit_remaining")))


def credit_usage_row(credits: Row) -> dict[str, Any]:
    """A row of `gateway__limit_usage`: how much is used of what was bought."""
    bought, used = number(credits.get("total_credits")), number(credits.get("total_usage"))
    return _usage(CREDITS, None, used, bought, dict(credits))


def _usage(limit_id: str, entity: str | None, used: Decimal | None, limit: Decimal | None, raw: Row) -> dict[str, Any]:
    is_known = used is not None and limit is not None
    return {
        "limit_id": limit_id,
        "entity": entity,
        "used_value": amount(used),
        "used_unit": "usd",
        "limit_value": amount(limit),
        "status": ("exhausted" if used >= limit else "active") if is_known else None,  # type: ignore[operator]
        "raw": raw,
    }


def _budget(limit: Any) -> dict[str, Any]:
    return {
        "limit_kind": "budget",
        "measure": "cost",
        "limit_value": amount(limit),
        "limit_unit": "usd",
        "enforcement": "enforce",
        "evaluation": "all_match",
        "alert_thresholds": [],
    }


def _limited(keys: Iterable[Row]) -> Iterator[Row]:
    return (key for key in keys if key.get("limit") is not None)


def _limit_id(key: Row) -> str:
    return f"api_key:{key.get('hash')}"


def _kept(row: Row, names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}
