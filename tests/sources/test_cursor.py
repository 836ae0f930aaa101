"""Cursor's events, asked for real at a server that answers as its documentation says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import ApiSource, NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import cursor_api
from llm_spend.sources.cursor import cost_rows, is_cash, usage_rows
from llm_spend.sources.cursor_api import LISTINGS, STREAMS, Cursor, api_source, authorization
from llm_spend.sources.shared_tables import observed

from .conftest import Warehouse
from .fake_cursor import KEY, FakeCursor, at, event, spend
from .fake_server import WHOLE_DAY, Fault, Scene, client_of, opening, read_back, serving

MORNING = datetime(2026, 11, 3, 2, 15)
NO_RIGHT = Fault(403, {"message": "Admin access required"})


@pytest.fixture
def cursor() -> Iterator[FakeCursor]:
    fake = FakeCursor()
    with serving(fake):
        yield fake


def client(cursor: FakeCursor) -> ApiClient:
    return client_of(cursor, "Cursor", authorization(KEY), [])


@pytest.fixture
def api(cursor: FakeCursor) -> Iterator[Cursor]:
    with client(cursor) as opened:
        yield Cursor(opened, KEY)


@pytest.fixture
def ask(api: Cursor, tmp_path: Path) -> Callable[[], tuple[list[Any], list[str]]]:
    """Costs of the day of the tests, and what is to be known of them."""

    def ask_for() -> tuple[list[Any], list[str]]:
        path = tmp_path / "spool.jsonl"
        with Spool(path) as spool:
            STREAMS[0].fetch(api, WHOLE_DAY, spool)
        return [json.loads(line) for line in path.read_text().splitlines()], spool.warnings

    return ask_for


def test_events_are_loaded_once_as_costs_and_as_usage(
    cursor: FakeCursor, make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor.page = 2
    included = {"kind": "Included in Business", "isChargeable": False, "chargedCents": 134000}
    cursor.events = [
        event(),
        event(),
        event("2026-11-02T23:59:59.999", model="gpt-5", **included),
        event("2026-11-02T00:00:00", "hubot@example.com", chargedCents=40.16699999999999, tokenUsage=None),
        event("2026-11-03T00:00:00"),
    ]
    source = ApiSource("cursor", opening(lambda opened: Cursor(opened, KEY), lambda: client(cursor)), STREAMS)
    monkeypatch.setattr(cursor_api, "api_source", lambda instance: source)
    scene = Scene(source, make_warehouse("cursor"), [])
    report = scene.load(MORNING, instance="team")
    assert (report.rows, report.quarantined, report.windows, report.warnings) == (8, 0, 2, ())
    assert [each.body["page"] for each in cursor.asked] == [1, 2, 3]
    assert {(each.body["startDate"], each.body["endDate"]) for each in cursor.asked} == {
        (at("2026-11-02T00:00:00"), at("2026-11-03T00:00:00"))
    }
    costs = scene.warehouse.rows(
        "select bucket_start, user_id, model, occurrence, amount, cost_unit, is_cash, dimensions->>'kind'"
        " from raw.provider__costs order by bucket_start, occurrence"
    )
    morning, opus = datetime(2026, 11, 2, 9, 0, 0, 123000), "claude-4-opus"
    assert costs == [
        (datetime(2026, 11, 2), "hubot@example.com", opus, 0, Decimal("40.167"), "cent", True, "Usage-based"),
        (morning, "mona@example.com", opus, 0, Decimal("21.36232"), "cent", True, "Usage-based"),
        (morning, "mona@example.com", opus, 1, Decimal("21.36232"), "cent", True, "Usage-based"),
        (
            datetime(2026, 11, 2, 23, 59, 59, 999000), "mona@example.com", "gpt-5", 0, 134000, "cent", False,
            "Included in Business",
        ),
    ]  # fmt: skip
    usage = scene.warehouse.rows(
        "select requests, input_tokens, cache_read_tokens, cache_write_5m_tokens, output_tokens, usage_type"
        " from raw.provider__usage order by bucket_start limit 2"
    )
    assert usage == [(1, None, None, None, None, "events"), (1, 18202, 11964, 6112, 450, "events")]


def test_what_a_plan_includes_is_beside_the_bill() -> None:
    events = [event(chargedCents=134000, isChargeable=False), event(chargedCents=2000)]
    cash = {row["is_cash"]: Decimal(row["amount"]) / 100 for row in cost_rows(events)}
    assert cash == {False: 1340, True: 20}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "Usage-based"}, True),
        ({"kind": "On-Demand"}, True),
        ({"kind": "Included in Business"}, False),
        ({"kind": "USAGE_EVENT_KIND_INCLUDED_IN_BUSINESS"}, False),
        ({"kind": "Errored, Not Charged"}, False),
        ({"kind": "USAGE_EVENT_KIND_ERRORED_NOT_CHARGED"}, False),
        ({"kind": "Bugbot", "isFreeBugbot": True}, False),
        ({"kind": "Included in Business", "isChargeable": True}, True),
        ({}, True),
    ],
)
def test_without_is_chargeable_the_kind_tells_what_is_paid(fields: dict[str, Any], expected: bool) -> None:
    assert is_cash(fields) == expected


def test_older_answers_tell_the_cost_of_tokens_and_the_fee() -> None:
    old = {"chargedCents": None, "isChargeable": None}
    told = [row["amount"] for row in cost_rows([event(**old), event(**old, cursorTokenFee=None)])]
    assert told == ["21.36232", "20.18232"]
    assert cost_rows([event(**old, tokenUsage=None)]) == []
    assert cost_rows([event(chargedCents=-12.5)])[0]["amount"] == "-12.5"


def test_tokens_that_are_not_told_are_unknown() -> None:
    told, untold = usage_rows([event(tokenUsage={"inputTokens": 5, "outputTokens": 0}), event(tokenUsage={})])
    assert (told["input_tokens"], told["cache_read_tokens"], told["output_tokens"]) == ("5", None, "0")
    assert (untold["input_tokens"], untold["output_tokens"], untold["occurrence"]) == (None, None, 1)


def test_what_is_charged_by_request_is_told_once(
    cursor: FakeCursor, ask: Callable[[], tuple[list[Any], list[str]]]
) -> None:
    by_request = {"tokenUsage": None, "chargedCents": None, "isTokenBasedCall": False}
    cursor.events = [event(**by_request), event(**by_request, isChargeable=False), event()]
    rows, warnings = ask()
    assert len(rows) == 1
    assert "1 events of 2026-11-02 are charged by request" in warnings[0]
    assert ask()[1] == []


def test_a_day_without_events_is_proved_to_have_none(
    cursor: FakeCursor, ask: Callable[[], tuple[list[Any], list[str]]]
) -> None:
    assert ask() == ([], [])
    assert all(stream.empty_replaces and stream.whole_days for stream in STREAMS)
    assert STREAMS[0].look_back[-1] == timedelta(days=3)


def test_answers_that_do_not_tell_of_pages_are_read_to_their_count(
    cursor: FakeCursor, ask: Callable[[], tuple[list[Any], list[str]]]
) -> None:
    cursor.is_old, cursor.page = True, 2
    cursor.events = [event(f"2026-11-02T0{hour}:00:00") for hour in range(5)]
    assert len(ask()[0]) == 5
    assert len(cursor.asked) == 3


def test_pages_that_shift_or_come_again_are_errors(
    cursor: FakeCursor, ask: Callable[[], tuple[list[Any], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor.page = 2
    cursor.events = [event(f"2026-11-02T0{hour}:00:00") for hour in range(5)]
    plain = cursor._events

    def with_another(body: Any) -> Any:
        found = plain(body)
        if body["page"] == 1:
            cursor.events.append(event("2026-11-02T20:00:00"))
        return found

    monkeypatch.setattr(cursor, "_events", with_another)
    with pytest.raises(UserError, match="6 events came, and Cursor counted"):
        ask()
    monkeypatch.setattr(cursor, "_events", lambda body: plain({**body, "page": 1}))
    with pytest.raises(UserError, match="has the rows of a page before it"):
        ask()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"totalUsageEventsCount": None}, "0 events came, and Cursor counted None"),
        ({"usageEvents": None}, "no list of rows"),
        ({"usageEvents": [{"timestamp": "yesterday"}], "totalUsageEventsCount": 1}, "an event has no time"),
        ({"period": {"startDate": at("2026-11-02T12:00:00"), "endDate": at("2026-11-03T00:00:00")}}, "answered for"),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(
    cursor: FakeCursor, ask: Callable[[], tuple[list[Any], list[str]]], changed: dict[str, Any], said: str
) -> None:
    whole = {"totalUsageEventsCount": 0, "usageEvents": [], "pagination": {"hasNextPage": False}}
    cursor.faults = [Fault(200, whole | changed)]
    with pytest.raises(UserError, match=said):
        ask()


@pytest.mark.parametrize(
    ("status", "problem", "remedy"),
    [
        (401, "the key is wrong", "Admin API"),
        (403, "may not read this", "administrator"),
        (404, "no such endpoint", "base_url"),
        (400, "does not tell of this period", "--since"),
        (418, "answered 418", "report this as a bug"),
    ],
)
def test_a_refusal_says_what_to_do(
    cursor: FakeCursor,
    ask: Callable[[], tuple[list[Any], list[str]]],
    status: int,
    problem: str,
    remedy: str,
) -> None:
    cursor.faults = [Fault(status, {"message": f"no: {KEY}, {authorization(KEY)['Authorization']}"})]
    with pytest.raises(UserError) as refused:
        ask()
    assert problem in refused.value.problem and remedy in refused.value.remedy
    assert KEY not in str(refused.value) and authorization(KEY)["Authorization"][6:] not in str(refused.value)
    assert isinstance(refused.value, NotAllowedError) == (status == 403)


def test_too_many_questions_in_a_minute_are_waited_for(cursor: FakeCursor) -> None:
    pauses = list[float]()
    cursor.faults = [Fault(429, {"message": "Too many requests"}, {"Retry-After": "37"})]
    with client_of(cursor, "Cursor", authorization(KEY), pauses) as opened:
        assert Cursor(opened, KEY).members() == []
    assert pauses == [37]
    patience = cursor_api._PATIENCE
    assert sum(patience.wait(tried) for tried in range(1, patience.tries)) > 60


def test_the_team_and_its_spending_are_listed(api: Cursor, cursor: FakeCursor, tmp_path: Path) -> None:
    cursor.page = 2
    cursor.members = [
        {"id": 1, "email": "Mona@example.com", "name": "Mona", "role": "owner", "isRemoved": False},
        {"id": 2, "email": "hubot@example.com", "name": "Hubot", "role": "member", "isRemoved": True},
    ]
    cursor.spends = [
        spend("Mona@example.com", monthlyLimitDollars=24),
        spend("hubot@example.com", hardLimitOverrideDollars=100),
        spend("free@example.com"),
    ]
    found = {}
    for listing in LISTINGS:
        with Spool(tmp_path / listing.name) as spool:
            listing.fetch(api, spool)
        found[listing.name] = read_back(observed(listing.format, MORNING), tmp_path / listing.name)
    assert [row["_problem"] for rows in found.values() for row in rows if row["_problem"]] == []
    assert [(row["member_id"], row["is_deleted"], row["status"]) for row in found["members"]] == [
        ("mona@example.com", False, "active"),
        ("hubot@example.com", True, "removed"),
    ]
    assert [(row["limit_id"], row["limit_value"], row["limit_unit"]) for row in found["limits"]] == [
        ("user:mona@example.com", 24, "usd"),
        ("user:hubot@example.com", 100, "usd"),
    ]
    names = ("entity", "used_value", "used_unit", "status", "period_start")
    assert [tuple(row[name] for name in names) for row in found["spending"]] == [
        ("mona@example.com", 2450, "us_cent", "exhausted", datetime(2026, 10, 20)),
        ("hubot@example.com", 2450, "us_cent", "active", datetime(2026, 10, 20)),
        ("free@example.com", 2450, "us_cent", None, datetime(2026, 10, 20)),
    ]
    assert len([each for each in cursor.asked if each.path == "/teams/spend"]) == 2


def test_each_right_is_told_and_the_settings_are_read(cursor: FakeCursor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"API_KEY": KEY, "BASE_URL": cursor.address}.items():
        monkeypatch.setenv(f"SOURCES__CURSOR__{name}", value)
    cursor.refused = {"/teams/spend": NO_RIGHT}
    with api_source("default").open("default") as api:
        told = api.check()
    assert told.startswith("usage events can be read, 0 of ")
    assert "; members of 0 people; spending can't be read: Cursor refused (403)" in told
    cursor.refused = {"/teams/filtered-usage-events": NO_RIGHT}
    with pytest.raises(NotAllowedError), api_source("default").open("default") as api:
        api.check()
