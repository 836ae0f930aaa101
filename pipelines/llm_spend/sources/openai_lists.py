"""Projects, people, keys and spend limits of an OpenAI organization.

There is no list of all keys: each project has its own, and a project that is archived may refuse to tell. A spend
limit is in cents, while costs are in dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiError
from llm_spend.readers.api.source import Listing, NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import amount, as_object, without
from llm_spend.readers.records import LogFormat
from llm_spend.sources.openai_client import OpenAIClient, Right, Row
from llm_spend.sources.shared_tables import limits_format, members_format

PROJECTS = Right("list projects")
USERS = Right("list users")
API_KEYS = Right("list the API keys of projects")
SERVICE_ACCOUNTS = Right("list the service accounts of projects")
ADMIN_KEYS = Right("list admin keys")
SPEND_LIMITS = Right("read spend limits")

_PATH = "/v1/organization"
_ENDS_OF_KEY, _FACE = "redacted_value", "picture"
# They move with every request, and a list is loaded again when it has changed.
_MOVING = ("last_used_at", "api_key_last_used_at")
_LEFT_OUT = frozenset({_ENDS_OF_KEY, _FACE, *_MOVING})
_NOT_THERE = (404, 405)


class OpenAILists:
    """The lists of one organization. `warnings` gathers what somebody should know of them."""

    def __init__(self, client: OpenAIClient) -> None:
        self.warnings: list[str] = []
        self._client = client
        self._projects: list[Row] | None = None

    def projects(self) -> list[Row]:
        if self._projects is None:
            self._projects = self._listed(PROJECTS, "/projects", include_archived="true")
        return self._projects

    def users(self) -> list[Row]:
        return self._listed(USERS, "/users")

    def admin_keys(self) -> list[Row]:
        return self._listed(ADMIN_KEYS, "/admin_api_keys")

    def service_accounts(self) -> Iterator[tuple[str, Row]]:
        """Each with the id of its project."""
        yield from self._of_projects(SERVICE_ACCOUNTS, "service_accounts", {})

    def api_keys(self) -> Iterator[tuple[str, Row]]:
        """Each with the id of its project; those of owners who have left it, too."""
        yield from self._of_projects(API_KEYS, "api_keys", {"owner_project_access": "any"})

    def spend_limits(self) -> Iterator[tuple[str | None, Row]]:
        """Each with the id of its project, None for that of the organization."""
        if (limit := self._found(SPEND_LIMITS, "/spend_limit")) is not None:
            yield None, limit
        for project in self.projects():
            path = f"/projects/{quote(str(project.get('id')), safe='')}/spend_limit"
            if not is_archived(project) and (limit := self._found(SPEND_LIMITS, path)) is not None:
                yield str(project.get("id")), limit

    def tried(self) -> Iterator[tuple[str, bool]]:
        """What the lists are of, each with whether it can be read."""
        tries: dict[str, Callable[[], Any]] = {
            "projects": self.projects,
            "users": lambda: self._first(USERS, "/users"),
            "API keys": lambda: self._first_of_project(API_KEYS, "api_keys"),
            "service accounts": lambda: self._first_of_project(SERVICE_ACCOUNTS, "service_accounts"),
            "admin keys": lambda: self._first(ADMIN_KEYS, "/admin_api_keys"),
            "spend limits": lambda: self._found(SPEND_LIMITS, "/spend_limit"),
        }
        for what, attempt in tries.items():
            try:
                attempt()
            except NotAllowedError:
                yield what, False
            else:
                yield what, True

    def _first(self, right: Right, path: str) -> None:
        try:
            self._client.ask(right, f"{_PATH}{path}", {"limit": 1})
        except ApiError as error:
            raise _not_offered(error) from None

    def _first_of_project(self, right: Right, what: str) -> None:
        for project in self.projects():
            if not is_archived(project):
                self._first(right, f"/projects/{quote(str(project.get('id')), safe='')}/{what}")
                return

    def _of_projects(self, right: Right, what: str, params: Mapping[str, str]) -> Iterator[tuple[str, Row]]:
        silent = []
        # Those in use first: their refusal means that the key may not, that of an archived one does not.
        for project in sorted(self.projects(), key=is_archived):
            identifier = str(project.get("id"))
            path = f"{_PATH}/projects/{quote(identifier, safe='')}/{what}"
            try:
                rows = self._client.listed(right, path, params)
            except UserError as error:
                if is_archived(project) and (
                    isinstance(error, NotAllowedError) or _status(error) in (400, *_NOT_THERE)
                ):
                    silent.append(identifier)
                    continue
                if _status(error) not in _NOT_THERE:
                    raise
                rows = []  # deleted since the projects were listed
            yield from ((identifier, row) for row in rows)
        if silent:
            self.warnings.append(
                f"Archived projects that don't list their {what.replace('_', ' ')}: {len(silent):,}, {silent[0]} among"
                " them. What was loaded of them before stays."
            )

    def _listed(self, right: Right, path: str, **params: str) -> list[Row]:
        try:
            return self._client.listed(right, f"{_PATH}{path}", params)
        except ApiError as error:
            raise _not_offered(error) from None

    def _found(self, right: Right, path: str) -> Row | None:
        """A single object; None where there is none."""
        try:
            return self._client.ask(right, f"{_PATH}{path}", {})
        except ApiError as error:
            if error.status in _NOT_THERE:
                return None
            raise


def is_archived(project: Row) -> bool:
    return project.get("status") == "archived" or project.get("archived_at") is not None


def project_row(project: Row) -> dict[str, Any]:
    """A row of `gateway__members`."""
    return {
        "member_type": "project",
        "status": project.get("status"),
        "deleted_at": _moment(project.get("archived_at")),
        **_member(project),
        "is_deleted": is_archived(project),
    }


def user_row(user: Row) -> dict[str, Any]:
    """A row of `gateway__members`; name and e-mail are in one of two places."""
    inner = user.get("user")
    details: Row = inner if isinstance(inner, Mapping) else {}
    projects = user.get("projects")
    listed = projects.get("data") if isinstance(projects, Mapping) else None
    return {
        **_member(user),
        "member_type": "user",
        "name": user.get("name") or details.get("name"),
        "email": user.get("email") or details.get("email"),
        "created_at": _moment(user.get("added_at")),
        "metadata": {"role": user["role"]} if user.get("role") else None,
        "team_ids": [each["id"] for each in listed if each.get("id")] if isinstance(listed, list) else None,
    }


def service_account_row(project: str, account: Row) -> dict[str, Any]:
    """A row of `gateway__members`."""
    return {"member_type": "service_account", "workspace_id": project, **_member(account)}


def api_key_row(project: str, key: Row) -> dict[str, Any]:
    """A row of `gateway__members`; without the key, of which the list has the ends."""
    owner = as_object(key.get("owner"))
    kind = owner.get("type")
    return {
        "member_type": "api_key",
        "status": key.get("owner_project_access"),
        "owner_type": kind,
        "owner_id": as_object(owner.get(str(kind))).get("id"),
        "workspace_id": project,
        **_member(key),
    }


def admin_key_row(key: Row) -> dict[str, Any]:
    """A row of `gateway__members`; such a key calls no model."""
    owner = as_object(key.get("owner"))
    return {"member_type": "admin_key", "owner_type": owner.get("type"), "owner_id": owner.get("id"), **_member(key)}


def limit_row(project: str | None, limit: Row) -> dict[str, Any]:
    """A row of `gateway__limits` from the spend limit of a project, or of the organization (None)."""
    kind = "project" if project else "organization"
    enforcing = as_object(limit.get("enforcement")).get("status")
    return {
        "limit_id": f"project:{project}:spend" if project else "organization:spend",
        "limit_kind": "budget",
        "scope_type": kind,
        "scope": {"project": project} if project else {},
        "counter_keys": [kind],
        "measure": "cost",
        "limit_value": amount(limit.get("threshold_amount")),
        "limit_unit": _CENTS.get(str(limit.get("currency")).upper()),
        "window_unit": limit.get("interval"),
        "window_length": 1,
        "window_anchor": "first" if limit.get("interval") == "month" else None,
        "enforcement": "enforce",
        "evaluation": "all_match",
        "alert_thresholds": [],
        "status": _LIMIT_STATUSES.get(str(enforcing), enforcing),
        "raw": limit,
    }


_CENTS = {"USD": "us_cent"}
# Whether it blocks requests now, and not whether it is switched on.
_LIMIT_STATUSES = {"inactive": "active", "enforcing": "exhausted"}


def _member(row: Row) -> dict[str, Any]:
    return {
        "member_id": row.get("id"),
        "name": row.get("name"),
        "created_at": _moment(row.get("created_at")),
        "expires_at": _moment(row.get("expires_at")),
        "raw": without(row, _LEFT_OUT),
    }


def _moment(seconds: Any) -> Any:
    """ISO text of an epoch in seconds; what is none stays, for the reader to say so."""
    if not isinstance(seconds, int):
        return seconds
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _status(error: UserError) -> int | None:
    return error.status if isinstance(error, ApiError) else None


def _not_offered(error: ApiError) -> UserError:
    return NotAllowedError(error.problem, "All else is loaded.") if error.status in _NOT_THERE else error


def _listing(name: str, fmt: LogFormat, rows: Callable[[OpenAILists], Iterable[Row]]) -> Listing:
    def fetch(api: Any, spool: Spool) -> None:
        lists: OpenAILists = api.lists
        spool.add_rows(list(rows(lists)))
        spool.warnings += lists.warnings
        lists.warnings.clear()

    return Listing(name, fmt, fetch)


_MEMBERS, _LIMITS = members_format("openai"), limits_format("openai")

LISTINGS = (
    _listing("projects", _MEMBERS, lambda lists: map(project_row, lists.projects())),
    _listing("users", _MEMBERS, lambda lists: map(user_row, lists.users())),
    _listing(
        "service_accounts", _MEMBERS, lambda lists: (service_account_row(*each) for each in lists.service_accounts())
    ),
    _listing("api_keys", _MEMBERS, lambda lists: (api_key_row(*each) for each in lists.api_keys())),
    _listing("admin_keys", _MEMBERS, lambda lists: map(admin_key_row, lists.admin_keys())),
    _listing("spend_limits", _LIMITS, lambda lists: (limit_row(*each) for each in lists.spend_limits())),
)
"""Each as a list of its own, for a key may read one and not another."""
