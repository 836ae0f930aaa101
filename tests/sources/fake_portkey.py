"""A Portkey that exports logs, adds them up and lists what it knows: it holds requests and its own answers to Portkey's
OpenAPI description.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

import jsonschema
import yaml

from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import ApiSource, Listing, Stream
from llm_spend.sources.portkey_api import REQUEST_LOGS, Portkey
from llm_spend.sources.portkey_client import PortkeyClient, Workspace

from .fake_server import Fault, Handler, listening

KEY = "pk-live-7f3c9a1b2d4e"
SIGNATURE = "5f2a77c0ffee"
ORGANISATION, WORKSPACE = UUID(int=1), UUID(int=2)

_FOLDER = Path(__file__).parents[1] / "fixtures" / "portkey"


@cache
def _validator(name: str, part: str) -> jsonschema.protocols.Validator:
    described = yaml.load((_FOLDER / f"{part}.openapi.yaml").read_bytes(), yaml.CSafeLoader)
    pointer = name.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    return jsonschema.Draft7Validator({"$ref": f"#/components/schemas/{pointer}", **described})


def validate(document: Any, name: str, part: str = "exports") -> None:
    """Raises jsonschema.ValidationError when a document is not what a part of the description says."""
    _validator(name, part).validate(document)


@dataclass
class FakePortkey:
    """Its logs, and how it behaves. `faults` by step or path are used up one a request, before it does its work."""

    logs: list[dict[str, Any]] = field(default_factory=list)
    most_rows: int = 50_000
    ends_included: bool = True
    polls: int = 1
    is_packed: bool = False
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    """How the next exports end; `success` when none is left."""
    content: Callable[[bytes], bytes] = lambda content: content
    """What becomes of a file on its way."""
    announced: Callable[[int], int] = lambda total: total
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows by path: `/api-keys`, `/policies/usage-limits`, ..."""
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id of a usage policy its counters by value, or none where a control plane has no such map."""
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By graph what its summary says beside or instead of what the logs add up to."""
    largest_page: int = 100
    is_paged: bool = True
    validates: bool = True
    """Whether answers are held to the description, which knows less than Portkey at times."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Paths of lists and analytics that were asked for, with their parameters."""
    steps: list[str] = field(default_factory=list)
    windows: list[tuple[str, str]] = field(default_factory=list)
    seen_headers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    address: str = ""
    problems: list[str] = field(default_factory=list)
    """Requests that break the description: a test must end without any."""
    _exports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def create(self, body: dict[str, Any]) -> Any:
        try:
            validate(body, "CreateExportRequest")
        except jsonschema.ValidationError as error:
            self.problems.append(error.message)
            return Fault(400, {"success": False, "data": {"message": error.message}})
        filters = body["filters"]
        start, end = filters["time_of_generation_min"], filters["time_of_generation_max"]
        self.windows.append((start, end))
        rows = [row for row in self.logs if self._is_between(start, row["created_at"], end)]
        if "weighted_feedback_min" in filters:
            least, most = filters["weighted_feedback_min"], filters["weighted_feedback_max"]
            rows = [row for row in rows if least <= row.get("_feedback", 11) <= most]
        identifier = str(uuid4())
        self._exports[identifier] = {"body": body, "rows": rows[: self.most_rows], "status": "draft", "polls": 0}
        return {"id": identifier, "total": self.announced(min(len(rows), self.most_rows)), "object": "export"}

    def _is_between(self, start: str, moment: str, end: str) -> bool:
        moment = moment.replace(" ", "T").removesuffix("Z") + "Z"
        return start <= moment <= end if self.ends_included else start < moment < end

    def start(self, identifier: str) -> Any:
        export = self._exports[identifier]
        if export["status"] != "draft":
            return Fault(400, {"success": False, "data": {"message": "Export has been started"}})
        export["status"] = "in_progress"
        export["end"] = self.states.pop(0) if self.states else "success"
        return {"message": "Export started", "object": "export"}

    def state(self, identifier: str) -> Any:
        export = self._exports[identifier]
        if export["status"] == "in_progress":
            export["polls"] += 1
            if export["polls"] > self.polls:
                export["status"] = export["end"]
        moment = "2026-11-20T00:00:00.000Z"
        return {
            "id": identifier,
            "organisation_id": str(ORGANISATION),
            "filters": export["body"]["filters"],
            "requested_data": export["body"]["requested_data"],
            "status": export["status"],
            "description": "",
            "created_at": moment,
            "last_updated_at": moment,
            "created_by": str(ORGANISATION),
            "workspace_id": export["body"].get("workspace_id", str(WORKSPACE)),
            "object": "export",
        }

    def download(self, identifier: str) -> Any:
        if self._exports[identifier]["status"] != "success":
            return Fault(400, {"success": False, "data": {"message": "Export is not ready"}})
        return {"signed_url": f"{self.address}/files/{identifier}?X-Amz-Signature={SIGNATURE}&sig={SIGNATURE}"}

    def file(self, identifier: str) -> bytes:
        export = self._exports[identifier]
        wanted = export["body"]["requested_data"]
        rows = [{name: row.get(name) for name in [*wanted, *row.get("_extra", [])]} for row in export["rows"]]
        content = self.content("".join(json.dumps(row) + "\n" for row in rows).encode())
        return gzip.compress(content) if self.is_packed else content

    def graph(self, name: str, params: dict[str, str]) -> Any:
        trace = params.get("trace_id")
        rows = [row for row in self._of(params) if trace is None or row.get("trace_id") == trace]
        scores = [row["_feedback"] for row in rows if "_feedback" in row]
        summary = {
            "requests": {"total": len(rows)},
            "cost": {"total": sum(row["cost"] for row in rows), "avg": 0},
            "tokens": {"total": sum(row["total_units"] for row in rows), "avg": 0},
            "errors": {"total": sum(not row["is_success"] for row in rows)},
            "cache/hit-rate": {"total": sum(row.get("cache_status") == "HIT" for row in rows), "rate": 0},
            "feedbacks": {"total": len(scores)},
            "feedbacks/weighted": {"avg": sum(scores) / len(scores) if scores else 0},
        }[name]
        return {"summary": {**summary, **self.summaries.get(name, {})}, "data_points": [], "object": "analytics-graph"}

    def group(self, name: str, params: dict[str, str]) -> list[dict[str, Any]]:
        kind, _, key = name.partition("/")
        members = {
            "users": lambda row: row["metadata"].get("_user"),
            "ai-models": lambda row: row["ai_model"],
            "metadata": lambda row: row["metadata"].get(unquote(key)),
        }[kind]
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in self._of(params):
            if (member := members(row)) is not None:
                groups.setdefault(member, []).append(row)
        return [_group(kind, member, rows) for member, rows in groups.items()]

    def _of(self, params: dict[str, str]) -> list[dict[str, Any]]:
        missing = {"workspace_slug", "time_of_generation_min", "time_of_generation_max"} - params.keys()
        if missing:
            self.problems.append(f"analytics without {sorted(missing)}")
        start, end = (params[f"time_of_generation_{end}"].replace("+00:00", "Z") for end in ("min", "max"))
        return [row for row in self.logs if start <= row["created_at"].replace(" ", "T").removesuffix("Z") + "Z" <= end]

    def page(self, path: str, rows: list[dict[str, Any]], params: dict[str, str]) -> Any:
        names = ("currentPage", "pageSize") if path == "/admin/users" else ("current_page", "page_size")
        size = min(int(params.pop(names[1])), self.largest_page)
        start = size * int(params.pop(names[0])) if self.is_paged else 0
        return {"object": "list", "total": self.announced(len(rows)), "data": rows[start : start + size]}

    def describe(self, path: str, params: dict[str, str]) -> tuple[Any, str]:
        """The answer to a list or analytics, and the name of its schema."""
        match [part for part in path.split("/") if part]:
            case ["analytics", "graphs", *name]:
                return self.graph("/".join(name), params), path
            case ["analytics", "groups", *name]:
                found = self.page(path, self.group("/".join(name), params), params)
                return found, "/analytics/groups/metadata/{metadataKey}" if name[0] == "metadata" else path
            case ["policies", "usage-limits", policy]:
                found = next(row for row in self.lists["/policies/usage-limits"] if row["id"] == policy)
                counted = self.usage.get(policy)
                return {**found, **({"value_key_usage_map": counted} if counted else {})}, "UsageLimitsPolicy"
            case ["policies", "usage-limits", policy, "entities"]:
                rows = self.lists[f"/policies/usage-limits/{policy}/entities"]
                return self.page(path, rows, params), "UsageLimitsPolicyEntityListResponse"
            case _:
                return self.page(path, self.lists.get(path, []), params), _LISTS[path]


