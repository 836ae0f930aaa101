"""Cursor's Admin API: events of days that are over, page by page, and who spent what."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError, Patience
from llm_spend.readers.api.memory import Memory
from llm_spend.readers.api.pages import Page, Progress, incomplete, list_pages
from llm_spend.readers.api.source import ApiSource, Listing, NotAllowedError, Stream, configured, readable, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.records import LogFormat
from llm_spend.sources.cursor import (
    LOOK_BACK,
    cost_rows,
    limit_rows,
    limit_usage_rows,
    member_rows,
    milliseconds,
    moment_of,
    unpriced,
    usage_rows,
)
from llm_spend.sources.provider_tables import costs_format, usage_format
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format
from llm_spend.windows import Window

Row = Mapping[str, Any]

BASE_URL = "https://api.cursor.com"

_EVENTS = "/teams/filtered-usage-events"
_SPEND = "/teams/spend"
_MEMBERS = "/teams/members"
_PAGE_SIZE = 100
_PATIENCE = Patience(first_wait=4)
"""Questions are counted by the minute, so six tries last longer than one."""


class Cursor:
    """The Admin API of one team. `key` is shown nowhere."""

    def __init__(self, client: ApiClient, key: str) -> None:
        self._client = client
        self._key = key
        self._memory = Memory()
        self._told_of_unpriced = False

    def check(self) -> str:
        today = datetime.combine(datetime.now(UTC).date(), time())
        day = Window(today - timedelta(days=1), today)
        rights = [f"usage events can be read, {len(self._events(day)):,} of {day.start.date()}"]
        asked = {"members": self.members, "spending": self.spends}
        return "; ".join([*rights, *readable(asked, lambda name, found: f"{name} of {len(found)} people")])

    def usage(self, window: Window, spool: Spool) -> None:
        """Write what was used in a window, event by event."""
        spool.add_rows(usage_rows(self._events(window)))

    def costs(self, window: Window, spool: Spool) -> None:
        """Write what the events of a window cost."""
        events = self._events(window)
        spool.add_rows(cost_rows(events))
        if (count := unpriced(events)) and not self._told_of_unpriced:
            self._told_of_unpriced = True
            spool.warnings.append(
                f"{count:,} events of {window.start.date()} are charged by request and have no amount, and maybe others"
                " after these: Cursor's bill has more than was loaded."
            )

    def members(self) -> list[Row]:
        found = self._ask("GET", _MEMBERS).get("teamMembers")
        if not isinstance(found, list):
            raise UserError("Cursor's answer has no list of members.", "Check base_url.")
        return [each for each in found if isinstance(each, Mapping)]

    def spends(self) -> list[Row]:
        """What each member spent in this billing cycle, with its start."""
        return self._memory.get("spends", self._ask_for_spends)

    def _ask_for_spends(self) -> list[Row]:
        start: Any = None

        def fetch(page: int | None) -> Page:
            nonlocal start
            found = self._ask("POST", _SPEND, {"page": page or 1, "pageSize": _PAGE_SIZE})
            start = found.get("subscriptionCycleStart")
            return found

        def following(page: Page, progress: Progress) -> int | None:
            pages = page.get("totalPages")
            return progress.pages + 1 if isinstance(pages, int) and progress.pages < pages else None

        rows = list_pages(fetch, following, source="Cursor's spending", rows_at=("teamMemberSpend",))
        return [{**row, "subscriptionCycleStart": start} for row in rows if isinstance(row, Mapping)]

    def _events(self, window: Window) -> list[Row]:
        return self._memory.get(window, lambda: self._ask_for_events(window))

    def _ask_for_events(self, window: Window) -> list[Row]:
        """All events of a window. Raises UserError unless they are as many as Cursor counted, on every page."""
        start, end = milliseconds(window.start), milliseconds(window.end)
        counted: dict[Any, None] = {}

        def fetch(page: int | None) -> Page:
            # Whether the end is a part of the period is not said: an event on it is left to the next window.
            asked = {"startDate": start, "endDate": end, "page": page or 1, "pageSize": _PAGE_SIZE}
            found = self._ask("POST", _EVENTS, asked)
            _assert_period(found.get("period"), start, end)
            counted[found.get("totalUsageEventsCount")] = None
            return found

        rows = list_pages(fetch, _following, source=_SOURCE, rows_at=("usageEvents",), total_at=_COUNT)
        if list(counted) != [len(rows)]:
            said = ", then ".join(str(each) for each in counted)
            raise incomplete(_SOURCE, f"{len(rows):,} events came, and Cursor counted {said}")
        if any(not isinstance(row, Mapping) or moment_of(row) is None for row in rows):
            raise incomplete(_SOURCE, "an event has no time")
        return rows

    def _ask(self, method: str, path: str, body: Row | None = None) -> Row:
        try:
            return self._client.json_object(method, path, body=body, has_money=True)
        except ApiError as error:
            raise self._explained(error) from None

    def _explained(self, error: ApiError) -> UserError:
        """One sentence that says what to do about a refusal."""
        # The key is sent in another form, in which the client finds it.
        said = error.said.replace(self._key, "***")
        told = f" It says: {said}" if said else ""
        match error.status:
            case 401:
                reason = "the key is wrong or was withdrawn"
                remedy = "Make a key of the Admin API (Cursor: Dashboard, Settings), and give it anew."
            case 403:
                return NotAllowedError(
                    f"Cursor refused (403): the key may not read this.{told}",
                    "Take a key of the Admin API that an administrator of the team made; it takes a team's plan.",
                )
            case 404:
                reason, remedy = "there is no such endpoint", "Check `base_url` in [sources.cursor]."
            case 400:
                reason = "it does not tell of this period"
                remedy = "Ask from a later day on with --since; if that does not help, report it as a bug."
            case _:
                problem = error.problem.replace(self._key, "***")
                return ApiError(problem, error.remedy, error.status, said)
        return ApiError(f"Cursor refused ({error.status}): {reason}.{told}", remedy, error.status, said)


_SOURCE = "Cursor's events"
_COUNT = ("totalUsageEventsCount",)


def _following(page: Page, progress: Progress) -> int | None:
    pagination = page.get("pagination")
    has_more = pagination.get("hasNextPage") if isinstance(pagination, Mapping) else None
    if not isinstance(has_more, bool):
        total = page.get(_COUNT[0])
        has_more = isinstance(total, int) and progress.rows < total
    return progress.pages + 1 if has_more and progress.rows_of_page else None


def _assert_period(period: Any, start: int, end: int) -> None:
    """Raises UserError when an answer is about less than was asked for; an answer may not say what it is about."""
    told = [period.get(name) for name in ("startDate", "endDate")] if isinstance(period, Mapping) else [None, None]
    first, last = (each if isinstance(each, int) else None for each in told)
    # The last millisecond may be left out.
    if (first is not None and first > start) or (last is not None and last < end - 1):
        raise UserError(
            f"Cursor was asked for events from {start} to {end} and answered for {first} to {last}.",
            "Nothing of this day was loaded. Run it again; if that does not help, report it as a bug.",
        )


def authorization(key: str) -> dict[str, str]:
    """The header that a key goes in: it is the name of a user without a password."""
    return {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}


@contextmanager
def _opened(instance: str) -> Iterator[Cursor]:
    key = secret("cursor", instance, "api_key", "key of Cursor's Admin API")
    address = configured("cursor", instance, "base_url") or BASE_URL
    with ApiClient("Cursor", address, authorization(key), patience=_PATIENCE) as client:
        yield Cursor(client, key)


def _stream(name: str, fmt: LogFormat, fetch: Callable[[Cursor, Window, Spool], None]) -> Stream:
    return Stream(
        name,
        fmt,
        "bucket_start",
        fetch,
        settle=timedelta(hours=2),
        look_back=LOOK_BACK,
        whole_days=True,
        empty_replaces=True,
    )


STREAMS = (
    _stream("costs", costs_format("cursor"), Cursor.costs),
    _stream("usage", usage_format("cursor"), Cursor.usage),
)

LISTINGS = (
    Listing.of_rows("members", members_format("cursor"), lambda api: member_rows(api.members())),
    Listing.of_rows("limits", limits_format("cursor"), lambda api: limit_rows(api.spends())),
    Listing.of_rows("spending", limit_usage_format("cursor"), lambda api: limit_usage_rows(api.spends())),
)


def api_source(instance: str) -> ApiSource:
    """What is asked of Cursor: events as costs and as usage, who is in the team and what they spent."""
    return ApiSource("cursor", _opened, STREAMS, LISTINGS)
