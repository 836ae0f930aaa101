"""What was in memory while logs were read must not get into the file beside its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from llm_spend.destinations import DuckDb
from llm_spend.load import open_pipeline
from llm_spend.readers.records import select_sql
from llm_spend.sources.generic import Mapping, log_format

MARKER = b"MARKER-of-a-prompt"
# Of tables of many sizes some leave room in a block: the rest of it is memory as the allocator gave it out. Few columns
# leave more of it than those of a source do.
WRITE = """
import sys
from pathlib import Path
from llm_spend.destinations import DuckDb
from llm_spend.readers import records
from llm_spend.schema import Column

folder, memory = Path(sys.argv[1]), sys.argv[2]
columns = {"source_record_id": Column("text", 'r."id"'), "tags": Column("text", 'r."tags"')}
columns["is_asked"] = Column("bool", 'r."body" IS NOT NULL')
fmt = records.LogFormat("log", "logs", columns, json_fields=frozenset({"body"}))
# The default of DuckDB.
records._MAX_OBJECT_BYTES = 16 << 20
files = [f"{folder}/log.jsonl"]
rows = records.select_sql(fmt, "newline_delimited", files, source_system="log", instance="", load_id="")
for number in range(8_000, 40_000, 2_000):
    path, statement = folder / f"{number}.duckdb", f"create table logs as {rows} limit {number}"
    DuckDb(path, memory_limit=memory).execute("set threads = 2", statement)
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log whose bodies have the marker."""
    folder, rng = tmp_path_factory.mktemp("logs"), Random(7)
    with (folder / "log.jsonl").open("w") as log:
        for _ in range(40_000):
            tags = {"team": f"t{rng.randrange(50)}", "customer": f"c{rng.randrange(3000)}"}
            body = {"model": "gpt-4o", "messages": [f"{MARKER.decode()} " * rng.randrange(5, 40)]}
            log.write(json.dumps({"id": f"{rng.getrandbits(128):x}", "tags": json.dumps(tags), "body": body}) + "\n")
    return folder


def pieces(folder: Path, memory: str) -> int:
    """How often the marker is in the files that a process writes."""
    try:
        subprocess.run([sys.executable, "-c", WRITE, str(folder), memory], check=True)
        return sum(path.read_bytes().count(MARKER) for path in folder.glob("*.duckdb"))
    finally:
        for path in folder.glob("*.duckdb"):
            path.unlink()


@pytest.mark.parametrize("memory", ["2.5GB", "300MB"])
def test_no_piece_of_a_log_is_between_the_rows(logs: Path, memory: str) -> None:
    assert pieces(logs, memory) == 0


def test_whatever_writes_the_file_has_a_pool_of_blocks(tmp_path: Path) -> None:
    """As large as the memory limit and more, but for machines that have little more memory than that."""
    destination = DuckDb(tmp_path / "spend.duckdb", memory_limit="1GB")
    pool = "current_setting('block_allocator_memory')"
    destination.execute(f"create table pools as select {pool} as pool")
    with open_pipeline(destination) as pipeline, pipeline.sql_client() as client:
        client.execute_sql(f"insert into main.pools select {pool}")
    assert destination.query("select pool from pools") == [("1.4 GiB",)] * 2


def test_rows_are_numbered_when_nothing_else_of_a_record_is_needed() -> None:
    """DuckDB keeps rows that it numbers in blocks: not those with documents in them."""
    fmt = log_format(Mapping(columns={"started_at": "at", "raw_model": "body.model"}))
    sql = select_sql(fmt, "newline_delimited", ["log.jsonl"], source_system="log", instance="", load_id="")
    numbered, rows = sql.split("FROM (", 1)
    assert "row_number()" in numbered
    assert "row_number()" not in rows
    assert 'r."body"' not in numbered
