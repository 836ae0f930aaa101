"""What Portkey's analytics add up: a day in all, by user, by model and by the values of metadata keys.

Facts (Portkey OpenAPI): groups have no time, so a day is asked for at a time, and list only values that exist: what has
none is the total less their sum. Costs are US cents. An average comes with the count that it is of, so it gives a sum
again: exact for feedback, and for tokens as exact as the average is written. Whether the end of a window is included is
not said; the last millisecond is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

from llm_spend.errors import UserError
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import amount, iso, number
from llm_spend.sources.portkey_client import PortkeyClient, Right, Row
from llm_spend.windows import Window

READ_ANALYTICS = Right(
    "read analytics",
    "Give the key the permission to view analytics (Portkey: API Keys, Analytics).",
    "Check `base_url` in [sources.portkey]: analytics are asked for at the control plane.",
)

_NEEDED_GRAPHS = ("requests", "cost")
_OTHER_GRAPHS = ("tokens", "errors", "cache/hit-rate", "feedbacks", "feedbacks/weighted")
"""Graphs that older control planes may lack."""

_MEASURES = (
    *("requests", "errors", "cache_hits", "total_tokens"),
    *("cost_amount", "weighted_feedback_sum", "requests_with_feedback"),
)


_NO_FILTER: Mapping[str, str] = {}


class Feedbacks(NamedTuple):
    """How much feedback there is, and the average of it; `raw`: as it was told."""

    given: int
    average: Any
    raw: Row


@dataclass(frozen=True)
class PortkeyAnalytics:
    """Analytics of one workspace. `metadata_keys`: those whose values are added up."""

    client: PortkeyClient
    metadata_keys: Sequence[str] = ()

    def fetch(self, window: Window, spool: Spool) -> None:
        """Write the totals of a day; none where nothing was counted, for then the gateway may have forgotten it."""
        needed = {name: self._summary(name, window) for name in _NEEDED_GRAPHS}
        rows = [total_of_graphs(window, {**needed, **self._others(window)})]
        groups = {"user": ("users", "user"), "model": ("ai-models", "ai_model")}
        groups |= {
            f"metadata:{key}": (f"metadata/{quote(key, safe='')}", "metadata_value") for key in self.metadata_keys
        }
        for dimension, (path, member) in groups.items():
            found = self.client.rows(READ_ANALYTICS, f"/analytics/groups/{path}", self._filters(window))
            rows += totals_of_groups(window, dimension, member, found)
        if any(_counts_something(row) for row in rows):
            spool.add_rows(rows)

    def requests(self, window: Window) -> int:
        """How many requests the gateway counted."""
        return _whole(self._summary("requests", window).get("total")) or 0

    def feedbacks(self, window: Window, trace: str | None = None) -> Feedbacks:
        """The feedback that was given to all traces of a window, or to one."""
        of_trace = {"trace_id": trace} if trace else {}
        counted = self._summary("feedbacks", window, of_trace)
        weighted = self._summary("feedbacks/weighted", window, of_trace)
        return Feedbacks(_whole(counted.get("total")) or 0, weighted.get("avg"), {**counted, **weighted})

    def check(self) -> str:
        now = datetime.now(UTC).replace(tzinfo=None)
        self._summary("requests", Window(now - timedelta(hours=1), now))
        return "analytics can be read"

    def _others(self, window: Window) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for name in _OTHER_GRAPHS:
            try:
                found[name] = self._summary(name, window)
            except NotAllowedError:
                continue
        return found

    def _summary(self, graph: str, window: Window, further: Mapping[str, str] = _NO_FILTER) -> Row:
        path = f"/analytics/graphs/{graph}"
        params = {**self._filters(window), **further}
        found = self.client.ask(READ_ANALYTICS, "GET", path, params=params).get("summary")
        if not isinstance(found, Mapping):
            raise UserError(f"Portkey's answer to GET {path} has no summary.", "Report this as a bug.")
        return found

    def _filters(self, window: Window) -> dict[str, str]:
        return {
            **self.client.workspace.by_slug,
            "time_of_generation_min": iso(window.start),
            "time_of_generation_max": iso(window.end - timedelta(milliseconds=1)),
        }


def total_of_graphs(window: Window, summaries: Mapping[str, Row]) -> dict[str, Any]:
    """The row of all requests of a window, from the summaries of graphs."""

    def of(graph: str, name: str = "total") -> Any:
        return summaries.get(graph, {}).get(name)

    feedbacks = _whole(of("feedbacks"))
    return {
        **_bucket(window, "all", None),
        "requests": _whole(of("requests")),
        "errors": _whole(of("errors")),
        "cache_hits": _whole(of("cache/hit-rate")),
        "total_tokens": _whole(of("tokens")),
        "cost_amount": amount(of("cost")),
        "weighted_feedback_sum": amount(_sum(of("feedbacks/weighted", "avg"), feedbacks)),
        "requests_with_feedback": feedbacks,
        "raw": dict(summaries),
    }


def totals_of_groups(window: Window, dimension: str, member: str, groups: Iterable[Row]) -> list[dict[str, Any]]:
    """A row for each group of a window that has a name; `member` is where the name stands."""
    return [
        {
            **_bucket(window, dimension, str(group[member])),
            "requests": (requests := _whole(group.get("requests"))),
            "total_tokens": _whole(_sum(group.get("avg_tokens"), requests)),
            "cost_amount": amount(group.get("cost")),
            "weighted_feedback_sum": amount(
                _sum(group.get("avg_weighted_feedback"), feedbacks := _whole(group.get("requests_with_feedback")))
            ),
            "requests_with_feedback": feedbacks,
            "last_seen_at": group.get("last_seen"),
            "raw": group,
        }
        for group in groups
        if group.get(member) not in (None, "")
    ]


def _counts_something(row: Row) -> bool:
    """Whether a row has requests, or an amount of anything else that is not 0; a count that is unknown may be one."""
    return row["requests"] is None or any(number(row.get(name)) for name in _MEASURES)


def _bucket(window: Window, dimension: str, member: str | None) -> dict[str, Any]:
    return {
        "bucket_start": iso(window.start),
        "bucket_end": iso(window.end),
        "dimension": dimension,
        "member": member,
        "cost_unit": "us_cent",
    }


def _sum(average: Any, count: int | None) -> Decimal | None:
    """What an average over so many adds up to; None when one of them is not known."""
    if count == 0:
        return Decimal(0)
    mean = number(average)
    return None if mean is None or count is None else mean * count


def _whole(count: Any) -> int | None:
    found = number(count)
    return None if found is None else round(found)