def _group(kind: str, member: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    cost = sum(row["cost"] for row in rows)
    match kind:
        case "users":
            return {"user": member, "requests": str(len(rows)), "cost": str(cost), "object": "analytics-group"}
        case "ai-models":
            return {"ai_model": member, "requests": str(len(rows)), "object": "analytics-group"}
    scores = [row["_feedback"] for row in rows if "_feedback" in row]
    return {
        "metadata_value": member,
        "requests": len(rows),
        "cost": cost,
        "avg_tokens": sum(row["total_units"] for row in rows) / len(rows),
        "avg_weighted_feedback": sum(scores) / len(scores) if scores else 0,
        "requests_with_feedback": len(scores),
        "last_seen": max(row["created_at"] for row in rows),
        "object": "analytics-group",
    }


_LISTS = {
    "/api-keys": "ApiKeyObjectList",
    "/admin/workspaces": "WorkspaceList",
    "/admin/users": "UserList",
    "/policies/usage-limits": "UsageLimitsPolicyListResponse",
    "/policies/rate-limits": "RateLimitsPolicyListResponse",
    "/providers": "ProviderList",
    "/virtual-keys": "VirtualKeyList",
}

_ANSWERS = {
    "create": "UpdateExportResponse",
    "start": "ExportTaskResponse",
    "cancel": "ExportTaskResponse",
    "state": "ExportItem",
    "download": "DownloadLogsResponse",
    "list": "ExportListResponse",
}


def _handler(portkey: FakePortkey) -> type[Handler]:
    class OfPortkey(Handler):
        def reply(self) -> None:
            body = self.content()
            path = urlsplit(self.path)
            parts = [part for part in path.path.split("/") if part]
            step = self._step(parts)
            if step in ("graph", "group", "listing"):
                params = {name: values[0] for name, values in parse_qs(path.query).items()}
                portkey.asked.append((path.path.removeprefix("/v1"), params))
            else:
                portkey.steps.append(step)
            portkey.seen_headers.append((step, dict(self.headers.items())))
            if faults := portkey.faults.get(path.path) or portkey.faults.get(step):
                self.fail(faults.pop(0))
                return
            if step == "file":
                if SIGNATURE not in path.query:
                    self.send(403, {"message": "no signature"})
                    return
                self.send(200, portkey.file(parts[1]))
                return
            if self.headers.get("x-portkey-api-key") != KEY:
                self.send(401, {"success": False, "data": {"message": "Invalid API Key"}})
                return
            self._answer_step(step, parts, body)

        def _step(self, parts: list[str]) -> str:
            match self.command, parts:
                case "GET", ["files", _]:
                    return "file"
                case "GET", ["v1", "logs", "exports"]:
                    return "list"
                case "POST", ["v1", "logs", "exports"]:
                    return "create"
                case "GET", ["v1", "logs", "exports", _]:
                    return "state"
                case _, ["v1", "logs", "exports", _, action]:
                    return action
                case "GET", ["v1", "analytics", "graphs" | "groups" as kind, *_]:
                    return kind.removesuffix("s")
                case "GET", ["v1", "api-keys" | "admin" | "policies" | "providers" | "virtual-keys", *_]:
                    return "listing"
                case _:
                    return "unknown"

        def _answer_step(self, step: str, parts: list[str], body: bytes) -> None:
            match step:
                case "create":
                    found = portkey.create(json.loads(body))
                case "list":
                    found = {"object": "list", "total": 0, "data": []}
                case "start" | "state" | "download":
                    found = getattr(portkey, step)(parts[3])
                case "cancel":
                    found = {"message": "Export cancelled", "object": "export"}
                case "graph" | "group" | "listing":
                    asked, params = portkey.asked[-1]
                    found, name = portkey.describe(asked, dict(params))
                    if portkey.validates:
                        validate(found, name, "lists")
                    self.send(200, found)
                    return
                case _:
                    portkey.problems.append(f"{self.command} {self.path} is not in the description")
                    found = Fault(404, {"message": "not found"})
            if isinstance(found, Fault):
                self.fail(found)
                return
            validate(found, _ANSWERS[step])
            self.send(200, found)

    return OfPortkey


@contextmanager
def serving(portkey: FakePortkey) -> Iterator[FakePortkey]:
    """The server at `address` until the block ends."""
    with listening(_handler(portkey)) as portkey.address:
        yield portkey


def source_of(
    portkey: FakePortkey,
    streams: tuple[Stream, ...] = (REQUEST_LOGS,),
    listings: tuple[Listing, ...] = (),
    **options: Any,
) -> ApiSource:
    """Our source, asking this Portkey; `options` are those of its client."""

    @contextmanager
    def opened(instance: str) -> Iterator[Portkey]:
        with ApiClient("Portkey", f"{portkey.address}/v1", {"x-portkey-api-key": KEY}, **options) as http:
            yield Portkey(PortkeyClient(http, Workspace("ws-1", "ws-1")), KEY, ("team",))

    return ApiSource("portkey", opened, streams, listings)
