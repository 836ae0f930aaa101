"""OpenRouter's activity endpoint: days that are over, of the last 30; a question a day, and one for each key of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.memory import Memory
from llm_spend.readers.api.source import ApiSource, Listing, NotAllowedError, Stream, configured, readable, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.records import LogFormat
from llm_spend.sources.openrouter import totals_rows
from llm_spend.sources.openrouter_bills import LOOK_BACK, Activity, are_too_many, cost_rows, left_of, usage_rows
from llm_spend.sources.openrouter_client import OpenRouterClient
from llm_spend.sources.openrouter_lists import (
    credit_row,
    credit_usage_row,
    key_rows,
    limit_rows,
    limit_usage_rows,
    member_rows,
    workspace_rows,
)
from llm_spend.sources.provider_tables import costs_format, usage_format
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format, totals_format
from llm_spend.windows import Window

Row = Mapping[str, Any]

BASE_URL = "https://openrouter.ai"
FIRST = timedelta(days=29)
"""A day less than OpenRouter keeps, so that the oldest is still there when it is asked for."""

_DAYS_KEPT = 30
_NOT_TOLD = (400, 422)
_NOT_KNOWN = (400, 404, 422)

_BY_WORKSPACE = {"group_by": "workspace"}


class OpenRouter:
    """The API of one account or organisation."""

    def __init__(self, http: ApiClient) -> None:
        self.client = OpenRouterClient(http)
        self._memory = Memory()
        self._told_of_forgotten = False

    def check(self) -> str:
        day = _today() - timedelta(days=1)
        asked: Mapping[str, Callable[[], object]] = {
            "keys": self.client.api_keys,
            "workspaces": self.client.workspaces,
            "members": self.client.members,
            "credits": self.client.credits,
        }
        rights = [f"activity can be read, {len(self.client.activity(day))} rows for {day}"]
        return "; ".join([*rights, *readable(asked, _said)])

    def totals(self, window: Window, spool: Spool) -> None:
        """Write the totals of a day; none for one that OpenRouter has forgotten, so that the days after it are had."""
        self._write(window, spool, lambda day: totals_rows(day, self.client.activity(day)))

    def usage(self, window: Window, spool: Spool) -> None:
        """Write the usage of a day, in total and by key."""
        self._write(window, spool, lambda day: usage_rows(self._by_key(day, spool)))

    def costs(self, window: Window, spool: Spool) -> None:
        """Write what a day cost, in total and by key."""
        self._write(window, spool, lambda day: cost_rows(self._by_key(day, spool)))

    def _write(self, window: Window, spool: Spool, shape: Callable[[date], Sequence[Any]]) -> None:
        day = window.start.date()
        try:
            if not self.client.activity(day) and _may_be_forgotten(day):
                # Nothing is no proof here, and a total of nothing would take the place of what was loaded.
                self._tell_of_forgotten(day, spool)
            else:
                spool.add_rows(shape(day))
        except ApiError as error:
            if error.status not in _NOT_TOLD or not _may_be_forgotten(day):
                raise
            self._tell_of_forgotten(day, spool)

    def _tell_of_forgotten(self, day: date, spool: Spool) -> None:
        if not self._told_of_forgotten:
            self._told_of_forgotten = True
            spool.warnings.append(
                f"OpenRouter keeps the last {_DAYS_KEPT} days and no longer tells of {day}: there is nothing of it,"
                " nor of other days before these that were not loaded in time."
            )

    def _by_key(self, day: date, spool: Spool) -> Activity:
        activity, warnings = self._memory.get(("by key", day), lambda: self._ask_by_key(day))
        spool.warnings += warnings
        return activity

    def _ask_by_key(self, day: date) -> tuple[Activity, list[str]]:
        """The activity of a day in total and in parts that make it up: by key, and the rest of each workspace."""
        whole = self.client.activity(day)
        base, asked = self._by_workspace(day)
        as_asked = Activity(day, whole, base, asked)
        try:
            keys = [key for key in self.client.api_keys() if _may_be_used(key, day)]
        except NotAllowedError as error:
            return as_asked, [f"Usage and costs are there without keys: {error.problem} {error.remedy}"]
        parts, unknown = list[Row](), 0
        for key in keys:
            if not left_of(base, parts):
                break
            try:
                rows = self.client.activity(day, api_key_hash=str(key.get("hash")), **(_BY_WORKSPACE if asked else {}))
            except ApiError as error:
                if error.status not in _NOT_KNOWN:
                    raise
                unknown += 1
                continue
            parts += [{**row, "api_key_hash": key.get("hash")} for row in rows]
        left = left_of(base, parts)
        if are_too_many(left):
            return as_asked, [
                f"OpenRouter's keys have more activity on {day} than there is in total: it is kept without keys."
                " If that stays so, report it as a bug."
            ]
        warnings = [f"OpenRouter did not tell of the activity of {unknown} keys on {day}: it is under no key."]
        return Activity(day, whole, [*parts, *left], (*asked, "api_key_id")), warnings * bool(unknown)

    def _by_workspace(self, day: date) -> tuple[Sequence[Row], tuple[str, ...]]:
        """The activity of a day by workspace, if OpenRouter tells it so, and what it was asked by."""
        try:
            return self.client.activity(day, **_BY_WORKSPACE), ("project_id",)
        except ApiError as error:
            if error.status not in _NOT_TOLD:
                raise
            return self.client.activity(day), ()


def _said(name: str, found: object) -> str:
    return f"{len(found)} {name}" if isinstance(found, list) else f"{name} can be read"


def _may_be_used(key: Row, day: date) -> bool:
    """Whether a key may have activity on a day; what OpenRouter does not say may be."""
    created, expires, used = (str(key.get(name) or "")[:10] for name in ("created_at", "expires_at", "last_used_at"))
    return created <= day.isoformat() and all(not last or day.isoformat() <= last for last in (expires, used))


def _may_be_forgotten(day: date) -> bool:
    return day <= _today() - timedelta(days=_DAYS_KEPT)


def _today() -> date:
    return datetime.now(UTC).date()


@contextmanager
def _opened(instance: str) -> Iterator[OpenRouter]:
    key = secret("openrouter", instance, "management_key", "management key of OpenRouter")
    address = configured("openrouter", instance, "base_url") or BASE_URL
    with ApiClient("OpenRouter", address, {"Authorization": f"Bearer {key}"}) as client:
        yield OpenRouter(client)


def _stream(name: str, fmt: LogFormat, fetch: Callable[[OpenRouter, Window, Spool], None]) -> Stream:
    return Stream(name, fmt, "bucket_start", fetch, look_back=LOOK_BACK, first=FIRST, whole_days=True)


STREAMS = (
    _stream("totals", totals_format("openrouter"), OpenRouter.totals),
    _stream("usage", usage_format("openrouter"), OpenRouter.usage),
    _stream("costs", costs_format("openrouter"), OpenRouter.costs),
)
TOTALS = STREAMS[0]

_MEMBER, _LIMIT, _USAGE = (make("openrouter") for make in (members_format, limits_format, limit_usage_format))

LISTINGS = (
    Listing.of_rows("keys", _MEMBER, lambda api: key_rows(api.client.api_keys())),
    Listing.of_rows("workspaces", _MEMBER, lambda api: workspace_rows(api.client.workspaces())),
    Listing.of_rows("members", _MEMBER, lambda api: member_rows(api.client.members())),
    Listing.of_rows("key_limits", _LIMIT, lambda api: limit_rows(api.client.api_keys())),
    Listing.of_rows("key_usage", _USAGE, lambda api: limit_usage_rows(api.client.api_keys())),
    Listing.of_rows("credits", _LIMIT, lambda api: [credit_row(api.client.credits())]),
    Listing.of_rows("credits_used", _USAGE, lambda api: [credit_usage_row(api.client.credits())]),
)
"""Each as a list of its own, for a key may read one and not another."""


def api_source(instance: str) -> ApiSource:
    """What is asked of OpenRouter: totals, usage and costs of days, for it lists no requests; and who is there."""
    return ApiSource("openrouter", _opened, STREAMS, LISTINGS)
