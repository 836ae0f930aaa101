"""Requests to Portkey's API: what a refusal means, pages of lists, and the workspace that is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Page, by_number, list_pages
from llm_spend.readers.api.source import NotAllowedError

Row = Mapping[str, Any]

_PAGE_SIZE = 100
_PLAN_WORDS = ("plan", "upgrade", "enterprise", "subscription")


@dataclass(frozen=True)
class Right:
    """Something that a key may do, after "to", and what helps when the key may not or the plan lacks it."""

    action: str
    without_right: str
    without_plan: str


@dataclass(frozen=True)
class Workspace:
    """The workspace that is asked about, by both of its names; None: that of the key."""

    id: str | None = None
    slug: str | None = None

    @property
    def by_id(self) -> dict[str, str]:
        """What names it in most requests."""
        return {"workspace_id": self.id} if self.id else {}

    @property
    def by_slug(self) -> dict[str, str]:
        """What names it in requests for analytics."""
        return {"workspace_slug": self.slug} if self.slug else {}


@dataclass(frozen=True)
class PortkeyClient:
    """An open connection with one key."""

    http: ApiClient
    workspace: Workspace = Workspace()

    def ask(self, right: Right, method: str, path: str, *, is_offered: bool = False, **options: Any) -> Row:
        """The object that a request is answered with; `is_offered`: earlier answers tell that there is such a thing.

        Raises NotAllowedError when the key or the plan lacks a right, ApiError for other refusals.
        """
        try:
            return self.http.json_object(method, path, **options)
        except ApiError as error:
            raise (error if is_offered and error.status in (404, 405) else refusal(error, right)) from None

    def rows(
        self,
        right: Right,
        path: str,
        params: Mapping[str, str] = MappingProxyType({}),
        names: tuple[str, str] = ("current_page", "page_size"),
    ) -> list[Row]:
        """All rows of a list. `names`: what its pages' number and size are called."""
        number, size = names

        def fetch(page: int | None) -> Page:
            return self.ask(right, "GET", path, params={**params, number: page or 0, size: _PAGE_SIZE})

        found = list_pages(fetch, by_number(_PAGE_SIZE), source=f"Portkey's {path}", total_at=("total",))
        return [row for row in found if isinstance(row, Mapping)]


def refusal(error: ApiError, right: Right) -> UserError:
    """One sentence that says what to do about a refusal."""
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason = "the key is wrong or was withdrawn"
            remedy = f"Make a service key in Portkey with the permission to {right.action}, and give it anew."
            return ApiError(f"Portkey refused (401): {reason}.{said}", remedy, error.status, error.said)
        case 403 if not any(word in error.said.lower() for word in _PLAN_WORDS):
            reason, remedy = f"the key lacks the permission to {right.action}", right.without_right
        case 402 | 403 | 404 | 405:
            reason, remedy = f"it does not offer here to {right.action}", right.without_plan
        case _:
            return error
    return NotAllowedError(f"Portkey refused ({error.status}): {reason}.{said}", remedy)
