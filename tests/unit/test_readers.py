"""The SQL builders against what plain Python says, and the splitting of paths."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend.readers.files import LogFile, below_scheme, is_remote, layout_of, split_glob
from llm_spend.readers.lines import OddLines
from llm_spend.readers.records import LogFormat, literal_path, problem_sql, read_sql
from llm_spend.readers.sql import (
    epoch_timestamp,
    field,
    flat_object,
    iso_or_epoch_timestamp,
    json_text,
    object_from_arrays,
    object_or_text,
    typed,
    utc_timestamp,
)
from llm_spend.schema import Column

# The first question about a time zone loads all of them.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

CONNECTION = duckdb.connect()
# Nothing that we write may depend on where the machine stands.
CONNECTION.execute("set timezone = 'Pacific/Kiritimati'")

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1))


def value(expression: str, text: Any) -> Any:
    """The value of an expression over a column x."""
    row = CONNECTION.execute(f"select {expression} from (select ? as x)", [text]).fetchone()
    assert row
    return row[0]


@given(TIMES, OFFSETS, st.sampled_from(["T", " "]), st.sampled_from([":", ""]))
def test_an_offset_is_applied(moment: datetime, offset: timezone, separator: str, colon: str) -> None:
    written = moment.replace(tzinfo=offset)
    digits = written.strftime("%z")
    text = f"{moment.isoformat(sep=separator)}{digits[:3]}{colon}{digits[3:5]}"
    assert value(utc_timestamp("x"), text) == written.astimezone(UTC).replace(tzinfo=None)


@given(TIMES, st.sampled_from(["", "Z"]))
def test_no_offset_means_utc(moment: datetime, suffix: str) -> None:
    assert value(utc_timestamp("x"), moment.isoformat() + suffix) == moment


@given(TIMES, st.sampled_from(["Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe"]))
def test_a_local_time_is_in_the_assumed_zone(moment: datetime, zone: str) -> None:
    # Clocks that are set back write an hour twice, and clocks set forward never write one.
    first, second = (moment.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    found = value(utc_timestamp("x", zone), moment.isoformat(sep=" ")).replace(tzinfo=UTC)
    assert found in (first, second)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1)),
        ("2026-03-01T10:00:00+02", datetime(2026, 3, 1, 8)),
        ("2026-10-31T23:30:00-07:00", datetime(2026, 11, 1, 6, 30)),
        ("2023-11-16 18:15:46.6805900", datetime(2023, 11, 16, 18, 15, 46, 680590)),
        ("noon", None),
        ("2026-02-30", None),
        ("", None),
        (None, None),
    ],
)
def test_texts_of_times(text: str | None, expected: datetime | None) -> None:
    assert value(utc_timestamp("x"), text) == expected


@given(TIMES)
def test_epoch_seconds_and_milliseconds(moment: datetime) -> None:
    micros = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert value(epoch_timestamp("x"), str(Decimal(micros) / 1_000_000)) == moment
    assert value(epoch_timestamp("x", per_second=1000), str(Decimal(micros) / 1000)) == moment
    assert value(iso_or_epoch_timestamp("x"), str(Decimal(micros) / 1_000_000)) == moment
    assert value(iso_or_epoch_timestamp("x"), moment.isoformat()) == moment


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 12))
def test_a_json_number_of_15_digits_stays_what_was_written(digits: int, scale: int) -> None:
    written = Decimal(digits).scaleb(-scale)
    line = json.dumps({"cost": "@"}).replace('"@"', f"{written:f}")
    money = typed(json_text("cast(x as json)", "cost"), "money")
    assert value(money.sql, line) == written


@pytest.mark.parametrize("text", ["999999.9999999999995", "1000000.000000000001", "-1e6", "1e-12", "1e25"])
def test_an_amount_of_any_size_is_rounded_alike(text: str) -> None:
    assert value(typed("x", "money").sql, text) == value("try_cast(x as decimal(38, 12))", text)


@given(st.floats(min_value=0, max_value=1e6))
def test_a_float_that_python_wrote_is_money_to_12_digits(cost: float) -> None:
    money = typed(json_text("cast(x as json)", "cost"), "money")
    expected = Decimal(repr(cost)).quantize(Decimal("1e-12"))
    assert abs(value(money.sql, json.dumps({"cost": cost})) - expected) <= Decimal("1e-12")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": "1"}, {"a": "1"}),
        ({}, {}),
        ('{"a": 1}', {"a": 1}),
        ("", None),
        ("text", None),
        ("[1]", None),
        ([1], None),
        (3, None),
        ('{"a": 1, "a": 2}', None),
    ],
)
def test_an_object_or_text_of_one(document: Any, expected: Any) -> None:
    found = value(object_or_text("x::json"), json.dumps(document))
    assert (json.loads(found) if found else found) == expected


def test_a_repeated_key_is_no_object() -> None:
    assert value(flat_object("x::json"), '{"a": 1, "a": 2}') is None


@given(st.lists(st.tuples(st.text(), st.text())))
def test_an_object_from_two_arrays(pairs: list[tuple[str, str]]) -> None:
    pairs = [(key.replace("\0", ""), text.replace("\0", "")) for key, text in pairs]
    keys, values = [key for key, _ in pairs], [text for _, text in pairs]
    document = json.dumps({"k": keys, "v": values})
    found = value(object_from_arrays("json_extract(x, '$.k')", "json_extract(x, '$.v')"), document)
    assert (json.loads(found) if found else None) == (dict(pairs) if len(set(keys)) == len(keys) else None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/logs/a.jsonl", ("/logs", "a.jsonl")),
        ("/logs/*.jsonl", ("/logs", "*.jsonl")),
        ("/logs/**/*.gz", ("/logs", "**/*.gz")),
        ("/logs/2026-0[12]/a.jsonl", ("/logs", "2026-0[12]/a.jsonl")),
        ("s3://bucket/a.jsonl", ("s3://bucket", "a.jsonl")),
        ("s3://bucket/logs/2026-??/*.gz", ("s3://bucket/logs", "2026-??/*.gz")),
        ("gs://bucket/**/*", ("gs://bucket", "**/*")),
    ],
)
def test_a_path_is_a_folder_and_a_pattern(path: str, expected: tuple[str, str]) -> None:
    assert split_glob(path) == expected


def test_a_relative_path_starts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_glob("logs/*.jsonl") == (str(tmp_path / "logs"), "*.jsonl")


def test_remote_paths() -> None:
    assert [is_remote(path) for path in ("s3://b/k", "file:///tmp/x", "/tmp/x", "x")] == [True, False, False, False]
    assert below_scheme("memory:///bucket/key") == below_scheme("s3://bucket/key") == "bucket/key"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"id": 1}\n{"id": 2}\n', "newline_delimited"),
        ("a.json", '{"id": 1}', "newline_delimited"),
        ("a.json", '{\n "id": 1\n}', "unstructured"),
        ("a.json", '[{"id": 1}]', "array"),
        ("a.json", "[\n{}\n]", "array"),
        ("a.CSV", "id\n1\n", "csv"),
        ("a.csv.gz", "", "csv"),
        ("a.parquet", "", "parquet"),
        ("a.log", "", "newline_delimited"),
    ],
)
def test_the_layout_of_a_file(tmp_path: Path, name: str, content: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert layout_of(LogFile(str(path), str(path), len(content), datetime(2026, 1, 1))) == expected


def test_a_format_reads_only_the_fields_that_it_names() -> None:
    fmt = LogFormat(
        source="s",
        table="t",
        columns={
            "id": Column("text", field("id"), required=True),
            "n": typed(json_text(field("o"), "a.b", 'c"d'), "bigint"),
        },
        json_fields=frozenset({"o"}),
    )
    assert fmt.fields == ["id", "o"]
    assert "columns={\"id\": 'VARCHAR', \"o\": 'JSON'}" in read_sql(fmt, "newline_delimited", ["x'y.jsonl"])
    assert "x''y.jsonl" in read_sql(fmt, "newline_delimited", ["x'y.jsonl"])
    problems = problem_sql(fmt)
    for expected in ("id: missing", "n: not a whole number", "not a JSON object"):
        assert expected in problems


@given(st.text(alphabet="ab*?[]{}!-", min_size=1, max_size=12))
def test_any_file_name_is_read_as_itself(name: str) -> None:
    pattern = literal_path(name)
    assert value("x glob '" + pattern + "'", name) is True


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        (b'{"id": 1}\n{"id": 2}\n', "newline_delimited"),
        (b'{"id": 1}', "newline_delimited"),
        (b'{"id": 1,\n "model": "x"}\n', "unstructured"),
        (b'{\n  "id": 1\n}\n', "unstructured"),
        (b'\xef\xbb\xbf{\n  "id": 1\n}\n', "unstructured"),
        (b'\n[{"id": 1}]', "array"),
        (b'{"id": 1, broken\n{"id": 2}\n', "newline_delimited"),
        (b'{"half', "newline_delimited"),
    ],
)
def test_layout_is_told_from_the_first_lines(content: bytes, layout: str, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(content)
    assert layout_of(LogFile(str(path), str(path), len(content), datetime(2026, 1, 1))) == layout


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("0", 0), ("-5", None), ("many", None)])
def test_counts_are_never_negative(text: str, value: int | None) -> None:
    column = typed(f"'{text}'", "bigint")
    assert duckdb.sql(f"select {column.sql}").fetchone() == (value,)


@given(
    st.lists(st.sampled_from(['{"a":1}', '{"a":', '{"a": ', '{"b":[1,', "}", " x", "", "\r"]), max_size=8),
    st.integers(1, 9),
)
def test_ends_of_odd_lines_are_found_whatever_the_size_of_a_block(lines: list[str], size: int) -> None:
    content = "\n".join(lines).encode()
    whole, parts = OddLines(), OddLines()
    whole.look_at(content)
    for start in range(0, len(content), size):
        parts.look_at(content[start : start + size])
    assert parts.ends == whole.ends
