"""What happens to files: broken ones, the same ones again, remote ones, and loads that were killed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest

import llm_spend.load
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.sources.portkey import LOGS

from .conftest import Warehouse
from .fake_server import read_back


def log(record_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": record_id, "created_at": "2026-03-01T10:00:00Z", "req_units": 10, "cost": 0.5, **fields}


def line(record_id: str, **fields: Any) -> str:
    return json.dumps(log(record_id, **fields)) + "\n"


@pytest.fixture(scope="module")
def warehouse(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("files")


def ids(warehouse: Warehouse, instance: str) -> list[str]:
    found = warehouse.rows(
        "select id from raw.portkey__logs where _source_instance = ? and _problem is null order by id", instance
    )
    return [row[0] for row in found]


NOTHING_KNOWN = "not a JSON object with a field of a log record"


@pytest.fixture(scope="module")
def dirty(warehouse: Warehouse) -> Warehouse:
    many = "".join(line(f"n{n}") for n in range(2000)).encode()
    # DuckDB looks for the rest of a line in the next one, and ends where a document does not end with its line.
    lines_cut = '{"id": \n' + line("cut-1") + '{"id": "x", "metadata": [1,\n' + line("cut-2")
    over_lines = json.dumps(log("over several lines"), indent=1) + "\r\n" + line("cut-3")
    files: dict[str, bytes] = {
        "array-broken.json": f"[{line('x')},{line('y')[:30]}".encode(),
        "blank.jsonl": f"\n\n{line('blank')}\n  \n{{broken\n".encode(),
        "broken.jsonl": f"{line('before')}{{broken\n{line('after')}".encode(),
        "cut.jsonl.gz": gzip.compress(many)[:-100],
        "cut-in-its-last-bytes.jsonl.gz": gzip.compress(many)[:-4],
        "empty.jsonl": b"",
        "empty.jsonl.gz": gzip.compress(b""),
        "half.jsonl": f"{line('whole')}{line('half')[:50]}".encode(),
        "cut-lines.jsonl": (lines_cut + over_lines).encode(),
        "cut-lines-too.jsonl.gz": gzip.compress(lines_cut.replace("cut", "cut-too").encode()),
        "latin.jsonl": line("latin-1").encode() + b'{"id": "\xe9"}\n' + line("latin-2").encode(),
        "not-gzip.jsonl.gz": line("x").encode(),
        "odd [1]*?.jsonl": line("odd-name").encode(),
        "pretty-cut.json": json.dumps(log("x"), indent=1).encode()[:-20],
        "scalars.jsonl": b'1\n"x"\nnull\n[1]\n{}\n',
        "wrong.jsonl": (line("x", req_units="many") + line("x", created_at="noon") + line("right")).encode(),
        "zero.jsonl.gz": b"",
    }
    for name, content in files.items():
        warehouse.write(f"dirty/{name}", content)
    report = warehouse.load("portkey", warehouse.folder / "dirty", instance="dirty", keep_raw_text=True)
    assert report.files == len(files)
    assert report.quarantined == len(warehouse.quarantine("dirty")) == 27
    return warehouse


def test_what_can_be_read_is_loaded(dirty: Warehouse) -> None:
    whole = ["after", "before", "blank", "cut-1", "cut-2", "cut-3", "cut-too-1", "cut-too-2", "latin-1", "latin-2"]
    assert ids(dirty, "dirty") == [*whole, "odd-name", "right", "whole"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blank.jsonl", [(6, "not valid JSON")]),
        ("broken.jsonl", [(2, "not valid JSON")]),
        ("cut-lines.jsonl", [(number, "not valid JSON") for number in (1, 3, 5, 6, 7, 8, 9, 10)]),
        ("cut-lines-too.jsonl.gz", [(1, "not valid JSON"), (3, "not valid JSON")]),
        ("half.jsonl", [(2, "not valid JSON")]),
        ("latin.jsonl", [(2, "not valid JSON")]),
        (
            "wrong.jsonl",
            [(1, "req_units: not a whole number of 0 or more: many"), (2, "created_at: not a timestamp: noon")],
        ),
        ("scalars.jsonl", [(number, NOTHING_KNOWN) for number in range(1, 6)]),
        ("cut.jsonl.gz", [(None, "not a whole gzip file: it ends too early")]),
        ("cut-in-its-last-bytes.jsonl.gz", [(None, "not a whole gzip file: it ends too early")]),
        ("not-gzip.jsonl.gz", [(None, "not a whole gzip file: Not a gzipped file (b'{\"')")]),
        ("zero.jsonl.gz", [(None, "not a whole gzip file: it has 0 bytes")]),
        ("empty.jsonl", []),
        ("empty.jsonl.gz", []),
    ],
)
def test_what_cannot_be_read_is_told(dirty: Warehouse, name: str, expected: list[tuple[int | None, str]]) -> None:
    assert [(number, reason) for file, number, reason in dirty.quarantine("dirty") if file == name] == expected


def test_a_line_that_was_cut_off_anywhere_takes_no_other_with_it(tmp_path: Path) -> None:
    whole = line("cut", metadata={"a": [1, {"b": "x"}], "c": None})
    places = range(1, len(whole) - 1)
    for place in places:
        end = "\r\n" if place % 2 else "\n"
        cut = f"{line('first')}{whole[:place]}{end}{line(str(place))}{line('last')}"
        (tmp_path / f"{place}.jsonl").write_text(cut, encoding="utf-8", newline="")
    found = [row["id"] for row in read_back(LOGS, tmp_path) if row["_problem"] is None]
    expected = [*map(str, places), *["first", "last"] * len(places)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("array-broken.json", "can't be read as a JSON array"), ("pretty-cut.json", "can't be read as JSON")],
)
def test_a_broken_document_is_left_out_whole(dirty: Warehouse, name: str, reason: str) -> None:
    found = [entry for entry in dirty.quarantine("dirty") if entry[0] == name]
    assert len(found) == 1
    assert found[0][1] is None
    assert found[0][2].startswith(reason)


def test_raw_text_is_kept_on_demand(dirty: Warehouse) -> None:
    kept = dirty.rows("select raw_text from raw.llm_spend__quarantine where file like '%/dirty/broken.jsonl'")
    assert kept == [("{broken",)]


def test_a_file_is_loaded_once_and_again_when_it_changed(warehouse: Warehouse) -> None:
    name, path = "grows/log.jsonl", warehouse.folder / "grows" / "*.jsonl"
    warehouse.write(name, line("1") + "{broken\n")
    first = warehouse.load("portkey", path, instance="grows")
    assert (first.files, first.skipped_files, first.rows, first.quarantined) == (1, 0, 2, 1)
    again = warehouse.load("portkey", path, instance="grows")
    assert (again.files, again.skipped_files, again.rows, again.quarantined) == (0, 1, 0, 0)
    warehouse.write(name, line("1") + "{broken\n" + line("2"))
    grown = warehouse.load("portkey", path, instance="grows")
    assert (grown.files, grown.rows, grown.quarantined) == (1, 3, 1)
    warehouse.write("grows/overlap.jsonl", line("2") + line("3"))
    overlapping = warehouse.load("portkey", path, instance="grows")
    assert (overlapping.files, overlapping.skipped_files, overlapping.rows) == (1, 1, 2)
    warehouse.write(name, line("4", cost=9))
    replaced = warehouse.load("portkey", path, instance="grows")
    assert (replaced.files, replaced.rows) == (1, 1)
    # Raw tables keep every version; the models count each request once.
    assert ids(warehouse, "grows") == ["1", "1", "2", "2", "3", "4"]


def test_a_gzip_file_of_several_members_is_read_to_its_end(warehouse: Warehouse) -> None:
    path = warehouse.write("members.jsonl.gz", gzip.compress(line("m1").encode()) + gzip.compress(line("m2").encode()))
    assert warehouse.load("portkey", path, instance="members").rows == 2
    found = warehouse.rows("select id, _file from raw.portkey__logs where _source_instance = 'members' order by id")
    assert found == [("m1", str(path)), ("m2", str(path))]


def test_nothing_new_starts_no_pipeline(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    path = warehouse.write("nothing.jsonl", line("1"))
    warehouse.load("portkey", path, instance="nothing")
    with monkeypatch.context() as patched:
        patched.delattr(llm_spend.load, "open_pipeline")
        assert warehouse.load("portkey", path, instance="nothing").skipped_files == 1


def test_the_same_file_may_be_loaded_for_two_instances(warehouse: Warehouse) -> None:
    path = warehouse.write("shared.jsonl", line("shared"))
    assert warehouse.load("portkey", path, instance="east").rows == 1
    assert warehouse.load("portkey", path, instance="west").rows == 1


def test_a_path_without_a_match(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match=r"No file matches '.*none\*\.jsonl'"):
        warehouse.load("portkey", warehouse.folder / "none*.jsonl")


def test_an_unknown_source(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match=r"no source 'nobody'.*portkey, truefoundry, litellm, otel"):
        warehouse.load("nobody", warehouse.folder)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    database = tmp_path / "notes.duckdb"
    database.write_text("these are notes")
    log_file = tmp_path / "log.jsonl"
    log_file.write_text(line("1"))
    with pytest.raises(UserError, match=r"notes\.duckdb can't be opened"):
        llm_spend.load.load_logs("portkey", str(log_file), DuckDb(database))


@pytest.fixture
def bucket() -> Iterator[str]:
    """An object store in memory, where an S3 bucket would be."""
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/2026/03/a.jsonl", (line("remote-1") + "{broken\n").encode())
    store.pipe("/bucket/2026/04/a.jsonl.gz", gzip.compress(line("remote-2").encode()))
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


def test_a_bucket_is_read_and_shown_by_its_urls(warehouse: Warehouse, bucket: str) -> None:
    report = warehouse.load("portkey", f"{bucket}/2026/**/*.jsonl*", instance="bucket")
    assert (report.files, report.rows, report.quarantined) == (2, 3, 1)
    found = warehouse.rows("select id, _file from raw.portkey__logs where _source_instance = 'bucket' order by id")
    assert found == [
        ("remote-1", "memory:///bucket/2026/03/a.jsonl"),
        ("remote-2", "memory:///bucket/2026/04/a.jsonl.gz"),
        (None, "memory:///bucket/2026/03/a.jsonl"),
    ]
    assert warehouse.quarantine("bucket") == [("a.jsonl", 2, "not valid JSON")]
    again = warehouse.load("portkey", f"{bucket}/2026/", instance="bucket")
    assert (again.files, again.skipped_files) == (0, 2)


def kill_before_noting(warehouse: Warehouse, path: Path, instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(llm_spend.load, "note_unreadable", killed)
        warehouse.load("portkey", path, instance=instance)
    assert warehouse.quarantine(instance) == []


def test_a_load_that_was_killed_before_it_noted_is_made_good(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = warehouse.write("killed/a.jsonl", line("a") + "{broken\n")
    kill_before_noting(warehouse, path, "killed", monkeypatch)
    report = warehouse.load("portkey", path, instance="killed")
    assert (report.files, report.rows, report.quarantined) == (0, 0, 0)
    assert warehouse.quarantine("killed") == [("a.jsonl", 2, "not valid JSON")]
    warehouse.load("portkey", path, instance="killed")
    assert len(warehouse.quarantine("killed")) == 1


def test_a_file_that_is_gone_still_tells_the_reason(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    path = warehouse.write("gone/a.jsonl", line("a") + line("b", cost="dear"))
    kill_before_noting(warehouse, path, "gone", monkeypatch)
    path.unlink()
    warehouse.load("portkey", warehouse.write("gone/b.jsonl", line("c")), instance="gone")
    assert warehouse.quarantine("gone") == [("a.jsonl", None, "cost: not an amount: dear")]


def test_a_load_that_failed_leaves_nothing_that_counts(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    path = warehouse.write("failed/a.jsonl", line("f"))
    with monkeypatch.context() as patched:
        # The file vanishes between the listing and the reading.
        patched.setattr(
            "llm_spend.readers.resources.check_files", lambda fmt, files, *_: _check_and_remove(files, path)
        )
        with pytest.raises(UserError, match=r"The load stopped: .*No files found"):
            warehouse.load("portkey", path, instance="failed")
    warehouse.write("failed/a.jsonl", line("f"))
    assert warehouse.load("portkey", path, instance="failed").rows == 1
    committed = warehouse.rows(
        "select count(*) from raw.portkey__logs where id = 'f' and _dlt_load_id in"
        " (select load_id from raw._dlt_loads where status = 0)"
    )
    assert committed == [(1,)]


def _check_and_remove(files: list[Any], path: Path) -> Any:
    from llm_spend.readers.checks import CheckedFiles

    path.unlink(missing_ok=True)
    return CheckedFiles(files, {})


def test_a_file_of_another_kind_does_not_flood_the_quarantine(warehouse: Warehouse) -> None:
    path = warehouse.write("notes.txt", "no log\n" * 2500)
    report = warehouse.load("portkey", path, instance="flood")
    assert (report.rows, report.quarantined) == (2500, 2500)
    noted = warehouse.quarantine("flood")
    assert len(noted) == 1001
    assert noted[0] == ("notes.txt", 1, "not valid JSON")
    assert noted[-1] == ("notes.txt", None, "1,500 more records of this file")


def test_every_raw_table_is_there_after_the_first_load(warehouse: Warehouse, tmp_path: Path) -> None:
    database = tmp_path / "new.duckdb"
    llm_spend.load.load_logs("portkey", str(warehouse.write("first.jsonl", line("1"))), DuckDb(database))
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = {row[0] for row in connection.execute("select table_name from information_schema.tables").fetchall()}
    assert tables >= {
        "portkey__logs",
        "truefoundry__spans",
        "litellm__payloads",
        "generic__requests",
        "llm_spend__files",
        "llm_spend__quarantine",
        "_dlt_loads",
    }
    assert "llm_spend__quarantine" in DuckDb(database).tables("llm_spend_raw")
    assert not DuckDb(tmp_path / "none.duckdb").tables("llm_spend_raw")
