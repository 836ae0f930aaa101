"""Users, teams, virtual accounts and budget usage of TrueFoundry's API as rows of the shared tables.

A member is called what spans and limits call it: a user by e-mail address, a team and a virtual account by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_spend.readers.api.values import amount, without
from llm_spend.rules.limits import period_id, rule_id

Row = dict[str, Any]

_LEFT_OUT = frozenset(
    {
        # What can be a key, or belongs to one.
        "jwts",
        "jwtId",
        "token",
        "secret_store_config",
        # What changes without any meaning for us: a list that has not changed is not loaded again.
        "lastAccessedAt",
        "nextScheduledRotation",
        "topMembers",
        "topManagers",
        "totalMemberCount",
        "totalManagerCount",
        # What a person's identity provider tells.
        "userObject",
        "scimUserObject",
        "preference",
        "imageURL",
        "pictureDownloadPath",
        "notification_target",
    }
)


def user_row(user: Mapping[str, Any], teams_of: Mapping[str, list[str]]) -> Row:
    """`teams_of`: names of teams by e-mail address of a member."""
    email = _text(user, "email")
    return {
        "member_type": "user",
        "member_id": email or _text(user, "id"),
        "name": _text(_object(user, "metadata"), "displayName"),
        "email": email,
        "status": {True: "active", False: "inactive"}.get(user.get("active")),  # type: ignore[arg-type]
        "team_ids": teams_of.get((email or "").lower(), []),
        **_common(user),
    }


def team_row(team: Mapping[str, Any]) -> Row:
    manifest = _object(team, "manifest")
    return {
        "member_type": "team",
        "member_id": _text(manifest, "name") or _text(team, "id"),
        "name": _text(manifest, "displayName") or _text(manifest, "name"),
        "metadata": manifest.get("tags"),
        **_common(team),
    }


def virtual_account_row(account: Mapping[str, Any]) -> Row:
    manifest = _object(account, "manifest")
    team = _text(_object(manifest, "ownedBy"), "team")
    return {
        "member_type": "virtual_account",
        "member_id": _text(manifest, "name") or _text(account, "id"),
        "name": _text(manifest, "name"),
        "status": {True: "expired", False: "active"}.get(account.get("isExpired")),  # type: ignore[arg-type]
        "owner_type": "team" if team else None,
        "owner_id": team,
        "team_ids": [team] if team else [],
        "expires_at": _text(manifest, "expiration_date"),
        "metadata": manifest.get("tags"),
        **_common(account),
    }


def teams_of_members(teams: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Names of teams by e-mail address (lower case) of those who are members or managers of them."""
    found: dict[str, list[str]] = {}
    for team in teams:
        manifest = _object(team, "manifest")
        name = _text(manifest, "name")
        people = [*(manifest.get("members") or []), *(manifest.get("managers") or [])]
        for person in dict.fromkeys(str(each).lower() for each in people):
            if name:
                found.setdefault(person, []).append(name)
    return {person: sorted(names) for person, names in found.items()}


def rule_usage_rows(document: Any) -> list[Row]:
    """Usage of V1 budgets: a list of objects, one a rule; its form is not in TrueFoundry's SDK."""
    found = document.get("data", []) if isinstance(document, Mapping) else document
    return [
        {
            "limit_id": rule_id("gateway-budget-config", str(each.get("budgetRuleId") or each.get("ruleId") or "")),
            "entity": _text(each, "entity"),
            "used_value": amount(each.get("used")),
            "used_unit": "tokens" if str(each.get("period", "")).startswith("tokens") else "usd",
            "limit_value": amount(each.get("limit")),
            "raw": dict(each),
        }
        for each in found
        if isinstance(each, Mapping)
    ]


def period_usage_rows(document: Mapping[str, Any]) -> Iterator[Row]:
    """Usage of V2 budgets: a row for each that has a counter, and each period."""
    for entry in document.get("matched") or []:
        for counted in entry.get("entities") or []:
            for period, usage in _object(counted, "periods").items():
                yield {
                    "limit_id": period_id(str(entry.get("type")), str(entry.get("name")), period),
                    "entity": counted.get("entity"),
                    "period_start": _moment(usage.get("start")),
                    # The last second is part of the period.
                    "period_end": _moment(usage.get("end"), later=timedelta(seconds=1)),
                    "used_value": amount(usage.get("used")),
                    "used_unit": "usd",
                    "limit_value": amount(usage.get("limit")),
                    "raw": {"applies_to": entry.get("applies_to"), "mode": entry.get("mode"), **usage},
                }


def _common(member: Mapping[str, Any]) -> Row:
    return {
        "organization_id": _text(member, "tenantName"),
        "created_at": _text(member, "createdAt"),
        "updated_at": _text(member, "updatedAt"),
        "raw": without(member, _LEFT_OUT),
    }


def _moment(seconds: Any, later: timedelta = timedelta()) -> str | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return f"{(datetime.fromtimestamp(int(seconds), UTC) + later).replace(tzinfo=None).isoformat()}Z"


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(document: Mapping[str, Any], key: str) -> str | None:
    found = document.get(key)
    return str(found) if found is not None and found != "" else None
