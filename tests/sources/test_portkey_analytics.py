"""What Portkey's analytics add up, loaded from a server that adds up the same logs as it exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.load_api import load_api
from llm_spend.readers.api.client import Patience
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import portkey_api
from llm_spend.sources.portkey_analytics import total_of_graphs, totals_of_groups
from llm_spend.sources.portkey_api import FEEDBACK, REQUEST_LOGS, TOTALS
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_portkey import FakePortkey, Fault, serving, source_of
from .test_portkey_api import Scene, log

DAY, NEXT_DAY = date(2026, 11, 2), datetime(2026, 11, 3, 1)
WINDOW = Window(datetime(2026, 11, 2), datetime(2026, 11, 3))
REFUSED = [
    (403, "You do not have enough permissions", "lacks the permission to read analytics", "view analytics"),
    (403, "Please upgrade your plan", "does not offer here to read analytics", "base_url"),
    (404, "", "does not offer here to read analytics", "base_url"),
]


def logs() -> list[dict[str, Any]]:
    return [
        log("a", cost=1.383, _feedback=5.0),
        log("b", cost="0.1", ai_model="gpt-4o-mini", metadata={"_user": "bob", "team": "ml/ops"}, _feedback=-2.5),
        log("c", cost=0, is_success=False, metadata={}, cache_status="HIT"),
        log("midnight", at="2026-11-03T00:00:00.000Z"),
    ]


@pytest.fixture
def scene(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with serving(FakePortkey()) as portkey:
        made = Scene(portkey, make_warehouse("portkey-analytics"))
        portkey.logs = [{**each, "cost": float(each["cost"])} for each in logs()]
        patience = Patience(tries=2, first_wait=0.5, connect=1, read=1)
        source = source_of(portkey, (TOTALS,), patience=patience, sleep=made.pauses.append)
        monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)
        yield made
        assert portkey.problems == []


def totals(scene: Scene) -> list[dict[str, Any]]:
    """Rows of a day as they are spooled."""
    path = scene.warehouse.folder / "totals.jsonl"
    with portkey_api.api_source("default").open("default") as api, Spool(path) as spool:
        api.totals(WINDOW, spool)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_day_is_added_up_in_all_and_by_each_dimension(scene: Scene) -> None:
    report = load_api("portkey", DuckDb(scene.warehouse.database), instance="main", since=DAY, now=NEXT_DAY)
    assert (report.windows, report.quarantined, report.warnings) == (1, 0, ())
    columns = "dimension, member, requests, errors, cache_hits, total_tokens, cost_amount, cost_unit"
    found = scene.warehouse.rows(f"select {columns} from raw.gateway__totals order by dimension, member")
    cents = "us_cent"
    assert found == [
        ("all", None, 3, 1, 1, 45, Decimal("1.483"), cents),
        ("metadata:team", "ml/ops", 1, None, None, 15, Decimal("0.1"), cents),
        ("metadata:team", "search", 1, None, None, 15, Decimal("1.383"), cents),
        ("model", "gpt-4o", 2, None, None, None, None, cents),
        ("model", "gpt-4o-mini", 1, None, None, None, None, cents),
        ("user", "ada", 1, None, None, None, Decimal("1.383"), cents),
        ("user", "bob", 1, None, None, None, Decimal("0.1"), cents),
    ]
    feedback = "dimension, weighted_feedback_sum, requests_with_feedback, last_seen_at"
    found = scene.warehouse.rows(
        f"select {feedback} from raw.gateway__totals where member is null or member = 'ml/ops' order by 1"
    )
    seen = datetime(2026, 11, 2, 10)
    assert found == [("all", Decimal("2.5"), 2, None), ("metadata:team", Decimal("-2.5"), 1, seen)]
    asked = {params["time_of_generation_max"] for _, params in scene.portkey.asked}
    assert asked == {"2026-11-02T23:59:59.999Z"}


def test_a_day_that_is_not_over_waits_and_a_restated_one_is_replaced(scene: Scene) -> None:
    destination = DuckDb(scene.warehouse.database)
    assert load_api("portkey", destination, since=DAY, now=datetime(2026, 11, 2, 23)).windows == 0
    load_api("portkey", destination, since=DAY, now=NEXT_DAY)
    scene.portkey.logs = scene.portkey.logs[:1]
    assert load_api("portkey", destination, since=DAY, now=NEXT_DAY + timedelta(hours=1)).windows == 0
    assert load_api("portkey", destination, since=DAY, now=NEXT_DAY + timedelta(days=1)).windows == 2
    windows = scene.warehouse.rows(
        "select requests from raw.gateway__totals where dimension = 'all' and bucket_start = ? order by _dlt_load_id",
        datetime(2026, 11, 2),
    )
    assert windows == [(3,), (1,)]


def test_a_day_of_which_nothing_is_counted_has_no_rows(scene: Scene) -> None:
    scene.portkey.logs = []
    assert totals(scene) == []
    scene.portkey.summaries = {"feedbacks": {"total": 2}}
    (row,) = totals(scene)
    assert (row["dimension"], row["requests"], row["requests_with_feedback"]) == ("all", 0, 2)


def test_a_day_that_was_forgotten_is_kept_as_loaded(scene: Scene) -> None:
    destination = DuckDb(scene.warehouse.database)
    load_api("portkey", destination, since=DAY, now=NEXT_DAY)
    scene.portkey.logs = []
    (warning,) = load_api("portkey", destination, since=DAY, now=NEXT_DAY, again=True).warnings
    assert "there were rows, and now there are none" in warning
    assert scene.warehouse.rows("select requests from raw.gateway__totals where dimension = 'all'") == [(3,)]


def test_many_values_come_in_pages(scene: Scene) -> None:
    scene.portkey.logs = [log(f"{n}", metadata={"_user": f"user-{n}"}) for n in range(250)]
    rows = totals(scene)
    assert len([row for row in rows if row["dimension"] == "user"]) == 250
    # A server that gives smaller pages than it is asked for.
    scene.portkey.largest_page = 40
    assert totals(scene) == rows


@pytest.mark.parametrize(
    ("trap", "said"),
    [
        ({"is_paged": False, "largest_page": 2}, "has the rows of a page before it"),
        ({"announced": lambda total: total + 1}, "were announced and"),
    ],
)
def test_pages_that_do_not_end_or_are_too_few_are_errors(scene: Scene, trap: dict[str, Any], said: str) -> None:
    scene.portkey.logs = [log(f"{n}", metadata={"_user": f"user-{n}"}) for n in range(5)]
    for name, value in trap.items():
        setattr(scene.portkey, name, value)
    with pytest.raises(UserError, match=said):
        totals(scene)


def test_graphs_that_a_control_plane_lacks_are_unknown(scene: Scene) -> None:
    lacking = ("tokens", "errors", "cache/hit-rate", "feedbacks", "feedbacks/weighted")
    scene.portkey.faults = {f"/v1/analytics/graphs/{name}": [Fault(404, {})] for name in lacking}
    row = totals(scene)[0]
    assert (row["requests"], row["cost_amount"]) == (3, "1.483")
    assert {row[name] for name in ("errors", "cache_hits", "total_tokens", "weighted_feedback_sum")} == {None}


@pytest.mark.parametrize(("status", "said", "problem", "remedy"), REFUSED)
def test_what_is_not_allowed_is_told(scene: Scene, status: int, said: str, problem: str, remedy: str) -> None:
    scene.portkey.faults = {"graph": [Fault(status, {"data": {"message": said}})]}
    with pytest.raises(NotAllowedError) as refused:
        totals(scene)
    assert problem in refused.value.problem and remedy in refused.value.remedy


def test_busy_and_broken_servers_are_asked_again_and_a_wrong_key_is_not(scene: Scene) -> None:
    scene.portkey.faults = {"graph": [Fault(429, {}, {"Retry-After": "7"})], "group": [Fault(500, {})]}
    assert len(totals(scene)) == 7
    assert scene.pauses[0] == 7 and len(scene.pauses) == 2
    scene.portkey.faults = {"graph": [Fault(401, {"data": {"message": "Invalid API Key"}})]}
    with pytest.raises(UserError, match="the key is wrong") as refused:
        totals(scene)
    assert not isinstance(refused.value, NotAllowedError)


def test_an_answer_without_a_summary_is_an_error(scene: Scene) -> None:
    scene.portkey.faults = {"graph": [Fault(200, {"data": []})]}
    with pytest.raises(UserError, match="has no summary"):
        totals(scene)


def test_totals_are_loaded_where_logs_are_not_allowed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    both = source_of(scene.portkey, (REQUEST_LOGS, TOTALS))
    monkeypatch.setattr(portkey_api, "api_source", lambda instance: both)
    destination = DuckDb(scene.warehouse.database)
    scene.portkey.faults = {"create": [Fault(403, {"data": {"message": "Upgrade to Enterprise"}})] * 2}
    with pytest.raises(NotAllowedError, match=r"requests = false.*analytics add up"):
        load_api("portkey", destination, since=DAY, now=NEXT_DAY)
    monkeypatch.undo()
    monkeypatch.setenv("SOURCES__PORTKEY__API_KEY", "pk-any")
    assert [stream.name for stream in portkey_api.api_source("x").streams] == ["requests", "totals"]
    monkeypatch.setenv("SOURCES__PORTKEY__REQUESTS", "false")
    assert [stream.name for stream in portkey_api.api_source("x").streams] == ["totals"]
    monkeypatch.setenv("SOURCES__PORTKEY__REQUESTS", "perhaps")
    with pytest.raises(UserError, match="'perhaps'"):
        portkey_api.api_source("x")


def test_feedback_is_told_by_trace_on_demand(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(scene.portkey, (FEEDBACK,))
    monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)
    scene.portkey.logs = [
        log("first", trace_id="t1"),
        log("fallback", at="2026-11-02T10:00:05.000Z", trace_id="t1", _feedback=5.0),
        log("twice", at="2026-11-02 11:00:00.500", trace_id="t2", _feedback=-2.5),
        log("again", at="2026-11-02T09:00:00.000Z", trace_id="t2", _feedback=1.0),
        log("none", trace_id="t3"),
        log("without trace", _feedback=1.0),
    ]
    assert load_api("portkey", DuckDb(scene.warehouse.database), since=DAY, now=NEXT_DAY).rows == 3
    columns = "given_at, trace_id, record_id, value, weight, raw ->> 'total'"
    early, late = datetime(2026, 11, 2, 10, 0, 5), datetime(2026, 11, 2, 11, 0, 0, 500_000)
    assert scene.warehouse.rows(f"select {columns} from raw.gateway__feedback order by 1") == [
        (early, "t1", None, 5, 1, "1"),
        *[(late, "t2", None, Decimal("-0.75"), 1, "2")] * 2,
    ]
    # A day of which nothing was rated is asked for once.
    scene.portkey.logs, scene.portkey.steps[:], scene.portkey.asked[:] = [log("none")], [], []
    path = scene.warehouse.folder / "feedback.jsonl"
    with portkey_api.api_source("x").open("x") as api, Spool(path) as spool:
        api.feedback(WINDOW, spool)
    assert (scene.portkey.steps, len(scene.portkey.asked), spool.rows) == ([], 2, 0)


def test_feedback_by_trace_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def streams(**settings: str) -> list[str]:
        with monkeypatch.context() as patched:
            for name, value in settings.items():
                patched.setenv(f"SOURCES__PORTKEY__{name.upper()}", value)
            return [stream.name for stream in portkey_api.api_source("default").streams]

    assert streams() == ["requests", "totals"]
    assert streams(feedback_by_trace="true") == ["requests", "totals", "feedback"]
    # Which traces have some is told by an export.
    assert streams(feedback_by_trace="true", requests="false") == ["totals"]


def test_fewer_logs_than_were_counted_are_told_once(scene: Scene) -> None:
    scene.portkey.summaries = {"requests": {"total": 100}}
    with portkey_api.api_source("x").open("x") as api, Spool(scene.warehouse.folder / "logs.jsonl") as spool:
        api.requests(WINDOW, spool)
        api.requests(WINDOW, spool)
    (told,) = spool.warnings
    assert "counted 100 requests" in told and "exported 4" in told and "service key" in told


@pytest.mark.parametrize("counted", [4, 3])
def test_as_many_logs_as_were_counted_are_not_worth_a_word(scene: Scene, counted: int) -> None:
    scene.portkey.summaries = {"requests": {"total": counted}}
    with portkey_api.api_source("x").open("x") as api, Spool(scene.warehouse.folder / "logs.jsonl") as spool:
        api.requests(WINDOW, spool)
        assert spool.rows == 4
    assert spool.warnings == []


def test_a_sum_needs_its_average_and_its_count() -> None:
    group = {"metadata_value": "ml", "requests": "7", "cost": "3887.3066999996863", "avg_tokens": 10.142857142857142}
    known = {**group, "avg_weighted_feedback": 2.5, "requests_with_feedback": 2}
    unknown = {"metadata_value": "", "requests": 3}
    (row,) = totals_of_groups(WINDOW, "metadata:team", "metadata_value", [known, unknown])
    assert (row["requests"], row["total_tokens"], row["weighted_feedback_sum"]) == (7, 71, "5.0")
    assert row["cost_amount"] == "3887.3066999996863"
    (row,) = totals_of_groups(WINDOW, "metadata:team", "metadata_value", [{**known, "avg_weighted_feedback": None}])
    assert row["weighted_feedback_sum"] is None
    row = total_of_graphs(WINDOW, {"requests": {"total": 5}, "cost": {"total": 1e-7}})
    assert (row["cost_amount"], row["total_tokens"], row["weighted_feedback_sum"]) == ("0.0000001", None, None)
