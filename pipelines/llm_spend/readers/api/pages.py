"""Pages of rows into a spool file, with the proof that they are all there.

A page is parsed once, and its rows are written as JSON lines at once: memory holds one page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from llm_spend.errors import UserError
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import exact

Page = Mapping[str, Any]
FetchPage = Callable[[Any], Page]
"""A page by what names it: None for the first, then what `Paging` gave."""


class Progress(NamedTuple):
    """Where a reading of pages is: pages so far, rows of the last one, rows of all."""

    pages: int
    rows_of_page: int
    rows: int


Paging = Callable[[Page, Progress], Any]
"""What names the next page, from the last one; None when there is no other."""


def by_token(*path: str) -> Paging:
    """Each page holds the token of the next one at a path of keys; the last holds none."""

    def following(page: Page, progress: Progress) -> Any:
        return _at(page, path) or None

    return following


def by_number(page_size: int, *, first: int = 0, total_at: tuple[str, ...] = ("total",)) -> Paging:
    """Pages are counted from `first`, and each says at `total_at` how many rows there are in all.

    Without that number a page that is not full is the last.
    """

    def following(page: Page, progress: Progress) -> Any:
        declared = _at(page, total_at)
        is_last = progress.rows_of_page < page_size
        if isinstance(declared, int):
            is_last = progress.rows >= declared or not progress.rows_of_page
        return None if is_last else first + progress.pages

    return following


def spool_pages(
    spool: Spool,
    fetch: FetchPage,
    following: Paging,
    *,
    source: str,
    rows_at: tuple[str, ...] = ("data",),
    total_at: tuple[str, ...] | None = None,
) -> int:
    """Write the rows of all pages; how many there were.

    Raises UserError when a page has no list of rows at `rows_at`, when a page comes again or its name does, and when
    there are fewer rows in the end than a page said at `total_at`.
    """
    return _take_pages(spool.add_rows, fetch, following, source, rows_at, total_at)


def list_pages(
    fetch: FetchPage,
    following: Paging,
    *,
    source: str,
    rows_at: tuple[str, ...] = ("data",),
    total_at: tuple[str, ...] | None = None,
) -> list[Any]:
    """The rows of all pages of a list that is not long. Raises UserError as spool_pages does."""
    found: list[Any] = []

    def take(rows: Sequence[Any]) -> bytes:
        found.extend(rows)
        return orjson.dumps(rows, exact)

    _take_pages(take, fetch, following, source, rows_at, total_at)
    return found


def _take_pages(
    take: Callable[[Sequence[Any]], bytes],
    fetch: FetchPage,
    following: Paging,
    source: str,
    rows_at: tuple[str, ...],
    total_at: tuple[str, ...] | None,
) -> int:
    """Hand the rows of all pages to `take`, which gives what tells one page from another; how many there were."""
    seen_names: set[bytes] = set()
    seen_pages: set[bytes] = set()
    declared, name, progress = 0, None, Progress(0, 0, 0)
    while True:
        page = fetch(name)
        number = progress.pages + 1
        rows = _at(page, rows_at)
        if not isinstance(rows, list):
            raise incomplete(source, f"page {number} has no list of rows at {'.'.join(rows_at)}")
        content = take(rows)
        if rows and _is_known(content, seen_pages):
            raise incomplete(source, f"page {number} has the rows of a page before it")
        progress = Progress(number, len(rows), progress.rows + len(rows))
        if total_at and isinstance(of_page := _at(page, total_at), int):
            declared = max(declared, of_page)
        name = following(page, progress)
        if name is None:
            break
        if _is_known(repr(name).encode(), seen_names):
            raise incomplete(source, f"page {number} leads back to a page before it")
    if progress.rows < declared:
        raise incomplete(source, f"{declared:,} rows were announced and {progress.rows:,} came")
    return progress.rows


def _is_known(content: bytes, seen: set[bytes]) -> bool:
    found = blake2b(content, digest_size=16).digest()
    if found in seen:
        return True
    seen.add(found)
    return False


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def objects(rows: list[Any], source: str) -> list[Mapping[str, Any]]:
    """Rows that are objects. Raises UserError when one is not."""
    if not all(isinstance(row, Mapping) for row in rows):
        raise incomplete(source, "a row is no object")
    return rows


def incomplete(source: str, what: str) -> UserError:
    """What to say of pages that don't hold all rows."""
    return UserError(
        f"The pages of {source} are not complete: {what}.",
        "Nothing of this window was loaded. Run it again; if that does not help, report it as a bug.",
    )
