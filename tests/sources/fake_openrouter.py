"""An OpenRouter: holds activity and who is there, and its own answers to the description in its SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault
from .fake_sums import added

KEY = "sk-or-v1-6ab0c94e1f"

_DESCRIPTION = Description("openrouter/activity.yaml")
_SUMS = (
    "usage",
    "byok_usage_inference",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
)
_LISTS = {"/api/v1/keys": "keys", "/api/v1/workspaces": "workspaces", "/api/v1/organization/members": "members"}
_PAGE = 2

Row = dict[str, Any]


def activity(model: str, endpoint: str = "e-1", day: str = "2026-11-02", **fields: Any) -> Row:
    """What calls of a day were; `api_key_hash` and `workspace_id` are what it can be asked by."""
    return {
        "date": day,
        "model": model,
        "model_permaslug": f"{model}-2026",
        "endpoint_id": endpoint,
        "provider_name": "OpenAI",
        "usage": 0.1,
        "byok_usage_inference": 0,
        "requests": 2,
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "reasoning_tokens": 10,
        "cached_tokens": 40,
        **fields,
    }


def key(name: str, **fields: Any) -> Row:
    return {
        "hash": f"hash-{name}",
        "name": name,
        "label": "sk-or-v1-abc...123",
        "disabled": False,
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "usage": 12.5,
        "usage_daily": 0.5,
        "usage_weekly": 2.5,
        "usage_monthly": 12.5,
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "creator_user_id": "user-1",
        "external_user": None,
        "workspace_id": "w-1",
        "created_at": "2026-01-05T10:00:00.000Z",
        "updated_at": None,
        "last_used_at": "2026-11-20T10:00:00Z",
        **fields,
    }


def workspace(identifier: str, **fields: Any) -> Row:
    return {
        "id": identifier,
        "name": f"Workspace {identifier}",
        "slug": identifier,
        "description": None,
        "created_at": "2026-01-01T00:00:00.000Z",
        "created_by": "user-1",
        "updated_at": None,
        "default_guardrail_id": "g-1",
        "default_image_model": None,
        "default_provider_sort": None,
        "default_text_model": None,
        "io_logging_api_key_ids": None,
        "io_logging_sampling_rate": 1,
        "is_data_discount_logging_enabled": False,
        "is_observability_broadcast_enabled": False,
        "is_observability_io_logging_enabled": False,
        **fields,
    }


def member(identifier: str, **fields: Any) -> Row:
    return {
        "id": identifier,
        "email": f"{identifier}@example.com",
        "first_name": "Ada",
        "last_name": None,
        "role": "org:member",
        **fields,
    }


@dataclass
class FakeOpenRouter(FakeServer):
    """`oldest`: the first day that it still tells of. `knows_workspaces`: activity can be asked by workspace."""

    activity: list[Row] = field(default_factory=list)
    oldest: str = "2026-11-01"
    keys: list[Row] = field(default_factory=list)
    workspaces: list[Row] = field(default_factory=lambda: [workspace("w-1")])
    members: list[Row] = field(default_factory=list)
    credits: Row = field(default_factory=lambda: {"total_credits": 100, "total_usage": 12.5})
    knows_workspaces: bool = True
    refused: dict[str, int] = field(default_factory=dict)
    """By path, the status that it is refused with."""

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Fault(401, {"error": {"code": 401, "message": f"No auth: {asked.headers.get('authorization')}"}})
        if status := self.refused.get(asked.path):
            return _fault(status, "Only management keys can perform this operation")
        if problems := _DESCRIPTION.problems_of(asked.query, asked.path):
            self.problems += problems
            return _fault(400, problems[0])
        if asked.path == "/api/v1/credits":
            return {"data": self.credits}
        if name := _LISTS.get(asked.path):
            return self._listed(name, asked.query)
        return self._activity(asked.query)

    def _activity(self, query: Mapping[str, str]) -> Any:
        if query["date"] < self.oldest:
            return _fault(400, "Date must be within the last 30 days")
        if "group_by" in query and not self.knows_workspaces:
            return _fault(400, "Unrecognized key: group_by")
        rows = [row for row in self.activity if row["date"].startswith(query["date"])]
        if wanted := query.get("api_key_hash"):
            rows = [row for row in rows if row.get("api_key_hash") == wanted]
        found = {"data": added((_told(row, with_workspace="group_by" in query) for row in rows), _SUMS)}
        _DESCRIPTION.validate(found, "ActivityResponse")
        return found

    def _listed(self, name: str, query: Mapping[str, str]) -> Any:
        rows: list[Row] = getattr(self, name)
        if name == "keys":
            place = query.get("workspace_id", "w-1")
            rows = [row for row in rows if row["workspace_id"] == place]
            rows = [row for row in rows if query.get("include_disabled") == "true" or not row["disabled"]]
        start = int(query.get("offset", 0))
        found: Row = {"data": rows[start : start + _PAGE]}
        return found if name == "keys" else found | {"total_count": len(rows)}


def _told(row: Row, *, with_workspace: bool) -> Row:
    told = {name: value for name, value in row.items() if name not in ("api_key_hash", "workspace_id")}
    return told | {"workspace_id": row.get("workspace_id", "w-1")} if with_workspace else told


def _fault(status: int, message: str) -> Fault:
    return Fault(status, {"error": {"code": status, "message": message}})
