"""What was in memory while logs were read must not get into the file beside its rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

MARKER = b"MARKER-of-a-prompt"
# Of tables of many sizes some leave room in a block: the rest of it is memory as the allocator gave it out.
WRITE = """
import llm_spend, duckdb, sys
for rows in range(8_000, 40_000, 2_000):
    with duckdb.connect(f"{sys.argv[1]}/{rows}.duckdb", config={"threads": 2}) as connection:
        columns = "{id: 'varchar', tags: 'varchar', body: 'json'}"
        lines = f"read_json('{sys.argv[1]}/log.jsonl', columns = {columns})"
        asked = "json_extract_string(body, '$') is not null as is_asked"
        connection.execute(f"create or replace table logs as select id, tags, {asked} from {lines} limit {rows}")
"""


def pieces(folder: Path, allocator: str | None) -> int:
    """How often the marker is in the files that a process writes."""
    environment = {name: value for name, value in os.environ.items() if name != "DUCKDB_JE_MALLOC_CONF"}
    environment |= {} if allocator is None else {"DUCKDB_JE_MALLOC_CONF": allocator}
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, env=environment)
    return sum(path.read_bytes().count(MARKER) for path in folder.glob("*.duckdb"))


@pytest.mark.skipif(sys.platform != "linux", reason="DuckDB brings this allocator on Linux only")
def test_no_piece_of_a_log_is_between_the_rows(tmp_path: Path) -> None:
    rng = Random(7)
    with (tmp_path / "log.jsonl").open("w") as log:
        for _ in range(40_000):
            tags = {"team": f"t{rng.randrange(50)}", "customer": f"c{rng.randrange(3000)}"}
            body = f"{MARKER.decode()} " * rng.randrange(5, 40)
            log.write(json.dumps({"id": f"{rng.getrandbits(128):x}", "tags": json.dumps(tags), "body": body}) + "\n")
    assert pieces(tmp_path, None) == 0
