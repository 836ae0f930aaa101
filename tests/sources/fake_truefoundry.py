"""A control plane of TrueFoundry: holds requests and its own answers to the fields that its SDK knows."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import yaml

from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import ApiSource
from llm_spend.sources.truefoundry_api import LISTINGS, STREAMS, TrueFoundry

from .fake_server import Fault, Handler, listening

KEY = "tfy-3b9f1c77e2aa40d1"
PROMPT = "MARKER-of-a-prompt-that-nobody-may-store"
TOKEN = "MARKER-of-a-token"
_SUBJECT = {"subjectId": "u-1", "subjectType": "user", "subjectSlug": "root@acme.io"}
_TIMES = {"createdAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-02-03T04:05:06.000Z"}
_SCHEMA = yaml.safe_load(
    (Path(__file__).parents[1] / "fixtures" / "truefoundry" / "api.schema.yaml").read_text(encoding="utf-8")
)
_VALIDATORS = {
    name: jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", **_SCHEMA}) for name in _SCHEMA["$defs"]
}


def span(span_id: str, at: str = "2026-11-02T10:00:00.000Z", kind: str = "Model", **attributes: Any) -> dict[str, Any]:
    """A span as the spans query gives it; what is asked and answered is in it, too."""
    return {
        "spanId": span_id,
        "traceId": f"trace-{span_id}",
        "parentSpanId": "",
        "serviceName": "tfy-llm-gateway",
        "spanName": "model",
        "spanKind": "CLIENT",
        "scopeName": "tfy-llm-gateway",
        "scopeVersion": "1.0.0",
        "timestamp": at,
        "durationNs": 1_500_000,
        "statusCode": "OK",
        "statusMessage": "",
        "spanAttributes": {
            "tfy.span_type": kind,
            "tfy.model.name": "gpt-4o",
            "tfy.model.metric.input_tokens": 100,
            "tfy.model.metric.output_tokens": 20,
            "tfy.model.metric.cost_in_usd": 0.000123,
            "tfy.input": {"messages": [{"role": "user", "content": PROMPT}]},
            "tfy.output": PROMPT,
            **attributes,
        },
        "events": [{"body": PROMPT}],
        "createdBySubject": {"subjectId": "u-2", "subjectType": "user", "subjectSlug": "ann@acme.io"},
        "feedbacks": [],
    }


def call(model: str = "gpt-4o", **columns: Any) -> dict[str, Any]:
    """A row of model metrics: what usage is added up from. One without `at` is in every window."""
    return {
        "at": "2026-11-02T10:00:00.000Z",
        "modelName": model,
        "virtualModelName": None,
        "userEmail": "ann@acme.io",
        "virtualaccount": None,
        "team": ["search"],
        "costInUSD": 0.25,
        "inputTokens": 100,
        "outputTokens": 20,
        **columns,
    }


def user(email: str, **fields: Any) -> dict[str, Any]:
    metadata = {"displayName": email.partition("@")[0].title(), "userObject": {"token": TOKEN}}
    known = {
        "id": f"id-{email}",
        "email": email,
        "tenantName": "acme",
        "metadata": metadata,
        "roles": ["tenant-member"],
    }
    return {**known, "active": True, "isEditable": True, **_TIMES, **fields}


def team(name: str, members: Sequence[str], **manifest: Any) -> dict[str, Any]:
    known = {"id": f"id-{name}", "description": "", "tenantName": "acme", "accountId": "acc", "isEditable": True}
    return {
        **known,
        "createdBySubject": _SUBJECT,
        **_TIMES,
        "manifest": {"type": "team", "name": name, "members": list(members), **manifest},
    }


def virtual_account(name: str, owner: str | None = None, **fields: Any) -> dict[str, Any]:
    owned = {"ownedBy": {"account": "acc", "team": owner}} if owner else {}
    known = {
        "id": f"id-{name}",
        "type": "virtual-account",
        "tenantName": "acme",
        "accountId": "acc",
        "isExpired": False,
    }
    manifest = {"type": "virtual-account", "name": name, "permissions": [], **owned}
    jwts = [{"id": "j", "metadata": {"token": TOKEN}}]
    asked = {"createdBySubject": _SUBJECT, **_TIMES, "isExpired": False, "jwts": jwts}
    return {**known, **asked, "manifest": manifest, **fields}


def budget(name: str, **manifest: Any) -> dict[str, Any]:
    full = {
        "name": name,
        "type": "tenant-budget-config",
        "limits": {"cost_per_day": 5},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
        **manifest,
    }
    known = {"id": f"b-{name}", "tenantName": "acme", "name": name, "type": full["type"]}
    return {**known, "manifest": full, "createdBySubject": _SUBJECT}


@dataclass
class FakeTrueFoundry:
    """What it has, and how it behaves. `faults` by step are used up one a request."""

    spans: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    users: list[dict[str, Any]] = field(default_factory=list)
    teams: list[dict[str, Any]] = field(default_factory=list)
    virtual_accounts: list[dict[str, Any]] = field(default_factory=list)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    rule_usage: Any = field(default_factory=list)
    budget_usage: dict[str, Any] = field(default_factory=dict)
    roles: list[str] = field(default_factory=lambda: ["tenant-admin"])
    page_rows: int = 200
    members_of_page: int = 100
    has_old_metrics: bool = False
    """Usage as older control planes give it."""
    end_token: Any = None
    """What stands for the token of the page after the last."""
    page: Callable[[dict[str, Any]], dict[str, Any]] = lambda page: page
    """What becomes of a page of spans on its way."""
    filters_work: bool = True
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    bodies: dict[str, list[Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Requests that no control plane would take: a test must end without any."""
    address: str = ""

    def query_spans(self, body: dict[str, Any]) -> Any:
        wanted = {each["spanAttributeKey"]: each["value"] for each in body.get("filters", [])}
        found = [
            each
            for each in sorted(self.spans, key=lambda each: each["timestamp"])
            if body["startTime"] <= _z(each["timestamp"]) <= body["endTime"]
            and (not self.filters_work or all(each["spanAttributes"].get(key) == wanted[key] for key in wanted))
        ]
        token = body.get("pageToken")
        start = int(base64.b64decode(token)) if token else 0
        size = min(body["limit"], self.page_rows)
        end = start + size
        following = base64.b64encode(str(end).encode()).decode() if end < len(found) else self.end_token
        pagination = {"limit": size, "nextPageToken": following}
        return self.page({"data": found[start:end], "pagination": pagination})

    def query_metrics(self, body: dict[str, Any]) -> Any:
        without_virtual = {"fieldName": "virtualModelName", "operator": "IS_NULL", "value": True} in body["filters"]
        rows = [
            each
            for each in self.calls
            if (not without_virtual or each["virtualModelName"] is None)
            and (each["at"] is None or body["startTs"] <= each["at"] < body["endTs"])
        ]
        groups: dict[Any, list[dict[str, Any]]] = {}
        name = body["groupBy"][0] if body["groupBy"] else None
        for row in rows:
            value = row.get(name) if name else None
            for member in value if isinstance(value, list) else [value]:
                groups.setdefault(member, []).append(row)
        names = {"userEmail": "createdBySubjectSlug", "virtualaccount": "createdBySubjectSlug"}
        points = []
        for member, of_member in groups.items():
            sums = {
                f"sum{column[0].upper()}{column[1:]}": sum(row[column] or 0 for row in of_member)
                for column in (each["column"] for each in body["aggregations"] if each["type"] == "sum")
            }
            point = {"countModelName": len(of_member), **sums}
            if name:
                point[names.get(name, name.removeprefix("metadata."))] = member
            points.append(point if self.has_old_metrics else {"total": len(of_member), **point})
        return {"data": points if self.has_old_metrics else {"dataPoints": points}}

    def session(self) -> Any:
        return {
            "id": "s",
            "subjectSlug": "llm-spend",
            "subjectType": "virtualaccount",
            "roles": self.roles,
            "teams": [],
            "accounts": [],
            "effectiveUserId": "u",
        }

    def members(self, rows: list[dict[str, Any]], limit: int, offset: int) -> Any:
        size = min(limit, self.members_of_page)
        return {
            "data": rows[offset : offset + size],
            "pagination": {"total": len(rows), "offset": offset, "limit": size},
        }

    def config(self, kind: str) -> Any:
        if kind not in self.configs:
            return Fault(404, {"message": "not found"})
        return {
            "id": "c",
            "tenantName": "acme",
            "type": kind,
            "manifest": self.configs[kind],
            "createdBySubject": _SUBJECT,
        }


