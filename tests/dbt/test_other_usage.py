"""Usage besides the token buckets, from log files to the canonical requests: what is part of what, unknown and zero."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from llm_spend import sources
from llm_spend.build import prepare_project
from llm_spend.dbt_process import DbtProcess
from llm_spend.destinations import DuckDb
from llm_spend.load import bring_tables_up_to_date, load_logs
from llm_spend.schema import OTHER_USAGE

pytestmark = pytest.mark.slow

TOKENS = ("uncached_input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "total_tokens")

# By id of the record: what the log says, in the names of a mapping.
LOG: dict[str, dict[str, Any]] = {
    "A7": {"input_tokens": 15, "output_tokens": 359, "reasoning_tokens": 661, "total_tokens": 1035},
    "A8": {"input_tokens": 100, "output_tokens": 200, "reasoning_tokens": 50, "total_tokens": 300},
    "A7 cached": {
        "input_tokens": 100,
        "cache_read_tokens": 60,
        "output_tokens": 20,
        "reasoning_tokens": 5,
        "total_tokens": 125,
    },
    "A9": {"input_tokens": 1200, "input_audio_tokens": 1000, "output_tokens": 600, "output_audio_tokens": 500},
    "A10": {
        "input_tokens": 326,
        "output_tokens": 2340,
        "output_image_tokens": 2000,
        "reasoning_tokens": 337,
        "total_tokens": 3003,
    },
    "A12": {"input_tokens": 100, "output_tokens": 20, "reasoning_tokens": 5, "total_tokens": 130},
    "cached audio": {
        "input_tokens": 100,
        "cache_read_tokens": 60,
        "cache_read_audio_tokens": 60,
        "input_audio_tokens": 40,
        "output_tokens": 1,
    },
    "none": {"input_tokens": 10, "input_audio_tokens": 0, "output_tokens": 1},
    "unknown": {"input_tokens": 10, "output_tokens": 1},
    "searches": {"input_tokens": 10, "output_tokens": 1, "web_searches": 2},
    "only seconds": {"audio_seconds": 61.25},
    "only pages": {"input_tokens": 0, "output_tokens": 0, "pages": 3, "annotated_pages": 1},
    "nothing": {"input_tokens": 0, "output_tokens": 0, "audio_seconds": 0},
    "conflict input": {"input_tokens": 100, "cache_read_tokens": 60, "input_audio_tokens": 41, "output_tokens": 1},
    "conflict sum": {"input_tokens": 100, "input_audio_tokens": 60, "input_image_tokens": 41, "output_tokens": 1},
    "conflict cache": {"input_tokens": 100, "cache_read_tokens": 5, "cache_read_image_tokens": 6, "output_tokens": 1},
    "conflict output": {"input_tokens": 100, "output_tokens": 5, "output_video_tokens": 6},
}


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """The canonical requests of a database that an earlier version made, by the id of the record."""
    folder = tmp_path_factory.mktemp("other_usage")
    destination = DuckDb(folder / "usage.duckdb")
    names = {name for record in LOG.values() for name in record}
    mapping = sources.generic.Mapping(
        columns={"started_at": "at", "source_record_id": "id", **{name: f"usage.{name}" for name in names}}
    )
    records = [{"id": name, "at": "2026-05-04T10:00:00Z", "usage": usage} for name, usage in LOG.items()]
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    report = load_logs("generic", str(path), destination, mapping=mapping)
    assert (report.rows, report.quarantined) == (len(LOG), 0)
    with duckdb.connect(str(destination.database)) as connection:
        connection.execute("alter table llm_spend_raw.litellm__payloads drop column other_usage")
        connection.execute("delete from llm_spend_raw._dlt_version where schema_name = 'litellm'")
    bring_tables_up_to_date(destination)

    project = prepare_project(destination.work_dir, None)
    arguments = ["run", "--project-dir", str(project), "--profiles-dir", str(project)]
    arguments += ["--vars", json.dumps({"llm_spend_raw_schema": destination.schemas.raw})]
    with DbtProcess(destination.name) as dbt:
        environment = {**destination.dbt_environment(), "LLM_SPEND_THREADS": "1"}
        results = dbt.run(
            [*arguments, "--select", "+int_requests_unioned"], project, environment, lambda done, total, name: None
        )
    assert {result["status"] for result in results} == {"success"}
    with duckdb.connect(str(destination.database), read_only=True) as connection:
        found = connection.execute("select * from llm_spend_internal.int_requests_unioned")
        columns = [column[0] for column in found.description]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    return {row["source_record_id"]: row for row in rows}


@pytest.mark.parametrize(
    ("name", "tokens", "quality"),
    [
        ("A7", (15, 0, 1020, 661, 1035), "ok"),
        ("A8", (100, 0, 200, 50, 300), "ok"),
        ("A7 cached", (40, 60, 25, 5, 125), "ok"),
        ("A9", (1200, 0, 600, None, 1800), "ok"),
        ("A10", (326, 0, 2677, 337, 3003), "ok"),
        ("A12", (100, 0, 20, 5, 120), "total_mismatch"),
        ("only seconds", (0, 0, 0, None, 0), "ok"),
        ("only pages", (0, 0, 0, None, 0), "ok"),
        ("nothing", (None, None, None, None, None), "missing_usage"),
    ],
)
def test_the_buckets(
    requests: Mapping[str, dict[str, Any]], name: str, tokens: tuple[int | None, ...], quality: str
) -> None:
    assert tuple(requests[name][column] for column in TOKENS) == tokens
    assert requests[name]["token_quality"] == quality


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A7", {}),
        ("A9", {"input_audio_tokens": 1000, "output_audio_tokens": 500}),
        ("A10", {"output_image_tokens": 2000}),
        ("cached audio", {"cache_read_audio_tokens": 60, "input_audio_tokens": 40}),
        ("searches", {"web_searches": 2}),
        ("only seconds", {"audio_seconds": Decimal("61.250")}),
        ("only pages", {"pages": 3, "annotated_pages": 1}),
        ("conflict output", {"output_video_tokens": 6}),
    ],
)
def test_the_quantities(requests: Mapping[str, dict[str, Any]], name: str, expected: dict[str, Any]) -> None:
    found = {unit: requests[name][unit] for unit in OTHER_USAGE}
    assert {unit: quantity for unit, quantity in found.items() if quantity is not None} == expected
    assert requests[name]["has_other_usage"] == bool(expected)
    assert {type(quantity) for unit, quantity in found.items() if unit != "audio_seconds"} <= {int, type(None)}


def test_none_is_not_unknown(requests: Mapping[str, dict[str, Any]]) -> None:
    known = {name: request["is_other_usage_known"] for name, request in requests.items()}
    assert (known["none"], known["unknown"], known["searches"]) == (True, False, True)
    assert not requests["none"]["has_other_usage"]


@pytest.mark.parametrize("name", LOG)
def test_a_part_is_not_larger_than_what_it_is_part_of(requests: Mapping[str, dict[str, Any]], name: str) -> None:
    assert (requests[name]["token_quality"] == "usage_conflict") == name.startswith("conflict")
