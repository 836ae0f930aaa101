"""The generic source: JSON lines, CSV and Parquet through a mapping file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.errors import UserError
from llm_spend.prices.units import UNITS as UNITS_OF_PRICES
from llm_spend.schema import OTHER_USAGE
from llm_spend.sources.generic import Mapping, read_mapping

from .conftest import Warehouse

COLUMNS = "source_record_id, started_at, raw_model, input_tokens, output_tokens, gateway_reported_usd, metadata"


@pytest.fixture(scope="module")
def warehouse(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("generic")


def mapping(instance: str, **fields: Any) -> Mapping:
    columns = {"started_at": "ts", "source_record_id": "id", **fields.pop("columns", {})}
    return Mapping(source="ours", instance=instance, columns=columns, **fields)


def rows(warehouse: Warehouse, columns: str, instance: str) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        f"select {columns} from raw.generic__requests where _source_instance = ? and _problem is null"
        " order by started_at, source_record_id",
        instance,
    )


def test_of_a_prompt_only_a_hash_is_kept(warehouse: Warehouse) -> None:
    prompts = [
        {"id": "hash", "ts": "2026-03-01T12:00:00Z", "prompt": "AB" * 32},
        {"id": "named", "ts": "2026-03-01T12:00:01Z", "prompt": "team-a:" + "ab" * 32},
        {"id": "text", "ts": "2026-03-01T12:00:02Z", "prompt": "MARKER-of-a-prompt"},
        {"id": "same", "ts": "2026-03-01T12:00:03Z", "prompt": "MARKER-of-a-prompt"},
        {"id": "none", "ts": "2026-03-01T12:00:04Z", "prompt": ""},
    ]
    mapped = mapping("prompts", columns={"prompt_hash": "prompt"})
    warehouse.load("generic", warehouse.write("prompts.jsonl", prompts), mapping=mapped)
    found = dict(rows(warehouse, "source_record_id, prompt_hash", "prompts"))
    sha = hashlib.sha256(b"MARKER-of-a-prompt").hexdigest()
    assert found == {"hash": "ab" * 32, "named": "ab" * 32, "text": sha, "same": sha, "none": None}
    warehouse.assert_nowhere("MARKER-of-a-prompt")


def test_json_lines_with_dotted_paths_defaults_and_metadata(warehouse: Warehouse) -> None:
    path = warehouse.write(
        "log.jsonl",
        [
            {
                "id": "1",
                "ts": "2026-03-01T12:00:00+02:00",
                "usage": {"in": 10, "out": {"text": 5}},
                "model": "gpt-4o",
                "cost": 1e-7,
                "who": {"mail": "Ann@acme.io"},
                "squad": "ml",
                "labels": {"a.b": 1},
            },
            {"id": "2", "ts": "2026-03-01T12:00:00Z", "usage": None},
        ],
    )
    mapped = mapping(
        "jsonl",
        columns={
            "input_tokens": "usage.in",
            "output_tokens": "usage.out.text",
            "raw_model": "model",
            "gateway_reported_usd": "cost",
            "user": "who.mail",
        },
        defaults={"raw_model": "gpt-4o-mini", "provider": "openai", "environment": "prod"},
        metadata=["squad"],
    )
    report = warehouse.load("generic", path, mapping=mapped)
    assert (report.instance, report.rows, report.quarantined) == ("jsonl", 2, 0)
    first, second = rows(warehouse, f"{COLUMNS}, provider, _source_system", "jsonl")
    assert first[:6] == ("1", datetime(2026, 3, 1, 10), "gpt-4o", 10, 5, Decimal("0.000000100000"))
    assert json.loads(first[6]) == {"squad": "ml", "user": "Ann@acme.io", "environment": "prod"}
    assert first[7:] == ("openai", "ours")
    assert second[:6] == ("2", datetime(2026, 3, 1, 12), "gpt-4o-mini", None, None, None)


def test_csv_as_spreadsheets_write_it(warehouse: Warehouse) -> None:
    content = (
        "id,ts,model,in,out,usage,note\r\n"
        '1,2026-03-01 10:00:00,"gpt-4o, new",10,5,"{""cached"": 4}",\r\n'
        '2,2026-03-01 11:00:00,gpt-4o,,5,not json,"two\r\nlines"\r\n'
    )
    path = warehouse.write("log.csv.gz", content)
    mapped = mapping(
        "csv",
        columns={
            "raw_model": "model",
            "input_tokens": "in",
            "output_tokens": "out",
            "cache_read_tokens": "usage.cached",
        },
    )
    assert warehouse.load("generic", path, mapping=mapped).quarantined == 0
    assert rows(warehouse, "raw_model, input_tokens, output_tokens, cache_read_tokens", "csv") == [
        ("gpt-4o, new", 10, 5, 4),
        ("gpt-4o", None, 5, None),
    ]


def test_parquet_with_structures_and_real_types(warehouse: Warehouse) -> None:
    path = warehouse.folder / "log.parquet"
    duckdb.execute(
        "copy (select 1 as id, timestamptz '2026-03-01 10:00:00+02' as ts, {'in': 7, 'out': {'text': 3}} as usage,"
        f" 0.00012345::double as cost, true as streamed) to '{path}'"
    )
    mapped = mapping(
        "parquet",
        columns={
            "input_tokens": "usage.in",
            "output_tokens": "usage.out.text",
            "gateway_reported_usd": "cost",
            "is_stream": "streamed",
        },
    )
    assert warehouse.load("generic", path, mapping=mapped).quarantined == 0
    columns = "source_record_id, started_at, input_tokens, output_tokens, gateway_reported_usd, is_stream"
    assert rows(warehouse, columns, "parquet") == [
        ("1", datetime(2026, 3, 1, 8), 7, 3, Decimal("0.000123450000"), True)
    ]


@pytest.mark.parametrize(
    ("timestamp_format", "text"), [("epoch_s", "1772359200.123456"), ("epoch_ms", "1772359200123.456")]
)
def test_epoch_timestamps(warehouse: Warehouse, timestamp_format: Any, text: str) -> None:
    path = warehouse.write(f"{timestamp_format}.jsonl", f'{{"id": 1, "ts": {text}}}\n{{"id": 2, "ts": "{text}"}}\n')
    mapped = mapping(timestamp_format, timestamp_format=timestamp_format)
    warehouse.load("generic", path, mapping=mapped)
    assert rows(warehouse, "started_at", timestamp_format) == [(datetime(2026, 3, 1, 10, 0, 0, 123456),)] * 2


def test_local_times_follow_daylight_saving(warehouse: Warehouse) -> None:
    times = {
        "winter": "2026-01-15 12:00:00",
        "summer": "2026-07-15T12:00:00",
        "offset": "2026-07-15T12:00:00Z",
        "evening": "2026-10-31 23:30:00",
    }
    path = warehouse.write("local.jsonl", [{"id": key, "ts": text} for key, text in times.items()])
    warehouse.load("generic", path, mapping=mapping("local", timezone="America/Los_Angeles"))
    assert dict(rows(warehouse, "source_record_id, started_at", "local")) == {
        "winter": datetime(2026, 1, 15, 20),
        "summer": datetime(2026, 7, 15, 19),
        "offset": datetime(2026, 7, 15, 12),
        "evening": datetime(2026, 11, 1, 6, 30),
    }


def test_a_log_without_ids_doubles_nothing_and_merges_nothing(warehouse: Warehouse) -> None:
    mapped = Mapping(source="ours", instance="no-ids", columns={"started_at": "ts", "input_tokens": "in"})
    equal = "ts,in\n" + "2026-03-01 10:00:00,10\n" * 3
    warehouse.write("no-ids/a.csv", equal)
    warehouse.write("no-ids/renamed-and-grown.csv", equal + "2026-03-01 10:00:01,10\n")
    report = warehouse.load("generic", warehouse.folder / "no-ids" / "*.csv", mapping=mapped)
    assert report.rows == 7
    ids = rows(warehouse, "source_record_id", "no-ids")
    assert len(set(ids)) == 4


def test_rows_that_a_table_cannot_hold_are_quarantined(warehouse: Warehouse) -> None:
    good = "1,2026-03-01,10\n"
    path = warehouse.write("dirty.csv", f"id,ts,in\n{good}2,2026-03-01,1,9\n{good}3,2026\n4,2026-03-01,many\n5,,1")
    mapped = mapping("dirty", columns={"input_tokens": "in"})
    report = warehouse.load("generic", path, mapping=mapped)
    assert (report.rows, report.quarantined) == (4, 4)
    by_line = {(line, reason) for _, line, reason in warehouse.quarantine("dirty")}
    assert by_line == {
        (3, "Expected Number of Columns: 3 Found: 4"),
        (5, "Expected Number of Columns: 3 Found: 2"),
        (None, "record 3: input_tokens: not a whole number of 0 or more: many"),
        (None, "record 4: started_at: missing"),
    }


def test_a_csv_that_is_not_utf8_is_left_out_whole(warehouse: Warehouse) -> None:
    path = warehouse.write("latin.csv", b"id,ts\n1,2026-03-01\n\xe9,2026-03-01\n")
    report = warehouse.load("generic", path, mapping=mapping("latin"))
    assert (report.rows, report.quarantined) == (0, 1)
    assert warehouse.quarantine("latin") == [("latin.csv", None, "not UTF-8: export it again as UTF-8")]


@pytest.mark.parametrize("name", ["columns.csv", "columns.parquet"])
def test_a_mapped_column_that_no_file_has(warehouse: Warehouse, name: str) -> None:
    path = warehouse.folder / name
    duckdb.execute(f"copy (select 1 as id, '2026-03-01' as ts, 5 as tokens) to '{path}'")
    with pytest.raises(UserError, match=r"column tokens_in\..*has id, ts, tokens\. Correct the mapping"):
        warehouse.load("generic", path, mapping=mapping(name, columns={"input_tokens": "tokens_in"}))
    assert warehouse.rows("select * from raw.llm_spend__files where source_instance = ?", name) == []


def test_an_empty_csv_among_others_is_no_matter(warehouse: Warehouse) -> None:
    warehouse.write("daily/1.csv", "")
    warehouse.write("daily/2.csv.gz", "")
    warehouse.write("daily/3.csv", "id,ts\n")
    warehouse.write("daily/4.csv", "ts,id\n2026-03-01,1\n")
    report = warehouse.load("generic", warehouse.folder / "daily", mapping=mapping("daily"))
    assert (report.files, report.rows, report.quarantined) == (4, 1, 0)


def test_the_source_needs_a_mapping(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match="--mapping"):
        warehouse.load("generic", warehouse.folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: {input_tokens: in}", "started_at must be mapped"),
        ("columns: {started_at: ts, model: m}", "unknown model; known are source_record_id"),
        (
            "columns: {started_at: ts, searches: s}",
            "unknown searches; known are .*, web_searches, .*See docs/generic",
        ),
        ("{columns: {started_at: ts}, defaults: {pages: -1}}", "pages: not a quantity of 0 or more: -1"),
        (
            "{columns: {started_at: ts}, defaults: {output_tokens: -1}}",
            "output_tokens: not a whole number of 0 or more",
        ),
        ("columns: {started_at: ts}\ntimezoen: UTC", "timezoen: Extra inputs"),
        ("columns: {started_at: ts}\ntimezone: Mars/Olympus", "Mars/Olympus"),
        ("columns: {started_at: ts}\ntimestamp_format: unix", "timestamp_format: Input should be"),
        ("columns: [started_at", "is not YAML"),
        ("just text", "file: Input should be"),
        ("columns: {started_at: ts}\ndefaults: {input_tokens: many}", "input_tokens"),
    ],
)
def test_a_wrong_mapping_says_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mapping.yml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        read_mapping(path)
    assert "mapping.yml" in str(raised.value)


def test_a_mapping_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yml can't be read: No such file"):
        read_mapping(tmp_path / "none.yml")


UNITS = {"web_searches": "usage.searches", "input_audio_tokens": "usage.audio", "audio_seconds": "usage.seconds"}


def test_every_unit_of_usage_can_be_mapped(warehouse: Warehouse) -> None:
    usage = [
        {"searches": 2, "audio": 0, "seconds": 12.5},
        {"searches": "0", "audio": 0},
        {},
        {"audio": -1},
        {"seconds": "long"},
    ]
    records = [{"id": str(number), "ts": "2026-03-01", "usage": each} for number, each in enumerate(usage)]
    path = warehouse.write("units.jsonl", records)
    report = warehouse.load("generic", path, mapping=mapping("units", columns=UNITS))
    assert (report.rows, report.quarantined) == (5, 2)
    found = rows(warehouse, "cast(other_usage as varchar)", "units")
    assert [text and json.loads(text) for (text,) in found] == [{"audio_seconds": 12.5, "web_searches": 2}, {}, None]
    assert warehouse.quarantine("units") == [
        ("units.jsonl", 4, "other_usage: not quantities of 0 or more: input_audio_tokens -1"),
        ("units.jsonl", 5, "other_usage: not quantities of 0 or more: audio_seconds long"),
    ]


def test_what_is_not_mapped_is_unknown(warehouse: Warehouse) -> None:
    path = warehouse.write("unmapped.jsonl", [{"id": "1", "ts": "2026-03-01", "searches": 0, "web_searches": 3}])
    for name, columns in (("nothing", {}), ("searches", {"web_searches": "searches"})):
        warehouse.load("generic", path, mapping=mapping(name, columns=columns))
        assert rows(warehouse, "other_usage", name) == [(None,)]


def test_a_unit_may_be_a_constant(warehouse: Warehouse) -> None:
    path = warehouse.write("constant.csv", "id,ts,pages\n1,2026-03-01,\n2,2026-03-02,7\n")
    mapped = mapping("constant", columns={"pages": "pages"}, defaults={"pages": "1", "web_searches": "2"})
    warehouse.load("generic", path, mapping=mapped)
    found = rows(warehouse, "cast(other_usage as varchar)", "constant")
    assert [json.loads(text) for (text,) in found] == [{"pages": 1, "web_searches": 2}, {"pages": 7, "web_searches": 2}]


def test_the_units_are_those_that_have_prices() -> None:
    buckets = {"cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"}
    memo = {"reasoning_tokens"}
    priced = {unit.usage_column for unit in UNITS_OF_PRICES if unit.usage_column} - {"uncached_input_tokens"}
    assert priced - buckets - memo == set(OTHER_USAGE)
