"""A Helicone: holds requests, and questions and its own answers to a description of its API."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jsonschema

from .fake_server import Asked, Description, FakeServer, Fault

KEY = "sk-helicone-4be1a9c7d2"

DESCRIPTION = Description("helicone/requests.yaml")


@dataclass
class FakeHelicone(FakeServer):
    """`requests` in any order. `by_second`: times of a question are cut to seconds, as the real one may do."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    most: int = 1000
    by_second: bool = True
    is_deaf: bool = False
    """The filter and the offset are not applied."""

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Fault(401, {"error": f"Invalid API key {asked.headers.get('authorization')}"})
        assert (asked.method, asked.path) == ("POST", "/v1/request/query-clickhouse")
        try:
            DESCRIPTION.validate(asked.body, "RequestQueryParams")
        except jsonschema.ValidationError as error:
            self.problems.append(error.message)
            return Fault(400, {"error": error.message})
        rows = [row for row in self.requests if self.is_deaf or self._meets(row, asked.body["filter"])]
        rows.sort(key=lambda row: row["request_created_at"])
        first = 0 if self.is_deaf else asked.body["offset"]
        found = {"data": rows[first : first + min(asked.body["limit"], self.most)], "error": None}
        DESCRIPTION.validate(found, "RequestsResult")
        return found

    def _meets(self, row: dict[str, Any], condition: dict[str, Any]) -> bool:
        if "operator" in condition:
            both = (self._meets(row, condition["left"]), self._meets(row, condition["right"]))
            return all(both) if condition["operator"] == "and" else any(both)
        ((operator, text),) = condition["request_response_rmt"]["request_created_at"].items()
        moment, limit = _moment(row["request_created_at"]), _moment(text)
        if self.by_second:
            limit = limit.replace(microsecond=0)
        return moment >= limit if operator == "gte" else moment < limit


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" ", "T").removesuffix("Z"))
