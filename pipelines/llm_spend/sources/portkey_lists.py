"""Members, limits and what counts against them, as Portkey lists them.

A limit of a key or a workspace is checked before a request is logged: that it is exhausted is seen here and in no log.
Virtual keys are called providers in newer versions, which list them under both names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiError
from llm_spend.readers.api.source import Listing, NotAllowedError
from llm_spend.readers.api.values import as_object
from llm_spend.readers.records import LogFormat
from llm_spend.sources.portkey_client import PortkeyClient, Right, Row
from llm_spend.sources.portkey_limits import (
    held_limit_rows,
    held_usage_rows,
    policy_usage_rows,
    rate_policy_row,
    usage_policy_row,
)
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format

_ELSEWHERE = "Portkey lists this for some plans and rights only; all else is loaded."


def _reading(what: str) -> Right:
    return Right(f"list {what}", f"Give the key the permission to list {what}; all else is loaded.", _ELSEWHERE)


API_KEYS, WORKSPACES, USERS = _reading("API keys"), _reading("workspaces"), _reading("users")
PROVIDERS, VIRTUAL_KEYS = _reading("providers"), _reading("virtual keys")
USAGE_POLICIES, RATE_POLICIES = _reading("usage-limit policies"), _reading("rate-limit policies")

_CAMEL_CASE = ("currentPage", "pageSize")


class PortkeyLists:
    """The lists of one workspace. What several of them are made of is asked for once."""

    def __init__(self, client: PortkeyClient) -> None:
        self._client = client
        self._found: dict[str, list[Row] | UserError] = {}

    def api_keys(self) -> list[Row]:
        return self._once(API_KEYS, "/api-keys", self._client.workspace.by_id)

    def workspaces(self) -> list[Row]:
        return self._once(WORKSPACES, "/admin/workspaces")

    def users(self) -> list[Row]:
        return self._once(USERS, "/admin/users", {}, _CAMEL_CASE)

    def usage_policies(self) -> list[Row]:
        return self._once(USAGE_POLICIES, "/policies/usage-limits", self._client.workspace.by_id)

    def rate_policies(self) -> list[Row]:
        return self._once(RATE_POLICIES, "/policies/rate-limits", self._client.workspace.by_id)

    def providers(self) -> list[Row]:
        """Providers and virtual keys, each once. Raises NotAllowedError when neither may be listed."""
        found: dict[str, Row] = {}
        refused: list[NotAllowedError] = []
        for right, path, params in (
            (PROVIDERS, "/providers", self._client.workspace.by_id),
            (VIRTUAL_KEYS, "/virtual-keys", {}),
        ):
            try:
                for row in self._once(right, path, params):
                    found.setdefault(str(row.get("slug")), row)
            except NotAllowedError as error:
                refused.append(error)
        if len(refused) > 1:
            raise refused[0]
        return list(found.values())

    def counters(self, policy: Row) -> list[Row]:
        """What counts against a usage policy, by value; no rows when it has been deleted meanwhile."""
        path = f"/policies/usage-limits/{quote(str(policy['id']), safe='')}"
        try:
            found = self._client.ask(USAGE_POLICIES, "GET", path, is_offered=True, params={"include_usage": "true"})
            counted = found.get("value_key_usage_map")
            if isinstance(counted, Mapping):
                return [{"value_key": key, **usage} for key, usage in counted.items() if isinstance(usage, Mapping)]
            # Without the map: the same without status.
            return self._client.rows(USAGE_POLICIES, f"{path}/entities")
        except ApiError as error:
            if error.status == 404:
                return []
            raise

    def _once(self, right: Right, path: str, *options: Any) -> list[Row]:
        if path not in self._found:
            try:
                self._found[path] = self._client.rows(right, path, *options)
            except NotAllowedError as error:
                self._found[path] = error
        found = self._found[path]
        if isinstance(found, UserError):
            raise found
        return found


def key_kind(keys: Iterable[Row], key: str) -> str | None:
    """The kind of a key, from the list of masked keys (`Xk*******S4`); None when it can't be told."""
    kinds = {str(row.get("type")) for row in keys if _is_mask(str(row.get("key") or ""), key)}
    return kinds.pop() if len(kinds) == 1 else None


def _is_mask(mask: str, key: str) -> bool:
    start, _, rest = mask.partition("*")
    end = rest.lstrip("*")
    return bool(start and end) and key.startswith(start) and key.endswith(end)


