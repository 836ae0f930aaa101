"""Pages: every row once, or an error that says what is not complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_spend.errors import UserError
from llm_spend.readers.api.pages import Paging, by_number, by_token, spool_pages
from llm_spend.readers.api.spool import CutOffError, Spool


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": str(number), "cost": 0.1, "name": "é\u2028\n"} for number in range(first, last)]


def spooled(path: Path, pages: dict[Any, Any], paging: Paging, **options: Any) -> list[dict[str, Any]]:
    with Spool(path) as spool:
        count = spool_pages(spool, pages.__getitem__, paging, source="the fake", **options)
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert count == len(found) == spool.rows
    return found


def test_pages_are_followed_by_their_token(tmp_path: Path) -> None:
    pages = {
        None: {"result": {"rows": rows(0, 2)}, "meta": {"next": "b"}},
        "b": {"result": {"rows": []}, "meta": {"next": "c"}},
        "c": {"result": {"rows": rows(2, 3)}, "meta": {"next": None}},
    }
    paging = by_token("meta", "next")
    assert spooled(tmp_path / "a", pages, paging, rows_at=("result", "rows")) == rows(0, 3)


@pytest.mark.parametrize("has_total", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_pages_are_counted(tmp_path: Path, has_total: bool, count: int) -> None:
    total = {"total": count} if has_total else {}
    pages = {
        None if page == 0 else page: {"data": rows(0, count)[page * 2 : page * 2 + 2], **total} for page in range(4)
    }
    assert spooled(tmp_path / "a", pages, by_number(2)) == rows(0, count)


BROKEN = {
    "a token that leads back": (
        {None: {"data": rows(0, 1), "next": "b"}, "b": {"data": rows(1, 2), "next": "b"}},
        "page 2 leads back to a page before it",
    ),
    "a loop over two pages": (
        {
            None: {"data": rows(0, 1), "next": "b"},
            "b": {"data": rows(1, 2), "next": "c"},
            "c": {"data": rows(2, 3), "next": "b"},
        },
        "page 3 leads back to a page before it",
    ),
    "the same rows again": (
        {None: {"data": rows(0, 2), "next": "b"}, "b": {"data": rows(0, 2), "next": None}},
        "page 2 has the rows of a page before it",
    ),
    "fewer rows than announced": (
        {None: {"data": rows(0, 2), "total": 3, "next": "b"}, "b": {"data": [], "total": 3, "next": None}},
        "3 rows were announced and 2 came",
    ),
    "no list": ({None: {"data": None, "next": None}}, "page 1 has no list of rows at data"),
    "another document": ({None: ["error"]}, "page 1 has no list of rows at data"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_pages_that_are_not_complete_are_an_error(tmp_path: Path, case: str) -> None:
    pages, said = BROKEN[case]
    with pytest.raises(UserError, match=f"The pages of the fake are not complete: {said}"):
        spooled(tmp_path / "a", pages, by_token("next"), total_at=("total",))


def test_counted_pages_that_end_too_early_are_an_error(tmp_path: Path) -> None:
    pages = {None: {"data": rows(0, 2), "total": 3}, 1: {"data": [], "total": 3}}
    with pytest.raises(UserError, match="3 rows were announced and 2 came"):
        spooled(tmp_path / "a", pages, by_number(2), total_at=("total",))


def test_fields_are_noted(tmp_path: Path) -> None:
    with Spool(tmp_path / "a") as spool:
        spool.add_rows([{"id": 1, "new": 2}, "no row"])
        spool.add_lines(lambda file: file.write(b'{"other": 1}\nbroken\n{}'))
        assert spool.names == {"id", "new", "other"}
        assert spool.rows == 5


lines = st.lists(st.sampled_from([b"{}", b'{"a": "\xc3\xa9"}', b"", b"  ", b'{"b": [1, 2]}', b"\r"]), max_size=30)


@given(lines, st.booleans(), st.integers(1, 9))
def test_every_line_that_is_not_blank_is_counted(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], ends: bool, size: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "a"
    text = b"\n".join(content) + (b"\n" if ends else b"")

    def in_parts(file: Any) -> None:
        for start in range(0, len(text), size):
            file.write(text[start : start + size])

    expected = [line for line in content if line.strip()]
    with Spool(path) as spool:
        spool.add_rows([{"first": 1}])
        assert spool.add_lines(in_parts) == len(expected)
        spool.add_rows([{"last": 1}])
    written = [line.strip() for line in path.read_bytes().split(b"\n") if line.strip()]
    assert written == [b'{"first":1}', *[line.strip() for line in expected], b'{"last":1}']


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": ', b'{"a": 1', b"\x1f\x8bnot gzip", b"\x1f\x8b\x08\x00"])
def test_what_is_cut_off_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    with Spool(tmp_path / "a") as spool:
        spool.add_rows([{"first": 1}])
        with pytest.raises(CutOffError):
            spool.add_lines(lambda file: file.write(content))
        spool.add_rows([{"last": 1}])
    assert (tmp_path / "a").read_bytes() == b'{"first":1}\n{"last":1}\n'
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_an_error_while_receiving_leaves_nothing(tmp_path: Path) -> None:
    def fails(file: Any) -> None:
        file.write(b'{"a": 1}\n')
        raise KeyboardInterrupt

    with Spool(tmp_path / "a") as spool, pytest.raises(KeyboardInterrupt):
        spool.add_lines(fails)
    assert (tmp_path / "a").read_bytes() == b""
