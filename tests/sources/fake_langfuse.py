"""A Langfuse: holds observations and scores, and its own answers to Langfuse's OpenAPI description."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault

PUBLIC, SECRET = "pk-lf-5d1f", "sk-lf-77a0c2e94b16"
PAIR = b64encode(f"{PUBLIC}:{SECRET}".encode()).decode()

DESCRIPTION = Description("langfuse/openapi.yaml")
_CORE = ("id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type")
_ALWAYS = ("modelId", "inputPrice", "outputPrice", "totalPrice")
_GROUPS = {
    "core": _CORE,
    "basic": (
        "name",
        "level",
        "statusMessage",
        "version",
        "environment",
        "bookmarked",
        "public",
        "userId",
        "sessionId",
    ),
    "time": ("completionStartTime", "createdAt", "updatedAt"),
    "io": ("input", "output"),
    "metadata": ("metadata",),
    "model": ("providedModelName", "internalModelId", "modelParameters"),
    "usage": ("usageDetails", "costDetails", "totalCost", "usagePricingTierName"),
    "prompt": ("promptId", "promptName", "promptVersion"),
    "metrics": ("latency", "timeToFirstToken"),
    "trace_context": ("tags", "release", "traceName"),
}


@dataclass
class FakeLangfuse(FakeServer):
    """`observations` as v2 has them, in full. `most`: rows of a page at most. `gone`: paths that are no more."""

    observations: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    most: int = 1000
    gone: dict[str, int] = field(default_factory=dict)
    cursor: Callable[[int], str] = lambda offset: b64encode(str(offset).encode()).decode()
    first_of: Callable[[str], int] = lambda cursor: int(b64decode(cursor))
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields that rows have besides what the description names."""

    def answer(self, asked: Asked) -> Any:
        if asked.path in self.gone:
            return Fault(self.gone[asked.path], {"message": "Not found", "error": "LangfuseNotFoundError"})
        if asked.headers.get("authorization") != f"Basic {PAIR}":
            return Fault(401, {"message": f"Invalid credentials {asked.headers.get('authorization')}"})
        if problems := DESCRIPTION.problems_of(asked.query, asked.path):
            self.problems += problems
            return Fault(400, {"message": problems[0]})
        match asked.path:
            case "/api/public/v2/observations":
                found, name = self._v2(asked.query), "ObservationsV2Response"
            case "/api/public/observations":
                found, name = self._v1(asked.query), "legacyObservationsViews"
            case "/api/public/v3/scores":
                found, name = self._scores(asked.query), "GetScoresV3Response"
            case _:
                found, name = self._metrics(json.loads(asked.query["query"])), "MetricsV2Response"
        DESCRIPTION.validate(found, name)
        return found

    def _wanted(self, query: Any) -> list[dict[str, Any]]:
        start, end = query["fromStartTime"], query["toStartTime"]
        rows = [row for row in self.observations if start <= row["startTime"] < end and row["type"] == query["type"]]
        return sorted(rows, key=lambda row: row["startTime"], reverse=True)

    def _page(self, rows: list[dict[str, Any]], query: Any, most: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        assert int(query["limit"]) <= most, "the limit is above what may be asked for"
        first = self.first_of(query["cursor"]) if "cursor" in query else 0
        end = first + min(int(query["limit"]), self.most)
        return rows[first:end], {"cursor": self.cursor(end)} if end < len(rows) else {}

    def _v2(self, query: Any) -> dict[str, Any]:
        rows, meta = self._page(self._wanted({"type": "GENERATION", **query}), query, 1000)
        names = {name for group in query.get("fields", "core,basic").split(",") for name in _GROUPS[group]}
        names |= {*_CORE, *_ALWAYS, *self.extra}
        expanded = query.get("expandMetadata", "").split(",")
        found = []
        for row in rows:
            row = {**dict.fromkeys([*_CORE, *_ALWAYS]), "projectId": "p-1", **row, **self.extra}
            metadata = row.get("metadata") or {}
            if isinstance(metadata, dict):
                row["metadata"] = {
                    key: value if key in expanded or not isinstance(value, str) else value[:200]
                    for key, value in metadata.items()
                }
            found.append({name: value for name, value in row.items() if name in names})
        return {"data": found, "meta": meta}

    def _v1(self, query: Any) -> dict[str, Any]:
        limit, page = int(query["limit"]), int(query.get("page", 1))
        assert limit <= 100, "the limit is above what may be asked for"
        rows = self._wanted(query)
        found = [_as_v1(row) for row in rows[(page - 1) * limit : page * limit]]
        meta = {"page": page, "limit": limit, "totalItems": len(rows), "totalPages": -(-len(rows) // limit)}
        return {"data": found, "meta": meta}

    def _scores(self, query: Any) -> dict[str, Any]:
        kinds = query["dataType"].split(",")
        rows = [row for row in self.scores if query["fromTimestamp"] <= row["timestamp"] < query["toTimestamp"]]
        rows = [row for row in rows if row["dataType"] in kinds]
        if "name" in query:
            rows = [row for row in rows if row["name"] in query["name"].split(",")]
        found, meta = self._page(rows, query, 100)
        return {"data": found, "meta": {"limit": int(query["limit"]), **meta}}

    def _metrics(self, query: Any) -> dict[str, Any]:
        if query["dimensions"]:
            return {"data": self.metrics}
        totals = {
            name: str(sum(float(row[name]) for row in self.metrics)).removesuffix(".0")
            for name in (self.metrics[0] if self.metrics else {})
            if name != "providedModelName"
        }
        return {"data": [totals] if totals else []}


def _as_v1(row: dict[str, Any]) -> dict[str, Any]:
    """An observation as v1 has it: no user, other names, old counts beside the new ones."""
    usage, costs = row.get("usageDetails") or {}, row.get("costDetails") or {}
    old = {
        "usage": {**{name: usage.get(name, 0) for name in ("input", "output", "total")}, "unit": "TOKENS"},
        "calculatedInputCost": costs.get("input"),
        "calculatedOutputCost": costs.get("output"),
        "calculatedTotalCost": costs.get("total"),
        "model": row.get("providedModelName"),
        "usageDetails": usage if row.get("hasDetails", True) else {},
        "costDetails": costs,
    }
    names = ("name", "statusMessage", "version", "parentObservationId", "completionStartTime", "endTime", "input")
    others = ("output", "metadata", "modelParameters", "promptId", "promptName", "promptVersion", "modelId")
    prices = ("inputPrice", "outputPrice", "totalPrice", "latency", "timeToFirstToken")
    nothing = dict.fromkeys([*names, *others, *prices])
    v2_only = ("providedModelName", "userId", "tags", "release", "traceName", "totalCost", "updatedAt", "hasDetails")
    kept = {name: value for name, value in row.items() if name not in v2_only}
    return {**nothing, "level": "DEFAULT", "environment": "default", **kept, **old}