_REQUESTS = {"spans": "QuerySpansRequest", "metrics": "MetricsRequest"}
_ANSWERS = {
    "spans": "QuerySpansResponse",
    "metrics": "MetricsResponse",
    "session": "Session",
    "users": "ListUsersResponse",
    "teams": "ListTeamsResponse",
    "virtual-accounts": "ListVirtualAccountResponse",
    "config": "GatewayConfiguration",
    "budgets": "ListBudgetsResponse",
    "leaderboard": "BudgetUsageResponse",
}


def _z(moment: str) -> str:
    return moment.replace(" ", "T").removesuffix("Z") + "Z"


def _handler(foundry: FakeTrueFoundry) -> type[Handler]:
    class OfFoundry(Handler):
        def reply(self) -> None:
            content = self.content()
            url = urlsplit(self.path)
            step, answer = self._step(url.path.removeprefix("/api/svc/v1/").split("/"), parse_qs(url.query), content)
            foundry.steps.append(step)
            if foundry.faults.get(step):
                self.fail(foundry.faults[step].pop(0))
                return
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                self.fail(Fault(401, {"message": f"Invalid token {self.headers.get('Authorization')}"}))
                return
            if content and (name := _REQUESTS.get(step)):
                body = json.loads(content)
                foundry.bodies.setdefault(step, []).append(body)
                foundry.problems += [error.message for error in _VALIDATORS[name].iter_errors(body)]
            found = answer()
            if not isinstance(found, Fault):
                if name := _ANSWERS.get(step):
                    _VALIDATORS[name].validate(found)
                found = Fault(200, found)
            self.fail(found)

        def _step(self, path: list[str], query: dict[str, list[str]], content: bytes) -> tuple[str, Callable[[], Any]]:
            limit, offset = (int(query.get(name, ["0"])[0]) for name in ("limit", "offset"))
            match self.command, path:
                case "POST", ["spans", "query"]:
                    return "spans", lambda: foundry.query_spans(json.loads(content))
                case "POST", ["llm-gateway", "metrics", "query"]:
                    return "metrics", lambda: foundry.query_metrics(json.loads(content))
                case "GET", ["x", "users", "info"]:
                    return "session", foundry.session
                case "GET", ["users"]:
                    return "users", lambda: foundry.members(foundry.users, limit, offset)
                case "GET", ["teams", "user"]:
                    return "teams", lambda: foundry.members(foundry.teams, limit, offset)
                case "GET", ["virtual-accounts"]:
                    return "virtual-accounts", lambda: foundry.members(foundry.virtual_accounts, limit, offset)
                case "GET", ["llm-gateway", "config", "budget", "usage"]:
                    return "rule-usage", lambda: foundry.rule_usage
                case "GET", ["llm-gateway", "config", kind]:
                    return "config", lambda: foundry.config(kind)
                case "GET", ["llm-gateway", "budgets"]:
                    return "budgets", lambda: {"data": foundry.budgets}
                case "GET", ["llm-gateway", "budgets", identifier, "leaderboard"]:
                    return "leaderboard", lambda: foundry.budget_usage.get(identifier, {"matched": []})
                case _:
                    foundry.problems.append(f"{self.command} {self.path} is unknown")
                    return "unknown", lambda: Fault(404, {})

    return OfFoundry


@contextmanager
def serving(foundry: FakeTrueFoundry) -> Iterator[FakeTrueFoundry]:
    """The server at `address` until the block ends."""
    with listening(_handler(foundry)) as foundry.address:
        yield foundry


def source_of(foundry: FakeTrueFoundry, metadata_keys: Sequence[str] = (), **options: Any) -> ApiSource:
    """Our source, asking this control plane; `options` are those of its client."""

    @contextmanager
    def opened(instance: str) -> Iterator[TrueFoundry]:
        with ApiClient("TrueFoundry", foundry.address, {"Authorization": f"Bearer {KEY}"}, **options) as client:
            yield TrueFoundry(client, KEY, {"dataRoutingDestination": "default"}, metadata_keys)

    return ApiSource("truefoundry", opened, STREAMS, LISTINGS)
