"""Feedback of Portkey by trace: which traces have some tells an export, how much it was tell the analytics of each.

Facts (Portkey OpenAPI): feedback is given to a trace and can't be listed. Exports and analytics can be narrowed to logs
with a weighted feedback (value × weight, from -10 to 10), and analytics to a trace. When it was given is not said: the
time of the trace's last log of the day stands for it. Two questions a trace: so it is asked for on demand only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import amount
from llm_spend.sources.portkey_analytics import PortkeyAnalytics
from llm_spend.sources.portkey_exports import PortkeyExports
from llm_spend.windows import Window

_MOST_OF_A_TRACE = 1000
_FIELDS = ("id", "trace_id", "created_at")
_HAS_FEEDBACK = {"weighted_feedback_min": -10, "weighted_feedback_max": 10}


@dataclass(frozen=True)
class PortkeyFeedback:
    """Feedback of one workspace."""

    exports: PortkeyExports
    analytics: PortkeyAnalytics

    def fetch(self, window: Window, spool: Spool) -> None:
        """Write a row for each feedback that was given to a trace of a window."""
        if not self.analytics.feedbacks(window).given:
            return
        for trace, last in self._traces(window).items():
            found = self.analytics.feedbacks(window, trace)
            row = {"given_at": last, "trace_id": trace, "value": amount(found.average), "weight": "1", "raw": found.raw}
            # Several to one trace are told as their average: so many times it is their sum.
            spool.add_rows([row] * min(found.given, _MOST_OF_A_TRACE))

    def _traces(self, window: Window) -> dict[str, str]:
        """Traces with feedback, and the time of the last log of each."""
        traces: dict[str, str] = {}
        for row in self._logs(window):
            # Times come with a space or a T: as texts they are compared in one form.
            trace, moment = str(row.get("trace_id") or ""), str(row.get("created_at") or "").replace(" ", "T")
            if trace and moment:
                traces[trace] = max(moment, traces.get(trace, ""))
        return traces

    def _logs(self, window: Window) -> Iterator[dict[str, Any]]:
        with TemporaryDirectory(prefix="llm_spend_") as folder, Spool(Path(folder) / "traces.jsonl") as logs:
            self.exports.fetch(window, logs, _FIELDS, _HAS_FEEDBACK)
            with logs.path.open("rb") as lines:
                for line in lines:
                    if isinstance(row := orjson.loads(line or b"null"), dict):
                        yield row
