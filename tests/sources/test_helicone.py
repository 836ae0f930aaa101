"""Helicone: its API, asked for real at a server that holds us to its description, and its rows as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource, Stream
from llm_spend.sources import SOURCES, helicone, helicone_api
from llm_spend.sources.helicone_api import Helicone
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_helicone import DESCRIPTION, KEY, FakeHelicone
from .fake_server import IMPATIENCE, PASSING, Fault, Scene, client_of, opening, records_of, serving

NOON, NEXT_NOON = datetime(2026, 11, 2, 12, 15), datetime(2026, 11, 3, 12, 15)
MORNING = Window(datetime(2026, 11, 2), datetime(2026, 11, 2, 12))
ZEROS = "00000000-0000-0000-0000-000000000000"


def request(record_id: str, at: str = "2026-11-02 10:00:00.000", **fields: Any) -> dict[str, Any]:
    return {
        "request_id": record_id,
        "request_created_at": at,
        "request_path": "/v1/chat/completions",
        "request_user_id": "ada",
        "request_model": "gpt-4o",
        "response_id": "1e0a6bd3-4a6c-4f2e-9b5f-0a1b2c3d4e5f",
        "response_created_at": "2026-11-02 10:00:01.000",
        "response_status": 200,
        "provider": "OPENAI",
        "delay_ms": 900,
        "time_to_first_token": 0,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "cost": 0.001,
        "properties": {"team": "search"},
        "cache_reference_id": ZEROS,
        "updated_at": "2026-11-02 10:00:02.000",
        "signed_body_url": "https://bucket.example/body?X-Amz-Signature=SECRET",
        "request_referrer": "SECRET",
        **fields,
    }


class Stage(NamedTuple):
    helicone: FakeHelicone
    scene: Scene

    def ids(self, window: Window = MORNING) -> list[str]:
        return [row["request_id"] for row in self.scene.fetch(window)]


def source_of(fake: FakeHelicone, pauses: list[float], now: datetime = NOON, includes_cache: bool = False) -> ApiSource:
    headers = {"Authorization": f"Bearer {KEY}"}
    opened = opening(lambda client: Helicone(client, lambda: now), lambda: client_of(fake, "Helicone", headers, pauses))
    fmt = helicone.requests(input_includes_cache=includes_cache)
    return ApiSource("helicone", opened, (Stream("requests", fmt, "request_created_at", Helicone.requests),))


@pytest.fixture
def stage(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    fake, pauses = FakeHelicone(), list[float]()
    with serving(fake):
        made = Stage(fake, Scene(source_of(fake, pauses), make_warehouse("helicone"), pauses))
        monkeypatch.setattr(helicone_api, "api_source", lambda instance: made.scene.source)
        yield made


def test_a_window_is_loaded_and_pending_requests_follow_a_day_later(stage: Stage) -> None:
    stage.helicone.requests = [
        request("plain"),
        request(
            "cached prompt",
            prompt_cache_read_tokens=90,
            prompt_cache_write_tokens=40,
            completion_tokens=5,
            reasoning_tokens=20,
            total_tokens=35,
            response_id="chatcmpl-1",
            time_to_first_token=120,
            feedback_rating=True,
            provider="anthropic",
            request_path="/v1/messages",
        ),
        request("cache hit", cache_reference_id="5f", prompt_tokens=0, completion_tokens=0, total_tokens=0, cost=0),
        request("no price known", cost=0, request_user_id="undefined", properties={}, request_path="/v1/completions"),
        request(
            "refused", response_status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, cost=None
        ),
        request("cancelled", response_status=-3, cost=None),
        request("pending", response_status=0, response_created_at=None, cost=None),
        request("on the end", at="2026-11-02 12:00:00.000"),
    ]
    report = stage.scene.load(NOON, instance="org")
    assert (report.rows, report.quarantined, report.warnings) == (6, 0, ())
    rows = stage.scene.warehouse.rows(
        "select source_record_id, input_tokens, cache_read_tokens, cache_write_5m_tokens, output_tokens,"
        " reasoning_tokens, total_tokens, gateway_reported_usd, is_gateway_cache_hit, status, http_status"
        " from raw.generic__requests order by 1"
    )
    cost = Decimal("0.001")
    assert rows == [
        ("cache hit", 0, None, None, 0, None, 0, 0, True, "success", 200),
        ("cached prompt", 10, 90, 40, 25, 20, 165, cost, False, "success", 200),
        ("cancelled", 10, None, None, 5, None, 15, None, False, "cancelled", None),
        ("no price known", 10, None, None, 5, None, 15, None, False, "success", 200),
        ("plain", 10, None, None, 5, None, 15, cost, False, "success", 200),
        ("refused", None, None, None, None, None, None, None, False, "error", 429),
    ]
    told = stage.scene.warehouse.rows(
        "select source_record_id, started_at, provider, raw_model, operation, ttft_ms, provider_response_id,"
        " feedback_score, metadata, input_includes_cache from raw.generic__requests"
        " where source_record_id in ('cached prompt', 'no price known') order by 1"
    )
    at = datetime(2026, 11, 2, 10)
    tags = '{"user":"ada","team":"search"}'
    assert told == [
        ("cached prompt", at, "anthropic", "gpt-4o", "/v1/messages", 120, "chatcmpl-1", 1, tags, False),
        ("no price known", at, "openai", "gpt-4o", "text_completion", None, None, None, "{}", False),
    ]
    stage.scene.warehouse.assert_nowhere("SECRET")

    stage.helicone.requests = [request("plain", cost=2), *stage.helicone.requests[5:]]
    stage.scene.source = source_of(stage.helicone, stage.scene.pauses, NEXT_NOON, includes_cache=True)
    stage.scene.load(NOON, instance="org", again=True)
    again = stage.scene.warehouse.rows(
        "select source_record_id, status, error_type, gateway_reported_usd, input_includes_cache"
        " from raw.generic__requests where _dlt_load_id = (select max(_dlt_load_id) from raw.generic__requests)"
        " order by 1"
    )
    assert again == [
        ("cancelled", "cancelled", None, None, True),
        ("pending", "error", "no_response", None, True),
        ("plain", "success", None, 2, True),
    ]


def test_files_of_requests_are_read(tmp_path: Path) -> None:
    rows = [request("a", prompt_cache_read_tokens=4), request("b", prompt_tokens=-1), {}]
    told, wrong, nothing = records_of(helicone.requests(), tmp_path, rows)
    assert (told["source_record_id"], told["_problem"], told["cache_read_tokens"]) == ("a", None, 4)
    assert wrong["_problem"] == "input_tokens: not a whole number of 0 or more: -1"
    assert nothing["_problem"] == "not a JSON object with a field of a Helicone request"
    assert SOURCES["helicone"].files == helicone.requests()


def test_every_field_of_the_description_is_known() -> None:
    row = dict.fromkeys(DESCRIPTION.fields_of("HeliconeRequest"))
    assert set(helicone_api.without_bodies(row)) <= set(helicone.requests().file_fields)


REASONING: list[tuple[str, dict[str, Any], int, int | None]] = [
    ("beside, and the total tells", {"reasoning_tokens": 20, "total_tokens": 35}, 25, 35),
    ("beside, and there is no total", {"reasoning_tokens": 20, "total_tokens": None}, 25, None),
    ("inside, and the total tells", {"reasoning_tokens": 3, "total_tokens": 15}, 5, 15),
    ("not told", {}, 5, 15),
]


def test_reasoning_is_part_of_the_output(tmp_path: Path) -> None:
    rows = [request(name, **fields) for name, fields, _, _ in REASONING]
    found = records_of(helicone.requests(), tmp_path, rows)
    assert [(row["output_tokens"], row["total_tokens"]) for row in found] == [case[2:] for case in REASONING]


@pytest.mark.parametrize("by_second", [True, False])
@pytest.mark.parametrize("most", [3, 1000])
def test_pages_go_on_from_the_time_of_the_last_row(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, by_second: bool, most: int
) -> None:
    monkeypatch.setattr(helicone_api, "PAGE_SIZE", 3)
    stage.helicone.by_second, stage.helicone.most = by_second, most
    times = [f"2026-11-02 10:00:{number // 5:02}.{number % 5}00" for number in range(20)]
    stage.helicone.requests = [request(f"{number:02}", at=at) for number, at in enumerate(times)]
    assert stage.ids() == [f"{number:02}" for number in range(20)]


def test_a_server_that_gives_less_than_was_asked_for_is_asked_on(stage: Stage) -> None:
    stage.helicone.most = 2
    stage.helicone.requests = [request(f"{number}", at=f"2026-11-02 10:00:{number:02}.000") for number in range(7)]
    assert stage.ids() == [f"{number}" for number in range(7)]


def test_rows_that_go_while_one_reads_take_no_others_with_them(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helicone_api, "PAGE_SIZE", 4)
    stage.helicone.requests = [request(f"{number}", at=f"2026-11-02 10:00:{number:02}.000") for number in range(9)]
    answer = stage.helicone.answer

    def forgetting(asked: Any) -> Any:
        found = answer(asked)
        stage.helicone.requests = [row for row in stage.helicone.requests if row["request_id"] not in ("0", "1")]
        return found

    monkeypatch.setattr(stage.helicone, "answer", forgetting)
    assert stage.ids() == [f"{number}" for number in range(9)]


def test_versions_of_a_request_are_kept_and_the_same_one_is_not_written_twice(stage: Stage) -> None:
    newer = request("a", updated_at="2026-11-02 11:00:00.000", cost=3)
    stage.helicone.requests = [request("a"), request("a"), newer]
    assert [row["cost"] for row in stage.scene.fetch()] == [0.001, 3]


def test_an_empty_window_is_asked_for_once(stage: Stage) -> None:
    assert stage.ids() == []
    assert len(stage.helicone.asked) == 1
    (asked,) = stage.helicone.asked
    assert asked.body["filter"]["right"]["request_response_rmt"]["request_created_at"] == {
        "lt": "2026-11-02T12:00:01.000Z"
    }


BROKEN: list[tuple[list[dict[str, Any]], str]] = [
    ([request(f"{number}") for number in range(4)], "has the rows of a page before it"),
    ([request("early", at="2026-11-01 10:00:00.000")], "rows before the time that was asked for"),
    ([request("no time", at="soon")], "a row has no time in request_created_at"),
]


@pytest.mark.parametrize(("rows", "said"), BROKEN)
def test_a_server_that_does_not_listen_is_an_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], said: str
) -> None:
    monkeypatch.setattr(helicone_api, "PAGE_SIZE", 2)
    stage.helicone.is_deaf, stage.helicone.requests = True, rows
    with pytest.raises(UserError, match=f"The pages of Helicone's requests are not complete: .*{said}"):
        stage.scene.fetch()


def test_rows_that_are_not_in_order_are_an_error(stage: Stage) -> None:
    rows = [request("b", at="2026-11-02 11:00:00.000"), request("a")]
    stage.helicone.faults = [Fault(200, {"data": rows, "error": None})]
    with pytest.raises(UserError, match="not in the order of request_created_at"):
        stage.scene.fetch()


def test_what_passes_is_waited_for_and_what_stays_is_told(stage: Stage) -> None:
    stage.helicone.patience = IMPATIENCE
    stage.helicone.requests = [request("a")]
    for faults in (PASSING[:2], PASSING[2:]):
        stage.helicone.faults = list(faults)
        assert stage.ids() == ["a"]
    assert stage.scene.pauses[0] == 17
    stage.helicone.faults = [Fault(500, {"data": None, "error": "clickhouse is down"})] * 3
    with pytest.raises(UserError, match=r"answered 500.*clickhouse is down"):
        stage.scene.fetch()
    stage.helicone.faults = [Fault(200, {"data": None, "error": "invalid limit"})]
    with pytest.raises(UserError, match="answered without rows: invalid limit"):
        stage.scene.fetch()
    stage.helicone.faults = [Fault(200, {"data": None, "error": f"no right: Bearer {KEY}"})]
    with pytest.raises(UserError, match=r"answered without rows: no right: Bearer \*\*\*"):
        stage.scene.fetch()


@pytest.mark.parametrize(
    ("status", "problem", "remedy"),
    [
        (401, "the key is wrong", "eu.api.helicone.ai"),
        (403, "may not read", "may read"),
        (402, "the plan does not allow", "plan"),
        (404, "no such endpoint", "--path"),
    ],
)
def test_a_refusal_says_what_to_do(stage: Stage, status: int, problem: str, remedy: str) -> None:
    stage.helicone.faults = [Fault(status, {"error": f"no: Bearer {KEY}, {KEY}"})] * 2
    for ask in (stage.scene.fetch, stage.scene.check):
        with pytest.raises(UserError) as refused:
            ask()
        assert problem in refused.value.problem and remedy in refused.value.remedy
        assert KEY not in str(refused.value)
    assert stage.scene.pauses == []


def test_the_settings_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings = {"API_KEY": KEY, "BASE_URL": stage.helicone.address, "INPUT_INCLUDES_CACHE": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(f"SOURCES__HELICONE__{name}", value)
    source = helicone_api.api_source("default")
    with source.open("default") as api:
        assert api.check() == "requests can be read, none in the last day"
    (stream,) = source.streams
    assert stream.format.columns["input_includes_cache"].sql == "TRUE"
    assert stream.look_back == (timedelta(hours=24),)
    monkeypatch.setenv("SOURCES__HELICONE__INPUT_INCLUDES_CACHE", "perhaps")
    with pytest.raises(UserError, match=r"input_includes_cache. .* is 'perhaps'"):
        helicone_api.api_source("default")
