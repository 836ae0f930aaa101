"""Access logs of Envoy AI Gateway, with the field names of its default format, and with those of an operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from llm_spend.sources.generic import read_mapping

from .conftest import Warehouse

MAPPING = Path(__file__).parents[2] / "docs" / "examples" / "envoy-access-log.yml"


def access(request_id: str, **fields: Any) -> dict[str, Any]:
    """A line of the default format."""
    return {
        "start_time": "2026-03-01T10:00:00.123Z",
        "method": "POST",
        "x-envoy-origin-path": "/v1/chat/completions",
        "response_code": 200,
        "duration": 850,
        "x-request-id": request_id,
        "upstream_host": "10.0.0.1:443",
        "connection_termination_details": None,
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
        "session.id": "s-1",
        **fields,
    }


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("envoy")
    cached = {
        "gen_ai.usage.cache_read.input_tokens": "64",
        "gen_ai.usage.cached_input_tokens": "1",
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning_tokens": 5,
        "gen_ai.usage.total_tokens": 150,
        "x-team": "search",
    }
    nothing = {"gen_ai.response.model": "-", "gen_ai.usage.input_tokens": "-", "gen_ai.usage.output_tokens": None}
    other = {key: value for key, value in access("other").items() if not key.startswith("gen_ai")}
    short = {"start_time": "2026-03-01T10:00:00Z", "x-ai-eg-model": "gpt-4o", "llm_input_token": 5}
    same_moment = [short, short | {"llm_input_token": 6}, short | {"x-user": "ann"}, short]
    path = warehouse.write(
        "access.log",
        [
            access("full", **cached),
            access("failed", response_code=429, **nothing),
            other,
            short,
            short | {"llm_input_token": "five"},
            access("timeless", start_time="-"),
            {"level": "info"},
        ],
    )
    report = warehouse.load("envoy", warehouse.write("moment.log", same_moment), instance="no ids")
    assert (report.rows, report.quarantined) == (4, 0)
    report = warehouse.load("envoy", path, instance="gateway")
    assert (report.rows, report.quarantined) == (6, 3)
    own = {"at": 1772359200123, "id": "own", "ai.model": "gpt-4o", "ai.in": 120, "headers": {"x-team": "search"}}
    report = warehouse.load("generic", warehouse.write("own.log", [own]), mapping=read_mapping(MAPPING))
    assert (report.rows, report.quarantined) == (1, 0)
    return warehouse


def one(loaded: Warehouse, columns: str, record_id: str) -> Any:
    return loaded.rows(f"select {columns} from raw.generic__requests where source_record_id = ?", record_id)[0]


def test_a_line_of_the_default_format(loaded: Warehouse) -> None:
    columns = "started_at, provider, raw_model, requested_model, http_status, latency_ms, input_tokens, output_tokens"
    moment = datetime(2026, 3, 1, 10, 0, 0, 123000)
    expected = (moment, "openai", "gpt-4o-2024-08-06", "gpt-4o", 200, 850, 120, 30)
    assert one(loaded, columns, "full") == expected


def test_cached_tokens_are_inside_the_input(loaded: Warehouse) -> None:
    columns = "input_includes_cache, cache_read_tokens, cache_write_5m_tokens, reasoning_tokens, total_tokens"
    assert one(loaded, columns, "full") == (True, 64, 10, 5, 150)


def test_a_dash_is_nothing(loaded: Warehouse) -> None:
    columns = "raw_model, http_status, input_tokens, output_tokens"
    assert one(loaded, columns, "failed") == ("gpt-4o", 429, None, None)


def test_tags_and_session_are_metadata(loaded: Warehouse) -> None:
    assert json.loads(one(loaded, "metadata", "full")[0]) == {"team": "search", "session_id": "s-1"}


def test_a_line_without_an_id_gets_one_of_its_content(loaded: Warehouse) -> None:
    query = (
        "select source_record_id, input_tokens, metadata->>'user' from raw.generic__requests"
        " where _problem is null and source_record_id not in ('full', 'failed', 'own') and _source_instance = ?"
        " order by 2, 3, 1"
    )
    ((alone, *_),) = loaded.rows(query, "gateway")
    ann, first, second, six = loaded.rows(query, "no ids")
    assert [each[1:] for each in (ann, first, second, six)] == [(5, "ann"), (5, None), (5, None), (6, None)]
    content = alone.removesuffix("-1")
    assert (first[0], second[0]) == (f"{content}-1", f"{content}-2")
    assert len({each[0].removesuffix("-1") for each in (ann, first, six)}) == 3


def test_what_can_not_be_read_is_noted_with_its_line(loaded: Warehouse) -> None:
    assert loaded.quarantine("gateway") == [
        ("access.log", 5, "input_tokens: not a whole number of 0 or more: five"),
        ("access.log", 6, "started_at: missing"),
        ("access.log", 7, "not a JSON object with a field of a line of an Envoy access log in JSON"),
    ]


def test_other_names_are_read_with_a_mapping_file(loaded: Warehouse) -> None:
    columns = "_source_system, raw_model, input_tokens, latency_ms, metadata->>'team'"
    assert one(loaded, columns, "own") == ("envoy", "gpt-4o", 120, None, "search")
