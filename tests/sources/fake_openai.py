"""An OpenAI: adds up what an organization did, as its reports are asked to, and holds questions to the description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from .fake_server import Asked, Description, FakeServer, Fault

KEY = "sk-admin-4e1f9b6a0c"
PROJECT_KEY = "sk-proj-7d20"
KEYS_SINCE = 1764979200

_DESCRIPTION = Description("openai/admin.yaml")
_ROOT = "/v1/organization"
_DAY = 86400
_DIMENSIONS = {
    *("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source", "line_item"),
    *("size", "source", "vector_store_id", "context_level"),
}
_OBJECTS = {
    "/projects": "Project",
    "/users": "OrganizationUser",
    "/admin_api_keys": "AdminAPIKey",
    "/projects/{id}/api_keys": "ProjectAPIKey",
    "/projects/{id}/service_accounts": "ProjectServiceAccount",
    "/spend_limit": "OrganizationSpendLimit",
    "/projects/{id}/spend_limit": "ProjectSpendLimit",
}


def epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def refusal(status: int, message: str, param: str | None = None, code: str | None = None) -> Fault:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Fault(status, {"error": error})


@dataclass
class FakeOpenAI(FakeServer):
    """`done`: by report, what happened on a day, as finely as it is known. `lists`: by path the rows, or an object.

    `missing`: paths that there are not; `forbidden`: paths that the key may not read. `ungrouped`: dimensions of costs
    or usage that it does not group by here. `told_since`: before that it tells of nothing. `days_of_page`: as many as
    it puts on a page whatever is asked for, `members_of_page` of a list. `answers`: all that it
    gave, with the path each.
    """

    done: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lists: dict[str, Any] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    ungrouped: set[str] = field(default_factory=set)
    told_since: date = date(2020, 1, 1)
    days_of_page: int = 1000
    members_of_page: int = 1000
    amounts_are_text: bool = False
    answers: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Any:
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        path = asked.path.removeprefix(_ROOT)
        if key == PROJECT_KEY or path in self.forbidden:
            return refusal(403, "You have insufficient permissions for this operation. Missing scopes: api.usage.read.")
        if key != KEY:
            return refusal(401, f"Incorrect API key provided: {key}.", code="invalid_api_key")
        if path in self.missing:
            return refusal(404, f"Invalid URL (GET {asked.path})")
        template = re.sub("/projects/[^/]+/", "/projects/{id}/", path)
        if problems := _DESCRIPTION.problems_of(asked.query, f"{_ROOT}{template}"):
            self.problems += problems
            return refusal(400, problems[0])
        found = self._listed(path, template, asked) if template in _OBJECTS else self._report(path, asked)
        if not isinstance(found, Fault):
            self.answers.append((template, found))
            found = Fault(200, fake_json(found))
        return found

    def _report(self, path: str, asked: Asked) -> Any:
        name = path.rpartition("/")[2]
        start, end = int(asked.query["start_time"]), int(asked.query["end_time"])
        most = 180 if name == "costs" else 31
        limit, groups = int(asked.query.get("limit", 7)), asked.all_of.get("group_by", [])
        if limit > most:
            return refusal(
                400, f"Invalid limit provided: {limit}. Limit must be less than or equal to {most}.", "limit"
            )
        for group in groups:
            if _DESCRIPTION.problems_of({"group_by": group}, asked.path) or group in self.ungrouped:
                return refusal(400, f"Grouping by {group} is not supported.", "group_by")
        if name == "costs" and "api_key_id" in groups and start < KEYS_SINCE:
            return refusal(400, f"start_time must be at least {KEYS_SINCE} to group by api_key_id.", "start_time")
        if start < epoch(self.told_since):
            message = "Usage and cost data are available for the past year."
            return refusal(400, message, "start_time", "reporting_lookback_exceeded")
        rest = {key: value for key, value in asked.all_of.items() if key != "page"}
        binding = f"{crc32(repr(sorted(rest.items())).encode()):x}"
        first, _, of = asked.query.get("page", f"0-{binding}").partition("-")
        if of != binding:
            return refusal(400, "The page does not belong to this query.", "page")
        days = range(start - start % _DAY, end, _DAY)
        size = min(limit, self.days_of_page)
        page = days[int(first) : int(first) + size]
        has_more = int(first) + size < len(days)
        buckets = [
            {"object": "bucket", "start_time": day, "end_time": day + _DAY, "results": self._results(name, day, groups)}
            for day in page
        ]
        following = f"{int(first) + size}-{binding}" if has_more else None
        return {"object": "page", "data": buckets, "has_more": has_more, "next_page": following}

    def _results(self, name: str, day: int, groups: Iterable[str]) -> list[dict[str, Any]]:
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        asked = tuple(groups)
        for done in self.done.get(name, []):
            if epoch(done["day"]) == day:
                key = tuple(done.get(group) for group in asked)
                found[key] = _added(found.get(key), done, asked)
        rows = [_result(name, row, asked) for row in found.values()]
        for row in rows:
            _DESCRIPTION.validate(row, name)
            if self.amounts_are_text and "amount" in row:
                row["amount"]["value"] = str(row["amount"]["value"])
        return rows

    def _listed(self, path: str, template: str, asked: Asked) -> Any:
        found = self.lists.get(path)
        if isinstance(found, Fault):
            return found
        if template.endswith("spend_limit"):
            if found is None:
                return refusal(404, "No spend limit is set.")
            _DESCRIPTION.validate(found, _OBJECTS[template])
            return found
        rows = list(found or [])
        if asked.query.get("include_archived") != "true":
            rows = [row for row in rows if row.get("status") != "archived"]
        for row in rows:
            _DESCRIPTION.validate(row, _OBJECTS[template])
        ids = [row["id"] for row in rows]
        start = ids.index(asked.query["after"]) + 1 if "after" in asked.query else 0
        size = min(int(asked.query.get("limit", 20)), self.members_of_page)
        page = rows[start : start + size]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return {"object": "list", "data": page, "has_more": start + size < len(rows), **ends}


def _added(row: Mapping[str, Any] | None, done: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Any]:
    """What was done so far in a group and what was done besides."""
    if row is None:
        return dict(done)
    sums = {
        name: (row[name] or 0) + value
        for name, value in done.items()
        if name not in groups and isinstance(value, int | Decimal) and not isinstance(value, bool)
    }
    return {**row, **sums}


def _result(name: str, row: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Any]:
    """A row as it is answered: dimensions that are not asked for are null."""
    hidden = _DIMENSIONS - set(groups) | (set() if "line_item" in groups else {"quantity", "quantity_unit"})
    kept = {key: None if key in hidden else value for key, value in row.items() if key not in ("day", "value")}
    if name == "costs":
        value, currency = row["value"], kept.pop("currency", None)
        kept["amount"] = {"value": value, "currency": currency} if currency else {"value": value}
    called = {"file_search_calls": "file_searches", "web_search_calls": "web_searches"}.get(name, name)
    return {"object": f"organization.{'' if name == 'costs' else 'usage.'}{called}.result", **kept}


def fake_json(document: Any) -> bytes:
    """JSON in which a Decimal is a number with all of its digits."""
    text = json.dumps(document, default=lambda value: f"@{value}@")
    return re.sub(r'"@(-?[0-9.E+-]+)@"', r"\1", text).encode()
