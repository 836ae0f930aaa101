"""OpenRouter's daily activity, asked for real at a server that holds us to its description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource, NotAllowedError
from llm_spend.sources import openrouter_api
from llm_spend.sources.openrouter import totals_rows
from llm_spend.sources.openrouter_api import TOTALS, OpenRouter

from .conftest import Warehouse
from .fake_openrouter import KEY, FakeOpenRouter, activity
from .fake_server import DAY, IMPATIENCE, PASSING, Fault, Scene, client_of, opening, serving

MIDNIGHT = datetime(2026, 11, 3, 0, 15)


class Stage(NamedTuple):
    openrouter: FakeOpenRouter
    scene: Scene

    def fetch(self) -> list[Any]:
        return self.scene.fetch(stream="totals")


def source_of(fake: FakeOpenRouter, pauses: list[float]) -> ApiSource:
    headers = {"Authorization": f"Bearer {KEY}"}
    return ApiSource(
        "openrouter", opening(OpenRouter, lambda: client_of(fake, "OpenRouter", headers, pauses)), (TOTALS,)
    )


@pytest.fixture
def stage(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    fake, pauses = FakeOpenRouter(), list[float]()
    with serving(fake):
        made = Stage(fake, Scene(source_of(fake, pauses), make_warehouse("openrouter"), pauses))
        monkeypatch.setattr(openrouter_api, "api_source", lambda instance: made.scene.source)
        yield made


def test_a_day_is_added_up(stage: Stage) -> None:
    stage.openrouter.activity = [
        activity("gpt", usage=0.1, day="2026-11-02 00:00:00"),
        activity("gpt", "e-2", usage=0.2, byok_usage_inference=0.0000123, cached_tokens=140),
        activity("claude", usage=1.5),
        activity("claude", day="2026-11-03"),
    ]
    report = stage.scene.load(MIDNIGHT, instance="org")
    assert (report.rows, report.quarantined, report.windows, report.warnings) == (3, 0, 1, ())
    rows = stage.scene.warehouse.rows(
        "select dimension, member, requests, input_tokens, output_tokens, cost_amount, cost_unit, bucket_start,"
        " bucket_end, raw->>'usage', raw->>'byok_usage_inference', json_array_length(raw->'activity'),"
        " raw->>'has_more_cached_than_prompt_tokens' from raw.gateway__totals order by 1, 2"
    )
    day = (datetime(2026, 11, 2), datetime(2026, 11, 3))
    assert rows == [
        ("all", None, 6, 300, 150, Decimal("1.8000123"), "usd", *day, "1.8", "0.0000123", None, "true"),
        ("model", "claude-2026", 2, 100, 50, Decimal("1.5"), "usd", *day, "1.5", "0", 1, None),
        ("model", "gpt-2026", 4, 200, 100, Decimal("0.3000123"), "usd", *day, "0.3", "0.0000123", 2, "true"),
    ]
    assert stage.scene.load(MIDNIGHT + timedelta(hours=12), instance="org").windows == 0


def test_a_day_is_asked_for_again_three_days_later() -> None:
    assert (TOTALS.look_back, TOTALS.whole_days) == ((timedelta(days=3),), True)
    assert TOTALS.first < timedelta(days=30)


def test_a_day_without_activity_has_no_totals(stage: Stage) -> None:
    assert stage.fetch() == []
    (asked,) = stage.openrouter.asked
    assert asked.query == {"date": "2026-11-02"}


def test_what_is_not_told_is_unknown_and_not_nothing() -> None:
    everything, model = totals_rows(DAY, [{"date": "2026-11-02", "model": "m", "requests": None, "usage": "dear"}])
    for row in (everything, model):
        assert (row["requests"], row["input_tokens"], row["cost_amount"]) == (None, None, None)
    assert (model["member"], everything["raw"]["usage"]) == ("m", None)
    assert totals_rows(date(2026, 12, 31), [activity("m")])[0]["bucket_end"] == "2027-01-01T00:00:00Z"


def test_what_passes_is_waited_for_and_what_stays_is_told(stage: Stage) -> None:
    stage.openrouter.patience = IMPATIENCE
    stage.openrouter.activity = [activity("m")]
    for faults in (PASSING[:2], PASSING[2:]):
        stage.openrouter.faults = list(faults)
        assert len(stage.fetch()) == 2
    assert stage.scene.pauses[0] == 17
    stage.openrouter.faults = [Fault(500, {"error": {"message": "broken"}})] * 3
    with pytest.raises(UserError, match="answered 500"):
        stage.fetch()


@pytest.mark.parametrize(
    ("status", "problem", "remedy"),
    [
        (401, "the key is wrong", "management key"),
        (403, "may not read activity", "management key"),
        (400, "does not tell of 2026-11-02", "--since"),
        (404, "no such endpoint", "base_url"),
    ],
)
def test_a_refusal_says_what_to_do(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, status: int, problem: str, remedy: str
) -> None:
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=1))
    said = {"error": {"code": status, "message": f"no: Bearer {KEY}, {KEY}"}}
    stage.openrouter.faults = [Fault(status, said)]
    with pytest.raises(UserError) as refused:
        stage.fetch()
    assert problem in refused.value.problem and remedy in refused.value.remedy
    assert KEY not in str(refused.value)
    assert isinstance(refused.value, NotAllowedError) == (status == 403)


def test_a_key_that_may_not_read_activity_ends_the_load(stage: Stage) -> None:
    stage.openrouter.faults = [Fault(403, {"error": {"message": "Only management keys can perform this operation"}})]
    with pytest.raises(NotAllowedError, match="Only management keys"):
        stage.scene.load(MIDNIGHT)


def test_a_day_that_is_refused_and_can_not_be_forgotten_is_an_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=29))
    stage.openrouter.oldest = "2026-11-03"
    with pytest.raises(UserError, match="the last 30 days: ask from a later day on with --since"):
        stage.fetch()


def test_after_a_long_pause_the_days_that_are_still_told_of_are_loaded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=31))
    stage.openrouter.activity = [activity("m", day="2026-11-03")]
    stage.openrouter.oldest = "2026-11-03"
    at = MIDNIGHT + timedelta(days=1)
    report = stage.scene.load(at)
    assert (report.rows, report.windows) == (2, 2)
    (warning,) = report.warnings
    assert "keeps the last 30 days and no longer tells of 2026-11-02" in warning
    again = stage.scene.load(at)
    assert (again.windows, again.warnings) == (0, ())
    stage.openrouter.faults = [Fault(422, {"error": {"message": "too old"}})]
    assert stage.fetch() == []


def test_a_day_that_is_old_and_told_of_is_loaded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=90))
    stage.openrouter.activity = [activity("m")]
    assert len(stage.fetch()) == 2
    stage.openrouter.faults = [Fault(403, {})]
    with pytest.raises(NotAllowedError):
        stage.fetch()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"data": [activity("m", day="2026-11-01")]}, "was asked for 2026-11-02 and answered with 2026-11-01"),
        ({"data": None}, "no list of activity"),
        ({"data": ["row"]}, "no list of activity"),
        ([], "no list of activity"),
    ],
)
def test_an_answer_to_another_question_is_an_error(stage: Stage, answer: Any, said: str) -> None:
    stage.openrouter.faults = [Fault(200, answer)]
    with pytest.raises(UserError, match=said):
        stage.fetch()


def test_the_settings_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name, value in {"MANAGEMENT_KEY": KEY, "BASE_URL": stage.openrouter.address}.items():
        monkeypatch.setenv(f"SOURCES__OPENROUTER__{name}", value)
    with openrouter_api.api_source("default").open("default") as api:
        assert api.check().startswith("activity can be read, 0 rows for ")
