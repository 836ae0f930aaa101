"""Members and spend limits, as Anthropic lists them.

Facts (types of Anthropic's SDK): keys that are archived stay in the list; so do workspaces, and the default one, when
they are asked for. Workspaces have tags. A spend limit is in cents, none means that there is no limit, and what was
spent reads 0 while it can't be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.source import Listing, NotAllowedError
from llm_spend.readers.api.values import amount, as_object, number, without
from llm_spend.readers.records import LogFormat
from llm_spend.sources.anthropic_client import AnthropicClient, Right, Row, offered
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format

_ADMIN = "/v1/organizations"
_PERIODS = {"daily": "day", "weekly": "week", "monthly": "month"}
_HIDDEN = ("partial_key_hint", "email_hash", "name_hash", "enforcement_actions", "programs")


def _reading(what: str) -> Right:
    return Right(f"list {what}")


@dataclass
class AnthropicLists:
    """The lists of an organisation; `profiles` asks with an ordinary key, and is None without one."""

    admin: AnthropicClient
    profiles: AnthropicClient | None = None
    _limits: list[Row] | None = None

    def api_keys(self) -> list[Row]:
        return self._listed("API keys", "/api_keys")

    def workspaces(self) -> list[Row]:
        return self._listed("workspaces", "/workspaces", include_archived="true", include_default="true")

    def users(self) -> list[Row]:
        return self._listed("users", "/users")

    def service_accounts(self) -> list[Row]:
        params = {"limit": 100, "include_archived": "true"}
        return offered(
            lambda: self.admin.report(_reading("service accounts"), f"{_ADMIN}/service_accounts", params).rows
        )

    def spend_limits(self) -> list[Row]:
        """The limits that are in force for each member, with what was spent; asked for once."""
        if self._limits is None:
            right, path = _reading("spend limits"), f"{_ADMIN}/spend_limits/effective"
            self._limits = offered(lambda: self.admin.report(right, path, {"limit": 100}).rows)
        return self._limits

    def user_profiles(self) -> list[Row]:
        profiles = self.profiles
        if profiles is None:
            raise NotAllowedError("User profiles are listed with an ordinary API key.", "Give `user_profiles_key`.")
        right = Right("list user profiles", "Give `user_profiles_key`: an API key of the workspace that has them.")
        return offered(lambda: profiles.report(right, "/v1/user_profiles", {"limit": 100}).rows)

    def _listed(self, what: str, path: str, **params: str) -> list[Row]:
        return offered(lambda: self.admin.listed(_reading(what), f"{_ADMIN}{path}", {**params, "limit": 1000}))


def api_key_row(key: Row) -> dict[str, Any]:
    """A row of `gateway__members`; the owner is whom the key acts as, else who made it."""
    owner_type, owner_id = _owner(as_object(key.get("principal")), as_object(key.get("created_by")))
    workspace = as_object(key.get("scope")).get("workspace_id") or key.get("workspace_id")
    return {
        **_member("api_key", key),
        "status": key.get("status"),
        "is_deleted": key.get("status") == "archived",
        "owner_type": owner_type,
        "owner_id": owner_id,
        "workspace_id": workspace,
        "expires_at": key.get("expires_at"),
    }


def workspace_row(workspace: Row) -> dict[str, Any]:
    """A row of `gateway__members`, with the workspace's tags as metadata."""
    return {
        **_member("workspace", workspace),
        **_archived(workspace),
        "workspace_id": workspace.get("id"),
        "metadata": as_object(workspace.get("tags")),
    }


def user_row(user: Row) -> dict[str, Any]:
    """A row of `gateway__members`."""
    return {
        **_member("user", user),
        "email": user.get("email"),
        "created_at": user.get("added_at"),
        "metadata": {"role": user.get("role")},
    }


def service_account_row(account: Row) -> dict[str, Any]:
    """A row of `gateway__members`."""
    told = {"role": account.get("organization_role"), "description": account.get("description")}
    return {
        **_member("service_account", account),
        **_archived(account),
        "metadata": {name: value for name, value in told.items() if value},
    }


def user_profile_row(profile: Row) -> dict[str, Any]:
    """A row of `gateway__members`: a customer of the organisation, with its own id for them among the metadata."""
    details = as_object(profile.get("external_user_details"))
    reference = details.get("reference_id") or profile.get("external_id")
    metadata = {**as_object(profile.get("metadata")), **({"external_reference_id": reference} if reference else {})}
    return {
        **_member("customer", profile),
        "status": details.get("account_status") or profile.get("enforcement_status"),
        "metadata": metadata,
    }


