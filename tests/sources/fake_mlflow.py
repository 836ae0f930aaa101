"""An MLflow tracking server: holds experiments and runs, and its own answers to MLflow's protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault

TOKEN = "dapi-8c1f0a77b3"

_DESCRIPTION = Description("mlflow/tracking.yaml")


@dataclass
class FakeMlflow(FakeServer):
    """`page_size`: the most rows of a page, whatever is asked for; `is_looping`: no page is the last."""

    experiments: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 1000
    is_looping: bool = False

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Fault(401, {"message": f"not authenticated: {asked.headers.get('authorization')}"})
        match asked.path:
            case "/api/2.0/mlflow/experiments/search":
                return self._page("SearchExperiments", "experiments", asked.body, self.experiments)
            case "/api/2.0/mlflow/runs/search":
                _, _, since = asked.body["filter"].partition("attributes.start_time >= ")
                found = [
                    run
                    for run in self.runs
                    if run["info"]["experiment_id"] in asked.body["experiment_ids"]
                    and int(run["info"].get("start_time", 0)) >= int(since)
                ]
                return self._page("SearchRuns", "runs", asked.body, found)
            case _:
                return Fault(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"})

    def _page(self, question: str, name: str, body: Any, rows: list[dict[str, Any]]) -> Any:
        _DESCRIPTION.validate(body, question)
        start = int(body.get("page_token", 0))
        end = start + min(self.page_size, body["max_results"])
        # What is empty is left out, as protobuf does.
        found: dict[str, Any] = {name: rows[start:end]} if rows[start:end] else {}
        if self.is_looping or end < len(rows):
            found["next_page_token"] = str(0 if self.is_looping else end)
        _DESCRIPTION.validate(found, f"{question}Response")
        return found
