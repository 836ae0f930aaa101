"""Questions to OpenRouter: the activity of a day and the lists of an account, each asked once; what a refusal means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.memory import Memory
from llm_spend.readers.api.pages import Page, Progress, list_pages
from llm_spend.readers.api.source import NotAllowedError

Row = Mapping[str, Any]

_ACTIVITY = "/api/v1/activity"
_KEYS = "/api/v1/keys"
_WORKSPACES = "/api/v1/workspaces"
_MEMBERS = "/api/v1/organization/members"
_CREDITS = "/api/v1/credits"


class OpenRouterClient:
    """An open connection with one key."""

    def __init__(self, http: ApiClient) -> None:
        self._http = http
        self._memory = Memory()

    def activity(self, day: date, **asked: str) -> list[Row]:
        """The activity of a UTC day, of what is asked for. Raises UserError for an answer on another day."""
        return self._memory.get((day, *asked.values()), lambda: self._ask_for_activity(day, asked))

    def _ask_for_activity(self, day: date, asked: Mapping[str, str]) -> list[Row]:
        try:
            found = self._http.json("GET", _ACTIVITY, params={"date": day.isoformat(), **asked}, has_money=True)
        except ApiError as error:
            raise _explained(error, day) from None
        rows = found.get("data") if isinstance(found, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise UserError(f"OpenRouter's answer for {day} has no list of activity.", "Check base_url.")
        # The time of a day may be written behind it.
        if others := sorted({str(row.get("date"))[:10] for row in rows} - {day.isoformat()}):
            raise UserError(
                f"OpenRouter was asked for {day} and answered with {', '.join(others[:3])}.",
                "Nothing of this day was loaded. Run it again; if that does not help, report it as a bug.",
            )
        return rows

    def api_keys(self) -> list[Row]:
        """The keys of all workspaces, those that are disabled or expired too, the last used first."""
        return self._memory.get("keys", self._ask_for_keys)

    def workspaces(self) -> list[Row]:
        return self._memory.get("workspaces", lambda: self._rows(_WORKSPACES))

    def members(self) -> list[Row]:
        return self._rows(_MEMBERS)

    def credits(self) -> Row:
        found = self._answer(_CREDITS, {}).get("data")
        return found if isinstance(found, Mapping) else {}

    def _ask_for_keys(self) -> list[Row]:
        try:
            places = [{"workspace_id": str(each.get("id"))} for each in self.workspaces()]
        except NotAllowedError:
            places = []
        found: dict[str, Row] = {}
        # Without a workspace those of the default one are told.
        for place in places or [{}]:
            rows = self._rows(_KEYS, include_disabled="true", include_expired="true", **place)
            found |= {str(row.get("hash")): row for row in rows if row.get("hash")}
        return sorted(found.values(), key=lambda key: str(key.get("last_used_at") or ""), reverse=True)

    def _rows(self, path: str, **params: str) -> list[Row]:
        """All rows of a list."""

        def fetch(offset: int | None) -> Page:
            return self._answer(path, {**params, "offset": str(offset or 0)})

        found = list_pages(fetch, _by_offset, source=f"OpenRouter's {path}", total_at=("total_count",))
        return [row for row in found if isinstance(row, Mapping)]

    def _answer(self, path: str, params: Mapping[str, str]) -> Row:
        try:
            return self._http.json_object("GET", path, params=params, has_money=True)
        except ApiError as error:
            raise _not_listed(error, path) from None


def _by_offset(page: Page, progress: Progress) -> int | None:
    total = page.get("total_count")
    is_last = not progress.rows_of_page or (isinstance(total, int) and progress.rows >= total)
    return None if is_last else progress.rows


def _explained(error: ApiError, day: date) -> UserError:
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason = "the key is wrong or was withdrawn"
            remedy = "Make a management key (OpenRouter: Settings, Management Keys), and give it anew."
        case 403:
            return NotAllowedError(
                f"OpenRouter refused (403): this key may not read activity.{said}",
                "Take a management key: an ordinary API key can't read it.",
            )
        case 400 | 422:
            reason = f"it does not tell of {day}"
            remedy = "It keeps the last 30 days: ask from a later day on with --since."
        case 404 | 405 | 410:
            reason = "there is no such endpoint"
            remedy = "Check `base_url` in [sources.openrouter]."
        case _:
            return error
    return ApiError(f"OpenRouter refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def _not_listed(error: ApiError, path: str) -> UserError:
    said = f" It says: {error.said}" if error.said else ""
    if error.status in (403, 404, 405):
        return NotAllowedError(
            f"OpenRouter refused ({error.status}) to list {path}.{said}",
            "Take a management key; of an account without an organisation there are no members.",
        )
    return error
