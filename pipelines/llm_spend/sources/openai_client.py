"""Requests to OpenAI's admin API: what a refusal means, and the two kinds of pages.

Reports have daily buckets and the token of the next page; lists go on after the last id. A key of a project may read
none of it, whatever it may do besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Page, Progress, incomplete, list_pages, objects
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.windows import Window

Row = Mapping[str, Any]

DAY = timedelta(days=1)
MOST_PAGES = 500
"""Of one report, which is asked for 180 days at most."""

_ADMIN_KEY = "sk-admin-"
_MAKE_ADMIN_KEY = "Make one in OpenAI's settings (Organization, Admin keys), and give it as `admin_key`."
_PAGE_SIZE = 100
_RIGHT_WORDS = ("permission", "scope")


@dataclass(frozen=True)
class Right:
    """Something that a key may do, after "to", and what helps when it may not."""

    action: str
    remedy: str = "Give the admin key the right to read it; all else is loaded."


class Bucket(NamedTuple):
    """A UTC day of a report, with its rows; naive times."""

    start: datetime
    rows: list[Row]

    @property
    def end(self) -> datetime:
        return self.start + DAY


@dataclass(frozen=True)
class OpenAIClient:
    """An open connection with one key."""

    http: ApiClient
    key: str = ""

    def ask(self, right: Right, path: str, params: Mapping[str, Any]) -> Row:
        """The object that a question is answered with.

        Raises NotAllowedError when the key may not ask, ApiError for other refusals.
        """
        try:
            return self.http.json_object("GET", path, params=params, has_money=True)
        except ApiError as error:
            raise self._explained(error, right, path) from None

    def buckets(self, right: Right, path: str, span: Window, params: Mapping[str, Any]) -> list[Bucket]:
        """The days of a report that are in a span, read to its last page; days without rows may be left out.

        Raises UserError when pages are missing, overlap or don't end.
        """
        source = f"OpenAI's {path}"
        asked = {"start_time": _epoch(span.start), "end_time": _epoch(span.end), "bucket_width": "1d", **params}

        def fetch(token: str | None) -> Page:
            return self.ask(right, path, {**asked, "page": token} if token else asked)

        def following(page: Page, progress: Progress) -> str | None:
            if not _has_more(page, source, progress):
                return None
            # Costs are known to offer pages behind the last day that was asked for.
            days = _buckets(page["data"], source)
            if days and min(day.start for day in days) >= span.end:
                return None
            if progress.pages == MOST_PAGES:
                raise incomplete(source, f"they don't end after {MOST_PAGES} pages")
            return _named(page.get("next_page"), source, progress)

        found: dict[datetime, Bucket] = {}
        for bucket in _buckets(list_pages(fetch, following, source=source), source):
            if bucket.start in found:
                raise incomplete(source, f"{bucket.start.date()} comes twice")
            found[bucket.start] = bucket
        return [bucket for bucket in found.values() if span.start <= bucket.start < span.end]

    def listed(self, right: Right, path: str, params: Mapping[str, Any]) -> list[Row]:
        """All rows of a list. Raises UserError as `list_pages` does, and for refusals."""
        source = f"OpenAI's {path}"

        def fetch(after: str | None) -> Page:
            return self.ask(right, path, {**params, "limit": _PAGE_SIZE} | ({"after": after} if after else {}))

        def following(page: Page, progress: Progress) -> str | None:
            if not _has_more(page, source, progress):
                return None
            last = page["data"][-1] if page["data"] else None
            return _named(
                page.get("last_id") or (last.get("id") if isinstance(last, Mapping) else None), source, progress
            )

        return objects(list_pages(fetch, following, source=source), source)

    def _explained(self, error: ApiError, right: Right, path: str) -> UserError:
        """One sentence that says what to do about a refusal."""
        said = f" It says: {error.said}" if error.said else ""
        is_right = error.status == 403 or any(word in error.said.lower() for word in _RIGHT_WORDS)
        match error.status:
            case 401 | 403 if not self.key.startswith(_ADMIN_KEY):
                reason = "this is no admin key (sk-admin-…), and only these read what an organization used and paid"
                return NotAllowedError(f"OpenAI refused ({error.status}): {reason}.{said}", _MAKE_ADMIN_KEY)
            case 401 | 403 if is_right:
                reason = f"the key lacks the permission to {right.action}"
                return NotAllowedError(f"OpenAI refused ({error.status}): {reason}.{said}", right.remedy)
            case 401:
                reason, remedy = "the key is wrong or was withdrawn", _MAKE_ADMIN_KEY
            case 404:
                reason, remedy = f"it does not offer {path} here", "Check base_url; it is the API's."
            case 400:
                reason, remedy = f"it can't {right.action} as it was asked", "Report this as a bug."
            case _:
                return error
        return ApiError(f"OpenAI refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def _has_more(page: Page, source: str, progress: Progress) -> bool:
    has_more = page.get("has_more")
    if not isinstance(has_more, bool):
        raise incomplete(source, f"page {progress.pages} does not say whether it is the last")
    return has_more


def _named(name: Any, source: str, progress: Progress) -> str:
    if not isinstance(name, str) or not name:
        raise incomplete(source, f"page {progress.pages} does not say how to get the next one")
    return name


def _buckets(rows: list[Any], source: str) -> list[Bucket]:
    return [_bucket(row, source) for row in objects(rows, source)]


def _bucket(row: Row, source: str) -> Bucket:
    start, end, results = row.get("start_time"), row.get("end_time"), row.get("results")
    if not isinstance(start, int) or start % 86400 or end != start + 86400:
        raise incomplete(source, f"a bucket is no UTC day: it is from {start} to {end}")
    if not isinstance(results, list):
        raise incomplete(source, "a bucket has no list of results")
    return Bucket(datetime.fromtimestamp(start, UTC).replace(tzinfo=None), objects(results, source))


def _epoch(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())
