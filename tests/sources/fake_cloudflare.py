"""A Cloudflare: holds logs of AI gateways, and questions and its own answers to a description of its API."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault

TOKEN = "v1.0-9f2c66b1d0"
ACCOUNT = "0d37909e38d3e99c29fa2cd343ac421a"

DESCRIPTION = Description("cloudflare/logs.yaml")


@dataclass
class FakeCloudflare(FakeServer):
    """`logs` by gateway, in any order. `is_deaf`: filters and page numbers are not applied."""

    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    announced: Callable[[int], int] = lambda total: total
    is_deaf: bool = False

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(403, f"Authentication error: {asked.headers.get('authorization')}", 10000)
        start, _, gateway = asked.path.removesuffix("/logs").rpartition("/")
        assert start == f"/accounts/{ACCOUNT}/ai-gateway/gateways"
        if gateway not in self.logs:
            return refusal(404, "gateway not found", 7002)
        if problems := DESCRIPTION.problems_of(asked.query, "logs"):
            self.problems += problems
            return refusal(400, problems[0], 7001)
        found = self._page(self.logs[gateway], asked.query)
        DESCRIPTION.validate(found, "LogList")
        return found

    def _page(self, logs: list[dict[str, Any]], query: Any) -> dict[str, Any]:
        conditions = json.loads(query.get("filters", "[]"))
        for condition in conditions:
            DESCRIPTION.validate(condition, "Filter")
        rows = [row for row in logs if self.is_deaf or all(_meets(row, condition) for condition in conditions)]
        rows.sort(key=lambda row: row["created_at"], reverse=query.get("order_by_direction") != "asc")
        number, size = (1 if self.is_deaf else int(query["page"])), int(query["per_page"])
        assert size <= 50, "the page is above what may be asked for"
        page = rows[(number - 1) * size : number * size]
        info = {"count": len(page), "page": number, "per_page": size, "total_count": self.announced(len(rows))}
        return {"success": True, "errors": [], "messages": [], "result": page, "result_info": info}


def _meets(row: dict[str, Any], condition: dict[str, Any]) -> bool:
    moment, (limit,) = row[condition["key"]], condition["value"]
    return bool(moment > limit if condition["operator"] == "gt" else moment < limit)


def refusal(status: int, message: str, code: int = 0) -> Fault:
    """A refusal as Cloudflare words it."""
    return Fault(status, {"success": False, "errors": [{"code": code, "message": message}], "result": None})
