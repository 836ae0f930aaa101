"""Anthropic's Admin API: holds calls, adds them up as its reports do, and refuses what Anthropic's documents refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault

ADMIN_KEY = "sk-ant-admin01-5b1e77d0c2"
ORDINARY_KEY = "sk-ant-api03-90ac41f3e8"
DEFAULT_WORKSPACE = "wrkspc_default"

_DESCRIPTION = Description("anthropic/legacy_reports.yaml")
_USAGE_DIMENSIONS = (
    *("actor", "actor_type", "agent_id", "api_key_id", "claude_tag_category", "claude_tag_user_id", "context_window"),
    *("deployment_id", "environment_id", "inference_geo", "model", "organization_id", "product", "rbac_group_id"),
    *("service_tier", "session_id", "slack_channel_id", "speed", "user_profile_id", "workspace_id"),
)
_COST_TYPES = ("cost_type", "token_type")
_OF_CONSOLE = ("api_key_id", "service_tier", "user_profile_id", "workspace_id")
_LEGACY_USAGE_DIMENSIONS = (
    *("account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id", "service_tier"),
    "workspace_id",
)
_BETA = "analytics-usage-cost-2026-08-24"
_DAY = timedelta(days=1)
_Groups = Iterable[tuple[dict[str, Any], list["Call"]]]


@dataclass
class Call:
    """Calls of a day that have everything in common. `costs`: cents by cost type and token type."""

    day: date
    tokens: tuple[int, int, int, int, int] = (100, 0, 0, 0, 50)
    """Uncached, cache read, cache writes of 5 minutes and of an hour, output."""
    costs: Mapping[tuple[str, str | None], str] = field(
        default_factory=lambda: {("tokens", "uncached_input_tokens"): "30", ("tokens", "output_tokens"): "75.5"}
    )
    requests: int = 1
    searches: int = 0
    group: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    """Tells actors apart that both read null."""
    discount: Decimal = Decimal(1)


@dataclass
class FakeAnthropic(FakeServer):
    """`refusals`: answers by path, whatever is asked. `page_size`: the most rows of a page of analytics.

    `is_enterprise`: an organisation whose Console dimensions are null, or refused with `refuses_dimensions`.
    `answers`: path and document of everything that was answered.
    """

    now: datetime = datetime(2026, 11, 3, 4, 30, tzinfo=UTC)
    calls: list[Call] = field(default_factory=list)
    claude_code: list[dict[str, Any]] = field(default_factory=list)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refusals: dict[str, Fault] = field(default_factory=dict)
    refreshed_at: str = "2026-11-03T04:00:00Z"
    page_size: int = 1000
    is_enterprise: bool = False
    refuses_dimensions: bool = False
    cursors_are_checked: bool = True
    changes: Callable[[str, Any], Any] = lambda path, document: document
    answers: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Any:
        key = ORDINARY_KEY if asked.path == "/v1/user_profiles" else ADMIN_KEY
        if asked.headers.get("x-api-key") != key:
            return _refused(401, "authentication_error", f"invalid x-api-key {asked.headers.get('x-api-key')}")
        if asked.headers.get("anthropic-version") != "2023-06-01":
            return self._wrong(asked, "anthropic-version: header is required")
        if asked.path in self.refusals:
            return self.refusals[asked.path]
        found = self._answer(asked)
        if not isinstance(found, Fault):
            found = self.changes(asked.path, found)
            self.answers.append((asked.path, found))
        return found

    def _answer(self, asked: Asked) -> Any:
        match asked.path.removeprefix("/v1/").removeprefix("organizations/"):
            case "analytics/usage":
                return self._analytics(asked, _USAGE_DIMENSIONS, self._usage_items)
            case "analytics/cost":
                return self._analytics(asked, (*_USAGE_DIMENSIONS, *_COST_TYPES), self._cost_items)
            case "usage_report/messages":
                return self._legacy(asked, _LEGACY_USAGE_DIMENSIONS, "MessagesUsageReport", self._legacy_usage)
            case "cost_report":
                return self._legacy(asked, ("workspace_id", "description"), "CostReport", self._legacy_costs)
            case "usage_report/claude_code":
                return self._claude_code(asked)
            case "api_keys" | "users" | "workspaces" as name:
                return self._after_id(asked, name)
            case "service_accounts" | "spend_limits/effective" | "user_profiles" as name:
                return self._by_cursor(asked, self._listed(asked, name), int(asked.query["limit"]), "list")
            case _:
                return _refused(404, "not_found_error", "Not found")

    def _wrong(self, asked: Asked, message: str) -> Fault:
        """A refusal of a question that must never be asked."""
        self.problems.append(f"{asked.path}: {message}")
        return _refused(400, "invalid_request_error", message)

    def _analytics(
        self, asked: Asked, dimensions: tuple[str, ...], items: Callable[[tuple[str, ...], date], list[dict[str, Any]]]
    ) -> Any:
        if _BETA not in asked.headers.get("anthropic-beta", ""):
            return self._wrong(asked, f"this endpoint needs the header anthropic-beta: {_BETA}")
        start, end = (datetime.fromisoformat(asked.query[name]) for name in ("starting_at", "ending_at"))
        group_by, limit = tuple(asked.all_of.get("group_by[]", ())), int(asked.query.get("limit", 20))
        counted = [name for name in group_by if name not in _COST_TYPES]
        if unknown := set(group_by) - set(dimensions):
            return self._wrong(asked, f"group_by: unknown {sorted(unknown)}")
        if len(counted) > 5:
            return self._wrong(asked, "group_by: at most 5 dimensions")
        if not 1 <= limit <= 1000:
            return self._wrong(asked, "limit: must be between 1 and 1000")
        if end <= start or end - start > 31 * _DAY:
            return self._wrong(asked, "range: may span at most 31 days")
        if start < max(datetime(2026, 1, 1, tzinfo=UTC), self.now - 365 * _DAY):
            return self._wrong(asked, "starting_at: must be within the last 365 days and no earlier than 2026-01-01")
        if asked.query.get("time_bucket_width") != "1d":
            return self._wrong(asked, "time_bucket_width: these tests have days only")
        if self.refuses_dimensions and set(group_by) & set(_OF_CONSOLE):
            return _refused(400, "invalid_request_error", "group_by: not available for this organization")
        rows = [item for day in _days(start, end) for item in items(group_by, day)]
        if asked.query.get("order_by") != "time":
            rows.sort(key=str)
        elif asked.query.get("order", "desc") == "desc":
            rows.reverse()
        found = self._by_cursor(asked, rows, min(limit, self.page_size), "page")
        return found if isinstance(found, Fault) else {**found, "data_refreshed_at": self.refreshed_at}

    def _usage_items(self, group_by: tuple[str, ...], day: date) -> list[dict[str, Any]]:
        return [
            {**_times(day), "group": _group(_USAGE_DIMENSIONS, group), "usage": {**_tokens(calls), **_counts(calls)}}
            for group, calls in self._grouped(group_by, day)
        ]

    def _cost_items(self, group_by: tuple[str, ...], day: date) -> list[dict[str, Any]]:
        rows = []
        by_type = any(name in group_by for name in _COST_TYPES)
        for group, calls in self._grouped(tuple(name for name in group_by if name not in _COST_TYPES), day):
            for (cost_type, token_type), found in _costs(calls, by_type=by_type).items():
                if group_by[-1:] == ("token_type",) and "cost_type" not in group_by and cost_type != "tokens":
                    continue  # by token type alone all other money is left out
                types = {"cost_type": cost_type, "token_type": token_type}
                told = {name: value for name, value in types.items() if name in group_by}
                cost = {
                    "amount": f"{found * calls[0].discount:f}",
                    "list_amount": f"{found:f}",
                    "currency": "USD",
                    "requests": None if by_type else sum(call.requests for call in calls),
                }
                rows.append(
                    {**_times(day), "group": _group((*_USAGE_DIMENSIONS, *_COST_TYPES), group | told), "cost": cost}
                )
        return rows

    def _grouped(self, group_by: tuple[str, ...], day: date) -> _Groups:
        """Calls of a day by what they have in common of some dimensions."""
        found: dict[str, tuple[dict[str, Any], list[Call]]] = {}
        for call in self.calls:
            if call.day == day:
                group = {name: self._value(call, name) for name in group_by}
                hidden = call.identity if "actor" in group_by else ""
                found.setdefault(f"{sorted(group.items())}{hidden}", (group, []))[1].append(call)
        return found.values()

    def _value(self, call: Call, name: str) -> Any:
        if self.is_enterprise and name in _OF_CONSOLE:
            return None
        return call.group.get(name, DEFAULT_WORKSPACE if name == "workspace_id" else None)

    def _legacy(
        self,
        asked: Asked,
        dimensions: tuple[str, ...],
        shape: str,
        results: Callable[[tuple[str, ...], date], list[dict[str, Any]]],
    ) -> Any:
        start, end = (datetime.fromisoformat(asked.query[name]) for name in ("starting_at", "ending_at"))
        group_by, limit = tuple(asked.all_of.get("group_by[]", ())), int(asked.query.get("limit", 7))
        if set(group_by) - set(dimensions) or asked.query.get("bucket_width") != "1d":
            return self._wrong(asked, "group_by or bucket_width is unknown")
        if len(group_by) > 5:
            return self._wrong(asked, "Cannot specify more than 5 group_by[] dimensions.")
        if not 1 <= limit <= 31:
            return self._wrong(asked, "limit: at most 31")
        if start.time() != end.time() or start.hour or end - start < _DAY:
            return self._wrong(asked, "Invalid date range: ending date must be after starting date")
        if len(group_by) == 5 and limit > 7:
            return self._wrong(asked, "too many results: ask for fewer days")
        buckets = [{**_times(day), "results": results(group_by, day)} for day in _days(start, end)]
        found = self._by_cursor(asked, buckets, limit, "page")
        if not isinstance(found, Fault):
            _DESCRIPTION.validate(found, shape)
        return found

    def _legacy_usage(self, group_by: tuple[str, ...], day: date) -> list[dict[str, Any]]:
        rows = []
        for group, calls in self._grouped(group_by, day):
            tokens = {name: value for name, value in _tokens(calls).items() if name != "total_tokens"}
            rows.append({**_group(_LEGACY_USAGE_DIMENSIONS, _of_legacy(group)), **tokens})
        return rows

    def _legacy_costs(self, group_by: tuple[str, ...], day: date) -> list[dict[str, Any]]:
        is_told = "description" in group_by
        of_description = ("model", "service_tier", "context_window", "inference_geo") if is_told else ()
        by_workspace = tuple(name for name in group_by if name == "workspace_id")
        rows = []
        for group, calls in self._grouped((*by_workspace, *of_description), day):
            for (cost_type, token_type), found in _costs(calls, by_type=is_told).items():
                rows.append(
                    {
                        "amount": f"{found * calls[0].discount:f}",
                        "currency": "USD",
                        **_group((*of_description, "workspace_id"), _of_legacy(group)),
                        **(
                            {}
                            if is_told
                            else dict.fromkeys(("model", "service_tier", "context_window", "inference_geo"))
                        ),
                        "cost_type": cost_type,
                        "token_type": token_type,
                        "description": f"{group['model']} Usage - {token_type or cost_type}" if is_told else None,
                    }
                )
        return rows

    def _claude_code(self, asked: Asked) -> Any:
        day, limit = date.fromisoformat(asked.query["starting_at"]), int(asked.query.get("limit", 20))
        if not 1 <= limit <= 1000:
            return self._wrong(asked, "limit: at most 1000")
        records = [record for record in self.claude_code if record["date"].startswith(day.isoformat())]
        found = self._by_cursor(asked, records, limit, "page")
        _DESCRIPTION.validate(found, "ClaudeCodeUsageReport")
        return found

    def _after_id(self, asked: Asked, name: str) -> Any:
        limit = int(asked.query.get("limit", 20))
        if not 1 <= limit <= 1000:
            return self._wrong(asked, "limit: at most 1000")
        rows = self._listed(asked, name)
        ids = [row["id"] for row in rows]
        start = ids.index(asked.query["after_id"]) + 1 if "after_id" in asked.query else 0
        page = rows[start : start + min(limit, self.page_size)]
        has_more = start + len(page) < len(rows)
        first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        return {"data": page, "has_more": has_more, "first_id": first, "last_id": last}

    def _listed(self, asked: Asked, name: str) -> list[dict[str, Any]]:
        has_archived = asked.query.get("include_archived") == "true"
        return [row for row in self.lists.get(name, []) if has_archived or not row.get("archived_at")]

    def _by_cursor(self, asked: Asked, rows: list[dict[str, Any]], limit: int, kind: str) -> Any:
        """A page of rows; its cursor belongs to the question."""
        if kind == "list" and limit > 100:
            return self._wrong(asked, "limit: at most 100")
        question = {name: values for name, values in asked.all_of.items() if name != "page"}
        mark = hashlib.sha256(repr((asked.path, sorted(question.items()))).encode()).hexdigest()[:12]
        start = 0
        if "page" in asked.query:
            start_text, _, of_question = asked.query["page"].partition(".")
            if of_question != mark and self.cursors_are_checked:
                return self._wrong(asked, "page: belongs to another query")
            start = int(start_text)
        end = start + limit
        has_more = end < len(rows)
        return {"data": rows[start:end], "has_more": has_more, "next_page": f"{end}.{mark}" if has_more else None}


def _refused(status: int, kind: str, message: str) -> Fault:
    return Fault(status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


FORBIDDEN = _refused(403, "permission_error", "This key lacks the scope read:analytics")
NOT_FOUND = _refused(404, "not_found_error", "Not found")


def _days(start: datetime, end: datetime) -> Iterable[date]:
    return (start.date() + number * _DAY for number in range((end - start) // _DAY))


def _times(day: date) -> dict[str, str]:
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day + _DAY}T00:00:00Z"}


def _group(names: Iterable[str], group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: group.get(name) for name in names}


def _of_legacy(group: Mapping[str, Any]) -> dict[str, Any]:
    """The older reports call the default workspace null."""
    return {name: None if value == DEFAULT_WORKSPACE else value for name, value in group.items()}


def _tokens(calls: list[Call]) -> dict[str, Any]:
    uncached, read, write_5m, write_1h, output = (sum(call.tokens[place] for call in calls) for place in range(5))
    return {
        "uncached_input_tokens": uncached,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": sum(call.searches for call in calls)},
        "total_tokens": uncached + read + write_5m + write_1h + output,
    }


def _counts(calls: list[Call]) -> dict[str, Any]:
    return {"requests": sum(call.requests for call in calls)}


def _costs(calls: list[Call], *, by_type: bool) -> dict[tuple[str | None, str | None], Decimal]:
    found: dict[tuple[str | None, str | None], Decimal] = {}
    for call in calls:
        for types, cents in call.costs.items():
            key: tuple[str | None, str | None] = types if by_type else (None, None)
            found[key] = found.get(key, Decimal(0)) + Decimal(cents)
    return found