def spend_limit_row(limit: Row) -> dict[str, Any]:
    """A row of `gateway__limits`; without a value where nothing limits the member."""
    kind, holder = _holder(limit)
    return {
        "limit_id": _limit_id(limit),
        "limit_kind": "budget",
        "scope_type": kind,
        "scope": {kind: holder},
        "counter_keys": [kind],
        "measure": "cost",
        "limit_value": _units(limit.get("amount")),
        "limit_unit": _unit(limit),
        "window_unit": _PERIODS.get(str(limit.get("period"))),
        "window_length": 1,
        "window_anchor": "first" if limit.get("period") == "monthly" else None,
        "enforcement": "enforce",
        "evaluation": "all_match",
        "alert_thresholds": [],
        # What was spent changes all the time, and the limit does not.
        "raw": without(limit, ("period_to_date_spend",)),
    }


def spend_usage_row(limit: Row) -> dict[str, Any]:
    """A row of `gateway__limit_usage`."""
    return {
        "limit_id": _limit_id(limit),
        "entity": _holder(limit)[1],
        "used_value": _units(limit.get("period_to_date_spend")),
        "used_unit": _unit(limit),
        "limit_value": _units(limit.get("amount")),
        "raw": limit,
    }


def _member(kind: str, row: Row) -> dict[str, Any]:
    return {
        "member_type": kind,
        "member_id": row.get("id"),
        "name": row.get("name"),
        "created_at": row.get("created_at"),
        "updated_at": row.get("updated_at"),
        "raw": without(row, _HIDDEN),
    }


def _archived(row: Row) -> dict[str, Any]:
    at = row.get("archived_at")
    return {"status": "archived" if at else "active", "is_deleted": bool(at), "deleted_at": at}


def _owner(principal: Row, creator: Row) -> tuple[str | None, str | None]:
    if user := principal.get("user_id"):
        return "user", user
    if account := principal.get("service_account_id"):
        return "service_account", account
    return creator.get("type"), creator.get("id")


def _holder(limit: Row) -> tuple[str, str]:
    """What kind of member a limit is for, and its id."""
    actor = as_object(limit.get("actor"))
    if user := actor.get("user_id"):
        return "user", str(user)
    return "api_key", str(actor.get("scoped_api_key_id"))


def _limit_id(limit: Row) -> str:
    """One limit may hold for many members, and each of them has a row a period."""
    return ":".join((str(limit.get("spend_limit_id")), *_holder(limit), str(limit.get("period"))))


def _units(cents: Any) -> Any:
    """Cents as text in units of their currency, exactly; what is no number stays as it is."""
    value = number(cents)
    return cents if value is None else amount(value.scaleb(-2))


def _unit(limit: Row) -> str | None:
    currency = limit.get("currency")
    return str(currency).lower() if currency else None


def _listing(name: str, fmt: LogFormat, rows: Callable[[AnthropicLists], Iterable[Row]]) -> Listing:
    return Listing.of_rows(name, fmt, lambda api: rows(api.lists))


_MEMBERS, _LIMITS, _USAGE = (make("anthropic") for make in (members_format, limits_format, limit_usage_format))

LISTINGS = (
    _listing("api_keys", _MEMBERS, lambda lists: map(api_key_row, lists.api_keys())),
    _listing("workspaces", _MEMBERS, lambda lists: map(workspace_row, lists.workspaces())),
    _listing("users", _MEMBERS, lambda lists: map(user_row, lists.users())),
    _listing("service_accounts", _MEMBERS, lambda lists: map(service_account_row, lists.service_accounts())),
    _listing("spend_limits", _LIMITS, lambda lists: map(spend_limit_row, lists.spend_limits())),
    _listing("spend_to_date", _USAGE, lambda lists: map(spend_usage_row, lists.spend_limits())),
)
"""Each as a list of its own, for a key may read one and not another."""

USER_PROFILES = _listing("user_profiles", _MEMBERS, lambda lists: map(user_profile_row, lists.user_profiles()))


def check_lists(lists: AnthropicLists) -> tuple[list[str], list[str]]:
    """Which lists can be read, and what keeps others from being read."""
    questions = {
        "API keys": lists.api_keys,
        "workspaces": lists.workspaces,
        "users": lists.users,
        "service accounts": lists.service_accounts,
        "spend limits": lists.spend_limits,
        **({"user profiles": lists.user_profiles} if lists.profiles else {}),
    }
    there, lacking = [], []
    for name, ask in questions.items():
        try:
            ask()
            there.append(name)
        except UserError as error:
            lacking.append(f"{name}: {error.problem}")
    return there, lacking