def api_key_row(key: Row) -> dict[str, Any]:
    """A row of `gateway__members`; without the key, of which the list has the ends."""
    user, workspace, organisation = (key.get(name) for name in ("user_id", "workspace_id", "organisation_id"))
    return {
        "member_type": "api_key",
        "member_id": key.get("id"),
        "name": key.get("name"),
        "status": key.get("status"),
        "owner_type": "user" if user else "workspace" if workspace else "organization",
        "owner_id": user or workspace or organisation,
        "workspace_id": workspace,
        "metadata": as_object(as_object(key.get("defaults")).get("metadata")),
        **_common(key),
    }


def workspace_row(workspace: Row) -> dict[str, Any]:
    """A row of `gateway__members`, under the name that logs call a workspace by."""
    return {
        "member_type": "workspace",
        "member_id": _workspace(workspace),
        "name": workspace.get("name"),
        "status": workspace.get("status"),
        "is_deleted": workspace.get("status") == "archived",
        "workspace_id": workspace.get("id"),
        "metadata": as_object(as_object(workspace.get("defaults")).get("metadata")),
        **_common(workspace),
    }


def user_row(user: Row) -> dict[str, Any]:
    """A row of `gateway__members`, under the id that logs call the owner of a key by."""
    name = " ".join(str(user[part]) for part in ("first_name", "last_name") if user.get(part))
    return {
        "member_type": "user",
        "member_id": user.get("id"),
        "name": name or None,
        "email": user.get("email"),
        "status": user.get("status"),
        **_common(user),
    }


def _common(row: Row) -> dict[str, Any]:
    return {
        "organization_id": row.get("organisation_id"),
        "created_at": row.get("created_at"),
        "updated_at": row.get("last_updated_at"),
        "expires_at": row.get("expires_at"),
        "raw": {name: value for name, value in row.items() if name not in ("key", "alert_emails")},
    }


def _workspace(row: Row) -> str:
    return str(row.get("slug") or row.get("id"))


def _listing(name: str, fmt: LogFormat, rows: Callable[[PortkeyLists], Iterable[Row]]) -> Listing:
    return Listing.of_rows(name, fmt, lambda api: rows(api.lists))


def _counted(lists: PortkeyLists) -> Iterator[Row]:
    for policy in lists.usage_policies():
        yield from policy_usage_rows(policy, lists.counters(policy))


def _of_keys(shape: Callable[[str, str, Row], Iterable[Row]]) -> Callable[[PortkeyLists], Iterator[Row]]:
    return lambda lists: (row for key in lists.api_keys() for row in shape("api_key", str(key.get("id")), key))


def _of_workspaces(shape: Callable[[str, str, Row], Iterable[Row]]) -> Callable[[PortkeyLists], Iterator[Row]]:
    return lambda lists: (row for each in lists.workspaces() for row in shape("workspace", _workspace(each), each))


def _of_providers(shape: Callable[[str, str, Row], Iterable[Row]]) -> Callable[[PortkeyLists], Iterator[Row]]:
    return lambda lists: (row for each in lists.providers() for row in shape("provider", str(each.get("slug")), each))


_MEMBERS, _LIMITS, _USAGE = (make("portkey") for make in (members_format, limits_format, limit_usage_format))

LISTINGS = (
    _listing("api_keys", _MEMBERS, lambda lists: map(api_key_row, lists.api_keys())),
    _listing("workspaces", _MEMBERS, lambda lists: map(workspace_row, lists.workspaces())),
    _listing("users", _MEMBERS, lambda lists: map(user_row, lists.users())),
    _listing("usage_policies", _LIMITS, lambda lists: map(usage_policy_row, lists.usage_policies())),
    _listing("usage_policy_counters", _USAGE, _counted),
    _listing("rate_policies", _LIMITS, lambda lists: map(rate_policy_row, lists.rate_policies())),
    _listing("api_key_limits", _LIMITS, _of_keys(held_limit_rows)),
    _listing("api_key_usage", _USAGE, _of_keys(held_usage_rows)),
    _listing("workspace_limits", _LIMITS, _of_workspaces(held_limit_rows)),
    _listing("workspace_usage", _USAGE, _of_workspaces(held_usage_rows)),
    _listing("provider_limits", _LIMITS, _of_providers(held_limit_rows)),
    _listing("provider_usage", _USAGE, _of_providers(held_usage_rows)),
)
"""Each as a list of its own, for a key may read one and not another."""
