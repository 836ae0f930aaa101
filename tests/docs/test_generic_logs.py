"""The example of docs/generic-logs.md does what the page says, and the page knows every column and key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest

from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.schema import OTHER_USAGE
from llm_spend.sources.generic import COLUMNS, TAGS, Mapping, read_mapping

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "generic-logs.md").read_text(encoding="utf-8")


def test_the_example_gives_what_it_says(tmp_path: Path) -> None:
    log, result = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (mapping,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "log.jsonl").write_text(log)
    (tmp_path / "mapping.yml").write_text(mapping)
    database = tmp_path / "example.duckdb"
    report = load_logs(
        "generic", str(tmp_path / "log.jsonl"), DuckDb(database), mapping=read_mapping(tmp_path / "mapping.yml")
    )
    assert (report.instance, report.rows, report.quarantined) == ("eu", 2, 0)
    expected = [json.loads(line) for line in result.splitlines()]
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute(
            f"select {', '.join(expected[0])} from llm_spend_raw.generic__requests order by source_record_id"
        ).fetchall()
    for row, wanted in zip(found, expected, strict=True):
        given = dict(zip(wanted, row, strict=True))
        given["started_at"] = str(given["started_at"])
        given["metadata"] = json.loads(given["metadata"])
        assert given == wanted


@pytest.mark.parametrize("name", [*COLUMNS, *OTHER_USAGE, *TAGS, *Mapping.model_fields])
def test_the_page_explains_every_name(name: str) -> None:
    assert re.search(rf"^\| .*`{name}`", PAGE, re.MULTILINE)


def test_the_mapping_of_the_trace_reads_files_like_it(tmp_path: Path) -> None:
    rows = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:03.9799600,4808,10", "2023-11-16 19:00:00,1,2"]
    (tmp_path / "trace.csv").write_bytes("\r\n".join(rows).encode())
    mapping = read_mapping(DOCS / "examples" / "azure-llm-trace.yml")
    database = tmp_path / "trace.duckdb"
    report = load_logs("generic", str(tmp_path / "trace.csv"), DuckDb(database), mapping=mapping)
    assert (report.instance, report.rows, report.quarantined) == ("code-completion", 2, 0)
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute(
            "select strftime(started_at, '%H:%M:%S.%f'), input_tokens, output_tokens, raw_model, provider"
            " from llm_spend_raw.generic__requests order by started_at"
        ).fetchall()
    assert found == [
        ("18:17:03.979960", 4808, 10, "gpt-4-0613", "azure"),
        ("19:00:00.000000", 1, 2, "gpt-4-0613", "azure"),
    ]
