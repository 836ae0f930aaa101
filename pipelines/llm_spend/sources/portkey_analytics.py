"""What Portkey's analytics add up: a day in all, by user, by model and by the values of metadata keys.

Facts (Portkey OpenAPI): groups have no time, so a day is asked for at a time, and list only values that exist: what has
none is the total less their sum. Costs are US cents. An average comes with the count that it is of, so it gives a sum
again: exact for feedback, and for tokens as exact as the average is written. Feedback can't be read one by one: these
sums are all there is. Whether the end of a window is included is not said; the last millisecond is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from llm_spend.errors import UserError
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.readers.api.spool import Spool
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


@dataclass(frozen=True)
class PortkeyAnalytics:
    """Analytics of one workspace. `metadata_keys`: those whose values are added up."""

    client: PortkeyClient
    metadata_keys: Sequence[str] = ()

    def fetch(self, window: Window, spool: Spool) -> None:
        """Write the totals of a day."""
        needed = {name: self._summary(name, window) for name in _NEEDED_GRAPHS}
        spool.add_rows([total_of_graphs(window, {**needed, **self._others(window)})])
        groups = {"user": ("users", "user"), "model": ("ai-models", "ai_model")}
        groups |= {
            f"metadata:{key}": (f"metadata/{quote(key, safe='')}", "metadata_value") for key in self.metadata_keys
        }
        for dimension, (path, member) in groups.items():
            found = self.client.rows(READ_ANALYTICS, f"/analytics/groups/{path}", self._filters(window))
            spool.add_rows(totals_of_groups(window, dimension, member, found))

    def requests(self, window: Window) -> int:
        """How many requests the gateway counted."""
        return _whole(self._summary("requests", window).get("total")) or 0

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

    def _summary(self, graph: str, window: Window) -> Row:
        path = f"/analytics/graphs/{graph}"
        found = self.client.ask(READ_ANALYTICS, "GET", path, params=self._filters(window)).get("summary")
        if not isinstance(found, Mapping):
            raise UserError(f"Portkey's answer to GET {path} has no summary.", "Report this as a bug.")
        return found

    def _filters(self, window: Window) -> dict[str, str]:
        return {
            **self.client.workspace.by_slug,
            "time_of_generation_min": _iso(window.start),
            "time_of_generation_max": _iso(window.end - timedelta(milliseconds=1)),
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
        "cost_amount": _text(_decimal(of("cost"))),
        "weighted_feedback_sum": _text(_sum(of("feedbacks/weighted", "avg"), feedbacks)),
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
            "cost_amount": _text(_decimal(group.get("cost"))),
            "weighted_feedback_sum": _text(
                _sum(group.get("avg_weighted_feedback"), feedbacks := _whole(group.get("requests_with_feedback")))
            ),
            "requests_with_feedback": feedbacks,
            "last_seen_at": group.get("last_seen"),
            "raw": group,
        }
        for group in groups
        if group.get(member) not in (None, "")
    ]


def _bucket(window: Window, dimension: str, member: str | None) -> dict[str, Any]:
    start, end = (f"{each.isoformat(timespec='milliseconds')}Z" for each in (window.start, window.end))
    return {
        "bucket_start": start,
        "bucket_end": end,
        "dimension": dimension,
        "member": member,
        "cost_unit": "us_cent",
    }


def _sum(average: Any, count: int | None) -> Decimal | None:
    """What an average over so many adds up to; None when one of them is not known."""
    if count == 0:
        return Decimal(0)
    mean = _decimal(average)
    return None if mean is None or count is None else mean * count


def _decimal(number: Any) -> Decimal | None:
    """A number or the text of one, as it is written."""
    if number is None or isinstance(number, bool):
        return None
    try:
        found = Decimal(str(number))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _whole(number: Any) -> int | None:
    found = _decimal(number)
    return None if found is None else round(found)


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}+00:00"
