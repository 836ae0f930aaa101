"""An OpenRouter: holds activity, and its own answers to the description in its SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault

KEY = "sk-or-v1-6ab0c94e1f"

_DESCRIPTION = Description("openrouter/activity.yaml")


@dataclass
class FakeOpenRouter(FakeServer):
    """`oldest`: the first day that it still tells of."""

    activity: list[dict[str, Any]] = field(default_factory=list)
    oldest: str = "2026-11-01"

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Fault(401, {"error": {"code": 401, "message": f"No auth: {asked.headers.get('authorization')}"}})
        if problems := _DESCRIPTION.problems_of(asked.query, asked.path):
            self.problems += problems
            return Fault(400, {"error": {"code": 400, "message": problems[0]}})
        if asked.query["date"] < self.oldest:
            return Fault(400, {"error": {"code": 400, "message": "Date must be within the last 30 days"}})
        found = {"data": [row for row in self.activity if row["date"].startswith(asked.query["date"])]}
        _DESCRIPTION.validate(found, "ActivityResponse")
        return found
