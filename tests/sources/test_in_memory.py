"""JSON lines that DuckDB reads from memory: as they would be read from copies, or from copies after all."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from llm_spend.readers import checks, in_memory
from llm_spend.readers.files import find_files
from llm_spend.readers.in_memory import FilesInMemory
from llm_spend.readers.records import LONGEST_LINE_IN_MEMORY, json_sql
from llm_spend.sources.portkey import LOGS

from .conftest import Warehouse
from .test_files import line


@pytest.fixture(scope="module")
def warehouse(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("in_memory")


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that were unpacked to be copied."""
    names, undecodable = [], checks._undecodable

    def noted(file: in_memory.LogFile, *others: object) -> str | None:
        names.append(Path(file.url).name)
        return undecodable(file, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(checks, "_undecodable", noted)
    return names


def ids(warehouse: Warehouse, instance: str) -> list[tuple[str, str]]:
    return warehouse.rows(
        "select id, parse_filename(_file) from raw.portkey__logs"
        " where _source_instance = ? and _problem is null order by id",
        instance,
    )


def test_nothing_is_copied(warehouse: Warehouse, copied: list[str]) -> None:
    odd = f'{line("a")}{{"id": \n{line("b")}broken\n{json.dumps({"id": "over lines"}, indent=1)}\r\n{line("c")}'
    warehouse.write("odd/packed [1].jsonl.gz", gzip.compress(odd.encode()))
    warehouse.write("odd/plain.jsonl", line("d") + "\n" + line("e").rstrip())
    warehouse.write("odd/empty.jsonl.gz", gzip.compress(b""))
    report = warehouse.load("portkey", warehouse.folder / "odd", instance="odd")
    assert copied == []
    packed = [(name, "packed [1].jsonl.gz") for name in "abc"]
    assert ids(warehouse, "odd") == [*packed, ("d", "plain.jsonl"), ("e", "plain.jsonl")]
    assert report.quarantined == len(warehouse.quarantine("odd")) == 5


def refuse_long_lines(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(in_memory, "LONGEST_LINE_IN_MEMORY", len(line("1")))


def refuse_many_bytes(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(in_memory, "_LARGEST", 2 * len(line("1")))
    # It only turns out when the file is unpacked.
    patched.setattr(in_memory, "_unpacked_size", lambda file: 0)


def refuse_nothing(patched: pytest.MonkeyPatch) -> None: ...


@pytest.mark.parametrize(
    ("name", "refuse", "end", "problems"),
    [
        ("long", refuse_long_lines, b"", []),
        ("large", refuse_many_bytes, b"", []),
        ("cut", refuse_nothing, gzip.compress(b"x" * 99)[:-4], ["not a whole gzip file: it ends too early"]),
    ],
)
def test_what_turns_out_to_be_for_no_memory_is_copied(
    warehouse: Warehouse,
    copied: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    refuse: Callable[[pytest.MonkeyPatch], None],
    end: bytes,
    problems: list[str],
) -> None:
    refuse(monkeypatch)
    content = gzip.compress((line("1") + line("22") + line("333")).encode()) + end
    warehouse.write(f"{name}/a.jsonl.gz", content)
    warehouse.write(f"{name}/b.jsonl", line("4"))
    warehouse.load("portkey", warehouse.folder / name, instance=name)
    assert "a.jsonl.gz" in copied
    whole = [] if problems else [(each, "a.jsonl.gz") for each in ("1", "22", "333")]
    assert ids(warehouse, name) == [*whole, ("4", "b.jsonl")]
    assert [reason for *_, reason in warehouse.quarantine(name)] == problems
    for table in ("portkey__logs", "llm_spend__files", "llm_spend__quarantine"):
        of_failed = f"from raw.{table} where _dlt_load_id not in (select load_id from raw._dlt_loads)"
        assert warehouse.rows(f"select count(*) {of_failed}") == [(0,)], table


def test_a_field_that_only_the_end_of_a_packed_file_has_is_kept(warehouse: Warehouse) -> None:
    lines = [line(str(number)) for number in range(2000)]
    warehouse.write("fields/a.jsonl.gz", gzip.compress("".join([*lines, line("last", new=7)]).encode()))
    report = warehouse.load("portkey", warehouse.folder / "fields", instance="fields")
    assert (report.rows, "Fields that are not known: new." in str(report.warnings)) == (2001, True)
    kept = "select id, _extra ->> '$.new' from raw.portkey__logs where _source_instance = 'fields' and _extra not null"
    assert warehouse.rows(kept) == [("last", "7")]


def read(path: Path, query: str, threads: int) -> list[tuple[object, ...]]:
    files = FilesInMemory()
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.register_filesystem(files)
        table = json_sql(LOGS, "newline_delimited", [files.path_of(find_files(str(path))[0])])
        return connection.execute(f"select {query} from {table}").fetchall()


def test_several_threads_read_a_file_at_the_same_time(tmp_path: Path) -> None:
    path, numbers = tmp_path / "a.jsonl", range(300_000)
    path.write_text("".join(f'{{"id": {number}, "filler": "{"x" * 900}"}}\n' for number in numbers), encoding="utf-8")
    found = read(path, "count(*), count(distinct id), sum(id::int)", threads=4)
    assert found == [(len(numbers), len(numbers), sum(numbers))]


def test_a_line_may_be_as_long_as_said(tmp_path: Path) -> None:
    path, start = tmp_path / "a.jsonl", '{"id": "'
    text = "x" * (LONGEST_LINE_IN_MEMORY - len(start) - len('"}\n') - 1)
    path.write_text(f'{{"id": "1"}}\n{start}{text}"}}\n{{"id": "2"}}\n', encoding="utf-8")
    assert read(path, "count(*), max(length(id))", threads=2) == [(3, len(text))]


def test_each_thread_reads_where_it_said(tmp_path: Path) -> None:
    path, threads = tmp_path / "a.jsonl", 5
    lines = "".join(f'{{"n": {number}}}\n' for number in range(1000, 1025)).encode()
    path.write_bytes(lines)
    size = len(lines) // threads
    files = FilesInMemory()
    (file,) = find_files(str(path))
    reader = files.open(files.path_of(file))
    barrier = threading.Barrier(threads, timeout=30)

    def at(place: int) -> bytes:
        reader.seek(place)
        barrier.wait()
        return reader.read(size)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        assert b"".join(pool.map(at, range(0, len(lines), size))) == lines
    reader.seek(0)
    assert reader.read(size) + reader.read(size) == lines[: 2 * size]
    reader.close()
    with pytest.raises(OSError, match="closed"):
        reader.read(1)
