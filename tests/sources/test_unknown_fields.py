"""What is kept of fields that no format reads, and that no text is among it unless somebody wants that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_spend.readers.files import find_files
from llm_spend.readers.unknown import UnknownFields, is_looked_into, keeping, names_in, unknown_names
from llm_spend.sources.focus import EXPORTS
from llm_spend.sources.generic import Mapping, log_format
from llm_spend.sources.otel import SPANS
from llm_spend.sources.portkey import LOGS

from .conftest import Warehouse
from .fake_server import records_of
from .test_portkey_api import log

SECRET = "MARKER-of-a-prompt"
NEW: dict[str, Any] = {
    "new_tokens": 12,
    "ratio": 0.25,
    "is_new": True,
    "nothing": None,
    "said": SECRET,
    "details": {"n": {"deep": -1e3, "said": f'{SECRET}", 5, "'}, "list": [SECRET, 2, [SECRET]], "empty": {}},
    "list": [1, SECRET, {"said": SECRET, "n": 2}],
    "embedding": [0.123] * 500,
    "response": {"tokens": 5, "said": SECRET},
    "api_key": SECRET,
    'odd " name\\': 3,
}
OF_NUMBERS = {
    "new_tokens": 12,
    "ratio": 0.25,
    "is_new": True,
    "details": {"n": {"deep": -1e3}, "list": [None, 2, [None]], "empty": {}},
    "list": [1, None, {"said": None, "n": 2}],
    'odd " name\\': 3,
}
OF_ALL = {name: value for name, value in NEW.items() if name not in ("nothing", "response", "api_key")}


@pytest.mark.parametrize(("kept", "expected"), [("numbers", OF_NUMBERS), ("all", OF_ALL), ("none", None)])
def test_what_is_kept(tmp_path: Path, kept: UnknownFields, expected: Any) -> None:
    fmt = keeping(LOGS, [*NEW, "id"], kept)
    told, silent, broken = records_of(fmt, tmp_path, [log("a", **NEW), log("b"), log("c", cost="dear", new_tokens=1)])
    if kept == "none":
        assert (fmt, told.keys()) == (LOGS, LOGS.kinds.keys())
        return
    assert json.loads(told["_extra"]) == expected
    assert (silent["_extra"], silent["_problem"], told["_problem"]) == (None, None, None)
    assert broken["_problem"] == "cost: not an amount: dear"


@pytest.mark.parametrize(
    "text", [SECRET, f'{SECRET}":1,"x', f'x\\"{SECRET}', f"{SECRET}\\", f'"]{SECRET}}}', f"é\n{SECRET}"]
)
def test_no_text_is_among_the_numbers_whatever_is_in_it(tmp_path: Path, text: str) -> None:
    fmt = keeping(LOGS, ["new"], "numbers")
    values = [text, {"a": text, "b": 1}, [text, 1], {"a": {"b": [text]}}, [[text], {"c": text}]]
    for row in records_of(fmt, tmp_path, [log("a", new=value) for value in values]):
        assert row["_problem"] is None
        assert SECRET not in str(row)


def test_a_name_in_a_document_is_no_text_either(tmp_path: Path) -> None:
    fmt = keeping(LOGS, ["new"], "numbers")
    values: list[Any] = [
        {"by_user": {f"{SECRET}@acme.example": 3}},
        [{f"Why is {SECRET}?": 0.9}],
        {"a": f"] {SECRET}", ",": 1, "b": 2},
        {"a": f"}}{SECRET}", "]": 1},
        {"plain-name.1": {"$n": 4}},
    ]
    *rest, plain = records_of(fmt, tmp_path, [log("a", new=value) for value in values])
    assert [row["_extra"] for row in rest] == [None] * len(rest)
    assert json.loads(plain["_extra"]) == {"new": {"plain-name.1": {"$n": 4}}}


@pytest.mark.parametrize(
    "name", ["api_key", "x-api-key", "accessToken", "Authorization", "messages", "content_filtered"]
)
def test_bodies_and_keys_are_left_out_within_documents_too(tmp_path: Path, name: str) -> None:
    fmt = keeping(LOGS, ["new", "other"], "all")
    values: list[Any] = [{"auth": {name: SECRET}}, [{"a": 1, name: [SECRET]}], {name: SECRET}]
    for row in records_of(fmt, tmp_path, [log("a", new=value, other={"said": "kept"}) for value in values]):
        assert json.loads(row["_extra"]) == {"other": {"said": "kept"}}


def test_a_name_in_other_letters_is_not_another_field() -> None:
    assert unknown_names(LOGS, ["ID", "Cost", "new", "NEW", "filename", ""]) == ["NEW"]
    many = keeping(LOGS, [f"new {number}" for number in range(80)], "numbers")
    assert len(many.json_fields) == len(LOGS.json_fields) + 50


def test_json_files_are_looked_into_and_tables_and_documents_of_several_records_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"at": 1, "new": 2}\nbroken\n[5]\n{"other": 3}\n', encoding="utf-8")
    (tmp_path / "b.csv").write_text("at,new\n1,2\n", encoding="utf-8")
    fmt = log_format(Mapping(columns={"started_at": "at"}))
    lines, table = find_files(str(tmp_path))
    assert (names_in(fmt, lines), names_in(fmt, table)) == (["new", "other"], [])
    assert (is_looked_into(fmt), is_looked_into(SPANS), is_looked_into(EXPORTS)) == (True, False, False)


def test_files_keep_them_when_all_is_wanted(make_warehouse: Callable[[str], Warehouse]) -> None:
    warehouse = make_warehouse("unknown-fields")
    path = warehouse.write("a.jsonl.gz", [log("a", seconds=5, said="hello")])
    warehouse.write("b.jsonl", [log("b")])
    for instance, kept in (("default", "numbers"), ("all", "all")):
        report = warehouse.load("portkey", path.parent / "?.jsonl*", instance=instance, unknown_fields=kept)
        assert (report.rows, report.quarantined) == (2, 0)
    query = "select _source_instance, id, _extra from raw.portkey__logs where id is not null order by 1, 2"
    found = warehouse.rows(query)
    extra = '{"said":"hello","seconds":5}'
    assert found == [("all", "a", extra), ("all", "b", None), ("default", "a", None), ("default", "b", None)]
