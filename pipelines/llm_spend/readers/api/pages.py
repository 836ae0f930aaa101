"""Pages of rows into a spool file, with the proof that they are all there.

A page is parsed once, and its rows are written as JSON lines at once: memory holds one page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.spool import Spool

Page = Mapping[str, Any]
FetchPage = Callable[[Any], Page]
"""A page by what names it: None for the first, then what `Paging` gave."""

Paging = Callable[[Page, int, int], Any]
"""What names the next page, from a page, the rows in it and the rows so far; None when it was the last."""


def by_token(*path: str) -> Paging:
    """Each page holds the token of the next one at a path of keys; the last holds none."""

    def following(page: Page, rows: int, total: int) -> Any:
        return _at(page, path) or None

    return following


def by_number(page_size: int, *, first: int = 0, total_at: tuple[str, ...] = ("total",)) -> Paging:
    """Pages are counted from `first`, and each says at `total_at` how many rows there are in all.

    Without that number a page that is not full is the last.
    """
    turned = iter(range(first + 1, 1 << 62))

    def following(page: Page, rows: int, total: int) -> Any:
        declared = _at(page, total_at)
        is_last = total >= declared if isinstance(declared, int) else rows < page_size
        return None if is_last else next(turned)

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

    Raises UserError when a page has no list of rows at `rows_at`, when a page comes again or its token does, when a
    page in the middle is empty, and when there are fewer rows in the end than a page said at `total_at`.
    """
    seen_names: set[bytes] = set()
    seen_pages: set[bytes] = set()
    total, declared, name, number = 0, 0, None, 0
    while True:
        page = fetch(name)
        number += 1
        rows = _at(page, rows_at)
        if not isinstance(rows, list):
            raise _incomplete(source, f"page {number} has no list of rows at {'.'.join(rows_at)}")
        lines = spool.add_rows(rows)
        if rows and _is_known(lines, seen_pages):
            raise _incomplete(source, f"page {number} has the rows of a page before it")
        total += len(rows)
        if total_at and isinstance(of_page := _at(page, total_at), int):
            declared = max(declared, of_page)
        name = following(page, len(rows), total)
        if name is None:
            break
        if _is_known(repr(name).encode(), seen_names):
            raise _incomplete(source, f"page {number} leads back to a page before it")
        if not rows:
            raise _incomplete(source, f"page {number} is empty, but not the last")
    if total < declared:
        raise _incomplete(source, f"{declared:,} rows were announced and {total:,} came")
    return total


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


def _incomplete(source: str, what: str) -> UserError:
    return UserError(
        f"The pages of {source} are not complete: {what}.",
        "Nothing of this window was loaded. Run it again; if that does not help, report it as a bug.",
    )
