"""Requests to Anthropic's Admin API: what a refusal means, and the two kinds of pages.

Reports and newer lists have a cursor in `next_page`, which belongs to the question it came with; older lists go on
after the last id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Page, Progress, incomplete, list_pages, objects
from llm_spend.readers.api.source import NotAllowedError

Row = Mapping[str, Any]
Params = Mapping[str, Any]

_T = TypeVar("_T")

_ORDINARY_KEY = "sk-ant-api"
_MAKE_ADMIN_KEY = "Make an Admin key (Claude Console: Settings, Admin keys), and give it as `admin_key`."


@dataclass(frozen=True)
class Right:
    """Something that a key may do, after "to", and what helps when it may not."""

    action: str
    remedy: str = "Give the key that right, or take an Admin key (sk-ant-admin…); all else is loaded."


class Report(NamedTuple):
    """The rows of all pages of a report. `refreshed_at`: up to when its data reach, as it says; None if it does not."""

    rows: list[Row]
    refreshed_at: str | None


@dataclass(frozen=True)
class AnthropicClient:
    """An open connection with one key."""

    http: ApiClient
    key: str = ""

    def report(self, right: Right, path: str, params: Params) -> Report:
        """All rows of a report. Raises UserError as `list_pages` does, and for refusals."""
        refreshed: list[str] = []

        def fetch(page: str | None) -> Page:
            found = self.ask(right, path, {**params, "page": page} if page else params)
            if isinstance(at := found.get("data_refreshed_at"), str):
                refreshed.append(at)
            return found

        rows = list_pages(fetch, _next_page(path), source=f"Anthropic's {path}")
        return Report(objects(rows, f"Anthropic's {path}"), min(refreshed, default=None))

    def listed(self, right: Right, path: str, params: Params) -> list[Row]:
        """All rows of a list that goes on after the last id."""

        def fetch(last_id: str | None) -> Page:
            return self.ask(right, path, {**params, "after_id": last_id} if last_id else params)

        source = f"Anthropic's {path}"
        return objects(list_pages(fetch, _after_id(path), source=source), source)

    def ask(self, right: Right, path: str, params: Params) -> Row:
        """The object that a question is answered with.

        Raises NotAllowedError when key or organisation lack a right, ApiError for other refusals.
        """
        try:
            return self.http.json_object("GET", path, params=params, has_money=True)
        except ApiError as error:
            raise refusal(error, right, self.key) from None


def offered(ask: Callable[[], _T]) -> _T:
    """What `ask` gives, of something that an organisation of another kind does not have: it is refused with 400."""
    try:
        return ask()
    except ApiError as error:
        if error.status != 400:
            raise
        raise NotAllowedError(error.problem, "This kind of organisation may not have it; all else is loaded.") from None


def refusal(error: ApiError, right: Right, key: str = "") -> UserError:
    """One sentence that says what to do about a refusal."""
    said = f" It says: {error.said}" if error.said else ""
    is_ordinary = key.startswith(_ORDINARY_KEY)
    match error.status:
        case 401 | 403 if is_ordinary:
            reason, remedy = (
                "this is an ordinary API key, and reports take an Admin key (sk-ant-admin…)",
                _MAKE_ADMIN_KEY,
            )
        case 401:
            reason, remedy = "the key is wrong or was withdrawn", _MAKE_ADMIN_KEY
        case 403:
            reason, remedy = f"the key may not {right.action}", right.remedy
        case 404 | 405:
            reason, remedy = f"there is nothing here to {right.action}", f"{right.remedy} Check `base_url`, too."
        case 400 if "anthropic-beta" in error.said:
            reason, remedy = f"it no longer lets one {right.action} as a beta, or not yet", "Report this as a bug."
        case _:
            return error
    problem = f"Anthropic refused ({error.status}): {reason}.{said}"
    if error.status == 401:
        return ApiError(problem, remedy, error.status, error.said)
    return NotAllowedError(problem, remedy)


def _next_page(path: str) -> Any:
    def following(page: Page, progress: Progress) -> Any:
        name, has_more = page.get("next_page"), page.get("has_more")
        if has_more and not name:
            raise incomplete(f"Anthropic's {path}", f"page {progress.pages} says that there are more and names none")
        return None if has_more is False else name or None

    return following


def _after_id(path: str) -> Any:
    def following(page: Page, progress: Progress) -> Any:
        if not page.get("has_more"):
            return None
        if not page.get("last_id"):
            raise incomplete(f"Anthropic's {path}", f"page {progress.pages} says that there are more and names none")
        return page["last_id"]

    return following
