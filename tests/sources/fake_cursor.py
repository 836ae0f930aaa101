"""Cursor's Admin API as its documentation has it: events by page, spending, members."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .fake_server import Asked, FakeServer, Fault

KEY = "key_7c1f0a52e9"

_EVENTS = {"startDate", "endDate", "userId", "email", "page", "pageSize"}
_SPEND = {"searchTerm", "sortBy", "sortDirection", "page", "pageSize"}

Row = dict[str, Any]


def at(text: str) -> int:
    """ISO text in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def event(moment: str = "2026-11-02T09:00:00.123", email: str = "Mona@example.com", **fields: Any) -> Row:
    return {
        "timestamp": str(at(moment)),
        "userEmail": email,
        "model": "claude-4-opus",
        "kind": "Usage-based",
        "maxMode": True,
        "requestsCosts": 5,
        "isTokenBasedCall": True,
        "isChargeable": True,
        "isHeadless": False,
        "tokenUsage": {
            "inputTokens": 126,
            "outputTokens": 450,
            "cacheWriteTokens": 6112,
            "cacheReadTokens": 11964,
            "totalCents": 20.18232,
        },
        "chargedCents": 21.36232,
        "cursorTokenFee": 1.18,
        "isFreeBugbot": False,
        **fields,
    }


def spend(email: str, **fields: Any) -> Row:
    return {
        "userId": 1,
        "name": "Mona",
        "email": email,
        "role": "member",
        "spendCents": 2450,
        "overallSpendCents": 4450,
        "fastPremiumRequests": 12,
        "hardLimitOverrideDollars": 0,
        "monthlyLimitDollars": None,
        **fields,
    }


@dataclass
class FakeCursor(FakeServer):
    """`page`: the most rows that a page has, whatever is asked for. `refused`: by path, what it is answered with."""

    events: list[Row] = field(default_factory=list)
    spends: list[Row] = field(default_factory=list)
    members: list[Row] = field(default_factory=list)
    page: int = 100
    is_old: bool = False
    """Without what newer answers tell of their pages and their period."""
    refused: dict[str, Fault] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Any:
        scheme, _, content = asked.headers.get("authorization", "").partition(" ")
        if (scheme, b64decode(content)) != ("Basic", f"{KEY}:".encode()):
            return Fault(401, {"error": "Unauthorized", "message": "Invalid API key"})
        if fault := self.refused.get(asked.path):
            return fault
        match asked.method, asked.path:
            case "POST", "/teams/filtered-usage-events":
                return self._events(asked.body)
            case "POST", "/teams/spend":
                return self._spends(asked.body)
            case "GET", "/teams/members":
                return {"teamMembers": self.members}
        return Fault(404, {"message": "Not Found"})

    def _events(self, body: Mapping[str, Any]) -> Any:
        assert set(body) <= _EVENTS and all(isinstance(body[name], int) for name in ("startDate", "endDate", "page"))
        if body["endDate"] - body["startDate"] > 30 * 86_400_000:
            return Fault(400, {"message": "Date range cannot exceed 30 days"})
        period = {"startDate": body["startDate"], "endDate": body["endDate"]}
        rows = [row for row in self.events if period["startDate"] <= int(row["timestamp"]) <= period["endDate"]]
        rows.sort(key=lambda row: -int(row["timestamp"]))
        size, shown = self._page(rows, body)
        found: Row = {"totalUsageEventsCount": len(rows), "usageEvents": shown}
        if self.is_old:
            return found
        pages = -(-len(rows) // size)
        pagination = {
            "numPages": pages,
            "currentPage": body["page"],
            "pageSize": size,
            "hasNextPage": body["page"] < pages,
            "hasPreviousPage": body["page"] > 1,
        }
        return found | {"pagination": pagination, "period": period}

    def _spends(self, body: Mapping[str, Any]) -> Any:
        assert set(body) <= _SPEND
        size, shown = self._page(self.spends, body)
        return {
            "teamMemberSpend": shown,
            "subscriptionCycleStart": at("2026-10-20T00:00:00"),
            "totalMembers": len(self.spends),
            "totalPages": -(-len(self.spends) // size),
        }

    def _page(self, rows: list[Row], body: Mapping[str, Any]) -> tuple[int, list[Row]]:
        size = min(self.page, body["pageSize"])
        start = (body["page"] - 1) * size
        return size, rows[start : start + size]
