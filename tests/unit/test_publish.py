"""The copy for readers: what is in it, when it may be made, and that nobody waits for anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llm_spend import build as build_module
from llm_spend import cli
from llm_spend.build import BuildReport
from llm_spend.build_record import forget, note
from llm_spend.destinations import DuckDb, Snowflake
from llm_spend.errors import UserError
from llm_spend.publish import PublishedFile, file_to_publish, publish, readable, republish
from tests.conftest import query

FIRST, SECOND = datetime(2026, 11, 1, 10), datetime(2026, 11, 2, 10)
AMOUNT = "12345678901234567890123456.123456789012"
# Holds the file open, and says what it reads each time it is asked to.
READER = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(*connection.execute("select count(*) from llm_spend.fct_llm_requests").fetchone(), flush=True)
"""
# Has the lock of the database until there is nothing more to read.
WRITER = """
import sys
from pathlib import Path
from llm_spend.destinations import DuckDb
from llm_spend.lock import writing
with writing(DuckDb(Path(sys.argv[1])), wait=0):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def spend(tmp_path: Path) -> DuckDb:
    """A database with a fact, a view, what nobody else is to see, and a build that passed."""
    database = DuckDb(tmp_path / "my spend.duckdb")
    database.execute(
        *(f"create schema llm_spend{part}" for part in ("", "_raw", "_seeds", "_internal")),
        "create table llm_spend_raw._dlt_loads as select '1' as load_id, 0 as status",
        "create table llm_spend_raw.portkey__logs as select 'prompt' as body",
        "create table llm_spend.fct_llm_requests (request_key text not null, cost_usd decimal(38, 12), metadata json)",
        f"insert into llm_spend.fct_llm_requests values ('a', {AMOUNT}, '{{\"team\": \"x\"}}'), ('b', null, null)",
        'create view llm_spend.focus as select cost_usd from "my spend".llm_spend.fct_llm_requests',
    )
    note(database, "project", "1 1", FIRST, [])
    return database


def build_again(database: DuckDb, at: datetime = SECOND) -> None:
    """What a build does: the record goes, the tables change, the record comes."""
    forget(database)
    database.execute("insert into llm_spend.fct_llm_requests values ('c', 1, null)")
    note(database, "project", "1 1", at, [])


def keys(file: Path) -> list[Any]:
    return [key for (key,) in query(file, "select request_key from llm_spend.fct_llm_requests")]


@contextmanager
def reader(file: Path) -> Iterator[Any]:
    """Another program that has the file open; calling it gives what it reads."""
    command = [sys.executable, "-c", READER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask() -> int:
            assert process.stdin and process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield ask
        process.kill()


def test_the_public_tables_are_copied_as_they_are_and_nothing_else(spend: DuckDb) -> None:
    done = publish(spend, file_to_publish(spend, None), wait=0)
    assert done.file == spend.work_dir / "published.duckdb"
    assert (done.tables, done.requests, done.built_at) == (2, 2, FIRST)
    listed = "select table_schema, table_name, table_type from information_schema.tables order by all"
    assert query(done.file, listed) == [
        ("llm_spend", "fct_llm_requests", "BASE TABLE"),
        ("llm_spend", "focus", "BASE TABLE"),
        ("llm_spend_published", "publication", "BASE TABLE"),
    ]
    everything = "select *, typeof(cost_usd), typeof(metadata) from llm_spend.fct_llm_requests"
    assert query(done.file, everything) == query(spend.database, everything)
    assert query(done.file, everything)[0][1] == Decimal(AMOUNT)
    assert query(done.file, "from llm_spend.focus") == query(spend.database, "from llm_spend.focus")
    assert {path.name for path in done.file.parent.iterdir()} == {"published.duckdb", "writer.lock"}


def test_a_build_renews_what_was_published_and_only_when_there_is_something_new(spend: DuckDb) -> None:
    assert republish(spend, None, wait=0) is None
    file = publish(spend, file_to_publish(spend, None), wait=0).file
    before = file.stat()
    assert republish(spend, None, wait=0) is None
    assert file.stat().st_ino == before.st_ino
    build_again(spend)
    done = republish(spend, None, wait=0)
    assert done and done.built_at == SECOND
    assert keys(file) == ["a", "b", "c"]


def test_numbers_that_did_not_pass_their_tests_are_not_published_unless_asked_to(spend: DuckDb) -> None:
    file = file_to_publish(spend, None)
    publish(spend, file, wait=0)
    forget(spend)
    spend.execute("delete from llm_spend.fct_llm_requests")
    with pytest.raises(UserError, match=r"did not pass its tests.*--untrusted"):
        publish(spend, file, wait=0)
    found = readable(spend, None, wait=0)
    assert "published before" in found.note
    assert keys(found.file) == ["a", "b"]
    assert publish(spend, file, wait=0, whatever_state=True).built_at is None
    publication = PublishedFile(file).publication()
    assert publication and publication.built_at is None


def test_nobody_waits_a_reader_keeps_its_tables_and_the_next_one_gets_the_new(spend: DuckDb) -> None:
    file = publish(spend, file_to_publish(spend, None), wait=0).file
    mine = PublishedFile(file)
    with reader(file) as others, mine.reading() as connection:
        assert others() == 2
        build_again(spend)
        publish(spend, file, wait=0)
        counted = "select count(*) from llm_spend.fct_llm_requests"
        # The same process as well, though DuckDB shares what is open by its path.
        assert mine.query(counted) == [(3,)]
        assert connection.rows(counted) == [(2,)]
        assert others() == 2
    with reader(file) as others:
        assert others() == 3


def test_a_dashboard_publishes_what_is_missing_or_older_and_does_not_wait_for_a_writer(spend: DuckDb) -> None:
    assert keys(readable(spend, None, wait=0).file) == ["a", "b"]
    build_again(spend)
    assert keys(readable(spend, None, wait=0).file) == ["a", "b", "c"]
    build_again(spend, datetime(2026, 11, 3))
    command = [sys.executable, "-c", WRITER, str(spend.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        found = readable(spend, None, wait=0)
        process.stdin.close()
    assert "may be an older build" in found.note and "is being written by process" in found.note
    assert keys(found.file) == ["a", "b", "c"]
    assert keys(readable(spend, None, wait=0).file) == ["a", "b", "c", "c"]
    itself = readable(DuckDb(found.file), None, wait=0)
    assert (itself.file, itself.note) == (found.file, "")


def test_what_goes_wrong_leaves_the_old_file_and_nothing_else(spend: DuckDb) -> None:
    file = publish(spend, file_to_publish(spend, None), wait=0).file
    digest = sha256(str(spend.database.resolve()).encode()).hexdigest()[:8]
    file.with_name(f".{file.name}.{digest}").write_bytes(b"half a file, of a process that was killed")
    spend.execute(
        "create table llm_spend.gone (x int)",
        "create view llm_spend.late as from llm_spend.gone",
        "drop table llm_spend.gone",
    )
    with pytest.raises(UserError, match=r"can't be published: .*gone"):
        publish(spend, file, wait=0, whatever_state=True)
    assert keys(file) == ["a", "b"]
    assert {path.name for path in file.parent.iterdir()} == {"published.duckdb", "writer.lock"}


def test_no_file_of_somebody_else_is_replaced(spend: DuckDb, tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.duckdb"
    text.write_text("mine")
    DuckDb(other).execute("create table mine as select 1 as x")
    for file in (text, other):
        with pytest.raises(UserError, match="is there, and is no published file"):
            publish(spend, file_to_publish(spend, file), wait=0)
    with pytest.raises(UserError, match="is the database itself"):
        publish(spend, file_to_publish(spend, spend.database), wait=0)
    with pytest.raises(UserError, match="serves its readers itself"):
        file_to_publish(Snowflake(), None)
    assert (text.read_text(), query(other, "from mine")) == ("mine", [(1,)])
    with pytest.raises(UserError, match="There is no database"):
        publish(DuckDb(tmp_path / "absent.duckdb"), tmp_path / "p.duckdb", wait=0)


def test_the_command_publishes_and_a_build_tells_when_it_can_not(
    spend: DuckDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["llm-spend", *arguments, "--database", str(spend.database)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bi" / "spend.duckdb"
    assert run("publish", "--to", str(file), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["file"], said["requests"], said["tables"]) == (str(file), 2, 2)
    assert run("publish", "--to", "llm_spend.duckdb") == cli.FAILED
    assert "can't be told from the schema" in capsys.readouterr().err

    monkeypatch.setenv("LLM_SPEND_PUBLISHED_FILE", str(file))
    reports = [BuildReport(3, 0, 5, (), failed, (), 1.0) for failed in ((), ("sums differ",), ())]
    monkeypatch.setattr(build_module, "build", lambda *arguments, **options: reports.pop(0))
    build_again(spend)
    assert run("build") == 0
    assert f"Published to {file}" in capsys.readouterr().out
    assert keys(file) == ["a", "b", "c"]
    build_again(spend, datetime(2026, 11, 3))
    assert run("build") == cli.UNTRUSTED
    assert keys(file) == ["a", "b", "c"]
    file.write_text("somebody's")
    assert run("build") == cli.NOT_ALERTED
    shown = " ".join(capsys.readouterr().err.split())
    assert "not published" in shown and "no published file" in shown
    assert file.read_text() == "somebody's"


def test_readers_and_rights_stay_and_nothing_of_the_old_file_does(spend: DuckDb) -> None:
    spend.database.chmod(0o600)
    file = publish(spend, file_to_publish(spend, None), wait=0).file
    assert file.stat().st_mode & 0o777 == 0o600, "as the database"
    file.chmod(0o640)
    written = "import duckdb, os, sys; c = duckdb.connect(sys.argv[1])"
    written += "; c.execute('delete from llm_spend.fct_llm_requests'); os._exit(0)"
    subprocess.run([sys.executable, "-c", written, str(file)], check=True)
    assert file.with_name(f"{file.name}.wal").exists(), "what somebody wrote and did not finish"
    publish(spend, file, wait=0)
    assert keys(file) == ["a", "b"]
    assert file.stat().st_mode & 0o777 == 0o640, "as the file before"


@pytest.mark.parametrize("name", ["my spend.duckdb/sub/read.duckdb", "x" * 252 + ".duckdb"])
def test_a_place_that_cannot_be_is_told(spend: DuckDb, name: str) -> None:
    with pytest.raises(UserError, match=r"can't be written"):
        publish(spend, spend.database.parent / name, wait=0)
