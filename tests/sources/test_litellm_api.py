"""The API of a LiteLLM proxy, asked of a server that answers as the package does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.sources import litellm_api
from llm_spend.sources.litellm import SPEND_LOGS
from llm_spend.sources.litellm_api import PROXY, LiteLLMProxy, without_bodies
from llm_spend.sources.shared_tables import observed
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_litellm import KEY, SECRET, LiteLLMScene, Proxy, log, refusal
from .fake_server import PASSING, WHOLE_DAY, Asked, Fault, client_of, opening, serving

NOON = datetime(2026, 11, 2, 12)
MORNING = Window(datetime(2026, 11, 2, 9, 0, 0, 500_000), NOON)


@dataclass
class ProxyScene(LiteLLMScene):
    proxy: Proxy = field(default_factory=Proxy)

    def ids(self, window: Window = WHOLE_DAY) -> list[str]:
        return [row["request_id"] for row in self.fetch(window)]


@pytest.fixture
def scene(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyScene]:
    made = ProxyScene(PROXY, make_warehouse("litellm-api"), [])
    with serving(made.proxy):
        headers = {"Authorization": f"Bearer {KEY}"}

        def client() -> Any:
            return client_of(made.proxy, "LiteLLM", headers, made.pauses)

        made.source = replace(PROXY, open=opening(lambda each: LiteLLMProxy(each, clock=lambda: NOON), client))
        monkeypatch.setattr(litellm_api, "api_source", lambda instance: made.source)
        yield made


def test_rows_are_those_of_the_database(scene: ProxyScene) -> None:
    tags = {"feature": 'quo"ted', "text": "line\nend é"}
    budget = {"error_rate_limit_type": "budget"}
    scene.proxy.logs = [
        log("a", spend=1.5e-7, metadata={"spend_logs_metadata": tags, "usage_object": {"cache_read_input_tokens": 7}}),
        log("b", cache_hit="True", **refusal("BudgetExceededError", "422", **budget)),
    ]
    rows = {row["id"]: row for row in scene.read(SPEND_LOGS, scene.fetch())}
    assert [row["_problem"] for row in rows.values()] == [None, None]
    first, second = rows["a"], rows["b"]
    assert (first["response_cost"], first["cache_read_tokens"]) == (Decimal("0.000000150000"), 7)
    assert (first["start_time"], first["response_time"]) == (datetime(2026, 11, 2, 10), Decimal(2))
    assert (first["api_key_hash"], first["team_alias"]) == ("hash-of-key-1", "search")
    assert json.loads(first["metadata"]) == tags
    assert (second["status"], second["error_code"], second["is_cache_hit"]) == ("failure", 422, True)
    assert second["error_rate_limit_type"] == "budget"


def test_no_body_goes_into_a_file(scene: ProxyScene) -> None:
    scene.proxy.logs = [log("a", **refusal("BadRequestError", "400"))]
    assert SECRET not in json.dumps(scene.fetch())
    row = {"request_id": "a", "messages": SECRET, "metadata": json.dumps({"guardrail_information": [{"x": SECRET}]})}
    assert without_bodies(row) == {"request_id": "a", "metadata": {"guardrail_status": None}}
    assert without_bodies({"metadata": "cut o"}) == {"metadata": None}
    assert without_bodies({"cache_key": f"model: gpt-4o {SECRET}"}) == {"cache_key": None, "metadata": None}


def test_the_hash_of_a_prompt_is_kept(scene: ProxyScene) -> None:
    scene.proxy.logs = [log("a", cache_key="ns:" + "ab" * 32), log("b", cache_key="Cache OFF"), log("c", cache_key="")]
    found = {row["request_id"]: row.get("cache_key") or None for row in scene.fetch()}
    assert found == {"a": "ab" * 32, "b": None, "c": None}


def test_whole_seconds_are_asked_for_around_a_window(scene: ProxyScene) -> None:
    scene.proxy.logs = [log("early", "09:00:00"), log("noon", "12:00:00"), log("a")]
    assert scene.ids(MORNING) == ["early", "a"]  # the reader cuts at milliseconds
    (asked,) = [asked.query for asked in scene.proxy.asked if asked.path == "/spend/logs/v2"]
    assert (asked["start_date"], asked["end_date"]) == ("2026-11-02 09:00:00", "2026-11-02 12:00:00")


def test_an_empty_window_is_one(scene: ProxyScene) -> None:
    assert scene.ids() == []


def moments(count: int, step: timedelta = timedelta(seconds=1)) -> list[dict[str, Any]]:
    start = datetime(2026, 11, 2, 10)
    return [log(f"r{n:05}", (start + n * step).isoformat()) for n in range(count)]


def test_pages_are_read_to_the_end(scene: ProxyScene) -> None:
    scene.proxy.logs = moments(2001)
    assert scene.ids() == [f"r{n:05}" for n in range(2001)]
    assert [asked.query["page"] for asked in scene.proxy.asked[1:]] == ["1", "2", "3"]


def test_a_window_with_more_rows_than_are_counted_is_halved(scene: ProxyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm_api, "MOST_COUNTED", 50)
    scene.proxy.most_counted = 50
    scene.proxy.logs = moments(120)
    assert scene.ids() == [f"r{n:05}" for n in range(120)]


def test_pages_that_lack_rows_are_asked_for_in_halves(scene: ProxyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm_api, "PAGE_SIZE", 5)
    scene.proxy.logs = moments(12)
    window = Window(datetime(2026, 11, 2, 10), datetime(2026, 11, 2, 10, 0, 15))

    def unsure(rows: list[Any], page: int, size: int) -> list[Any]:
        """Rows of the same time come in another order each time."""
        shifted = rows[1:] + rows[:1] if page > 1 else rows
        return shifted[(page - 1) * size : page * size]

    scene.proxy.pages = unsure
    assert sorted(scene.ids(window)) == [f"r{n:05}" for n in range(12)]
    scene.proxy.logs = moments(12, timedelta(0))
    with pytest.raises(UserError, match=r"12 rows were announced for .* and 11 came"):
        scene.ids(window)
    scene.proxy.pages = lambda rows, page, size: rows[:size]
    with pytest.raises(UserError, match=r"12 rows were announced for .* and 5 came"):
        scene.ids(window)


@pytest.mark.parametrize("fault", PASSING)
def test_what_fails_for_a_moment_is_tried_again(scene: ProxyScene, fault: Fault) -> None:
    scene.proxy.logs = [log("a")]
    scene.proxy.faults = [fault] * 2
    assert scene.ids() == ["a"]
    assert len(scene.pauses) == 2
    scene.proxy.faults = [fault] * 9
    with pytest.raises(UserError, match="LiteLLM"):
        scene.ids()
    scene.proxy.faults = []


def test_a_wrong_key_is_told_and_not_shown(scene: ProxyScene) -> None:
    scene.proxy.faults = [Fault(401, {"error": {"message": f"Invalid proxy server token passed: Bearer {KEY}"}})]
    with pytest.raises(UserError, match="the key is wrong or has no right") as refused:
        scene.check()
    assert KEY not in str(refused.value) and scene.pauses == []


def test_a_key_that_sees_its_own_calls_only_is_refused(scene: ProxyScene) -> None:
    scene.proxy.logs = [log("a")]
    scene.proxy.is_admin = False
    for ask in (scene.ids, scene.check):
        with pytest.raises(NotAllowedError, match="no administrator's, so it sees some of the calls only") as refused:
            ask()
        assert "proxy_admin_viewer" in refused.value.remedy


def test_an_older_proxy_has_another_way(scene: ProxyScene) -> None:
    scene.proxy.unknown = {"/spend/logs/v2": 404}
    with pytest.raises(UserError, match="no such address") as refused:
        scene.ids()
    assert "`database_url`" in refused.value.remedy


def test_what_is_there_is_told(scene: ProxyScene) -> None:
    scene.proxy.logs = [log("a"), log("b")]
    assert scene.check() == "the spend log can be read, 2 calls in 24 hours"


def metrics(spend: float, **counts: int) -> dict[str, Any]:
    known = {"api_requests": 1, "failed_requests": 0, "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    return {"metrics": {"spend": spend, **known, **counts}}


def test_totals_add_up_over_pages(scene: ProxyScene) -> None:
    def page(spend: float, model: str, user: str) -> list[dict[str, Any]]:
        parts = {
            "models": {model: metrics(spend)},
            "entities": {user: metrics(spend)},
            "api_keys": {"k": metrics(spend)},
        }
        return [{"date": "2026-11-02", **metrics(spend, failed_requests=1), "breakdown": parts}]

    scene.proxy.activity = {
        "/user/daily/activity 2026-11-02": [page(0.1, "gpt-4o", "ann"), page(0.2, "gpt-4o", "")],
        "/team/daily/activity 2026-11-02": [page(0.3, "gpt-4o", "search")],
    }
    rows = scene.fetch(stream="totals")
    found = {(row["dimension"], row["member"]): row for row in rows}
    assert set(found) == {
        *(("all", None), ("user", "ann"), ("user", None), ("model", "gpt-4o"), ("api_key", "k"), ("team", "search")),
    }
    assert (found["all", None]["cost_amount"], found["all", None]["errors"]) == ("0.3", 2)
    assert (found["model", "gpt-4o"]["cost_amount"], found["model", "gpt-4o"]["total_tokens"]) == ("0.3", 24)
    (stream,) = (each for each in scene.source.streams if each.name == "totals")
    assert {row["_problem"] for row in scene.read(stream.format, rows)} == {None}


def test_totals_that_are_not_offered_leave_the_others(scene: ProxyScene) -> None:
    results = [{"date": "2026-11-02", **metrics(0.5)}]
    scene.proxy.activity = {"/user/daily/activity 2026-11-02": [results]}
    for status in (404, 405, 422):
        scene.proxy.unknown = {"/team/daily/activity": status}
        (row,) = scene.fetch(stream="totals")
        (warning,) = scene.warnings
        assert (row["dimension"], row["cost_amount"]) == ("all", "0.5")
        assert f"does not offer /team/daily/activity ({status})" in warning
    scene.proxy.refused = {"/user/daily/activity"}
    with pytest.raises(NotAllowedError, match=r"may not ask for /user/daily/activity \(403\)"):
        scene.fetch(stream="totals")


DAY_RESULT = {"date": "2026-11-02", **metrics(0.5)}


@pytest.mark.parametrize(
    ("results", "says_page", "problem"),
    [
        ([DAY_RESULT], True, "page 2 has the rows of a page before it"),
        ([DAY_RESULT], False, "LiteLLM gave page 1 of /user/daily/activity for page 2"),
        ([], True, "an empty page 1 of /user/daily/activity that is not the last"),
    ],
)
def test_totals_without_end_are_an_error(
    scene: ProxyScene, monkeypatch: pytest.MonkeyPatch, results: list[Any], says_page: bool, problem: str
) -> None:
    def endless(self: Proxy, asked: Asked) -> Any:
        page = int(asked.query["page"])
        assert page < 5, "asked on and on"
        return {"results": results, "metadata": {"has_more": True, **({"page": page} if says_page else {})}}

    monkeypatch.setattr(Proxy, "_activity_page", endless)
    with pytest.raises(UserError, match=problem):
        scene.fetch(stream="totals")


def test_lists_are_read_page_by_page(scene: ProxyScene) -> None:
    keys = [{"token": f"hash-{n}", "key_name": "sk-...cret", "team_id": "t", "spend": 1.5} for n in range(250)]
    keys[0] |= {"budget_id": "b1", "metadata": {"cost_center": "c-7", "api_key": SECRET}}
    scene.proxy.lists = {
        "/key/list": keys,
        "/key/list deleted": [{"token": "gone", "key_alias": "old", "deleted_at": NOON}],
        "/v2/team/list": [{"team_id": "t", "team_alias": "Search", "max_budget": 20.0, "budget_duration": "7d"}],
        "/user/list": [{"user_id": "ann", "user_email": "ann@acme.io", "teams": ["t"]}],
        "/customer/list": [{"user_id": "c1", "spend": 3, "litellm_budget_table": {"budget_id": "b1"}}],
        "/organization/list": [{"organization_id": "o1", "organization_alias": "Acme"}],
        "/budget/list": [{"budget_id": "b1", "max_budget": 2, "rpm_limit": 5}],
    }
    members = scene.lines("members")
    kinds = [row["member_type"] for row in members]
    assert (len(members), kinds.count("api_key")) == (255, 251)
    assert [row["member_id"] for row in members if row["is_deleted"]] == ["gone"]
    assert not any(secret in json.dumps(members) for secret in (SECRET, "sk-"))
    limits = {row["limit_id"]: row["limit_value"] for row in scene.lines("limits")}
    assert limits == {
        **{"api_key:hash-0:max_budget": "2", "api_key:hash-0:rpm_limit": "5", "team:t:max_budget": "20.0"},
        **{"end_user:c1:max_budget": "2", "end_user:c1:rpm_limit": "5"},
    }
    usage = {row["limit_id"]: (row["used_value"], row["status"]) for row in scene.lines("limit_usage")}
    assert usage["end_user:c1:max_budget"] == ("3", "exhausted")
    assert usage["api_key:hash-0:max_budget"] == ("1.5", "active")
    for listing in scene.source.listings:
        rows = scene.read(observed(listing.format, NOON), scene.lines(listing.name))
        assert {row["_problem"] for row in rows} == {None}


def test_lists_of_older_proxies(scene: ProxyScene) -> None:
    scene.proxy.unknown = {"/v2/team/list": 404}
    scene.proxy.pages = lambda rows, page, size: rows  # whatever page is asked for
    scene.proxy.lists = {
        "/team/list": [{"team_id": "t"}],
        "/customer/list": [{"user_id": f"c{n}"} for n in range(120)],
    }
    kinds = [row["member_type"] for row in scene.lines("members")]
    assert (kinds.count("team"), kinds.count("end_user")) == (1, 120)
    assert scene.warnings == []


def test_a_list_that_lacks_rows_is_an_error(scene: ProxyScene) -> None:
    scene.proxy.lists = {"/user/list": [{"user_id": f"u{n}"} for n in range(150)]}
    scene.proxy.pages = lambda rows, page, size: rows[:size] if page == 1 else rows[size : size + 20]
    with pytest.raises(UserError, match="/user/list are not complete: 150 rows were announced, 120 came"):
        scene.lines("members")


def test_lists_that_are_not_allowed_leave_the_others(scene: ProxyScene) -> None:
    scene.proxy.lists = {"/key/list": [{"token": "k", "max_budget": 1}], "/v2/team/list": [{"team_id": "t"}]}
    scene.proxy.refused = {"/user/list", "/budget/list", "/key/list deleted"}
    scene.proxy.unknown = {"/organization/list": 405}
    assert [row["member_id"] for row in scene.lines("members")] == ["k", "t"]
    refused = ["may not ask for /user/list (403)", "does not offer /organization/list (405)"]
    assert all(each in told for each, told in zip([*refused, "/key/list (403)"], scene.warnings, strict=True))
    assert [row["limit_id"] for row in scene.lines("limits")] == ["api_key:k:max_budget"]
    assert all(each in told for each, told in zip(["/budget/list (403)", *refused], scene.warnings, strict=True))


def test_lists_none_of_which_is_allowed_are_an_error(scene: ProxyScene) -> None:
    scene.proxy.refused = {"/key/list", "/user/list", "/customer/list", "/organization/list", "/v2/team/list"}
    for listing in ("members", "limits"):
        with pytest.raises(NotAllowedError, match=r"may not ask for /key/list \(403\)"):
            scene.lines(listing)


def test_a_window_is_loaded(scene: ProxyScene) -> None:
    scene.source = replace(scene.source, streams=scene.source.streams[:1], listings=())
    scene.proxy.logs = [log("a"), log("later", "12:00:00")]
    report = scene.load(datetime(2026, 11, 2, 12, 15))
    assert (report.windows, report.rows, report.quarantined, report.warnings) == (1, 1, 0, ())
    assert scene.warehouse.rows("select id, end_user from raw.litellm__payloads") == [("a", "ann@acme.io")]
    for secret in (SECRET, KEY):
        scene.warehouse.assert_nowhere(secret)


def test_the_database_is_taken_when_its_address_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__LITELLM__BASE_URL", "https://proxy.acme.io")
    assert litellm_api.api_source("default") is PROXY
    monkeypatch.setenv("SOURCES__LITELLM__MAIN__DATABASE_URL", "postgresql://u:p@db/litellm")
    assert litellm_api.api_source("default") is PROXY
    assert litellm_api.api_source("main") is not PROXY


def test_without_any_address_both_ways_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no address of LiteLLM") as told, PROXY.open("default"):
        pass
    assert "`database_url`, or `base_url` and `api_key`" in told.value.remedy
    monkeypatch.setenv("SOURCES__LITELLM__BASE_URL", "https://proxy.acme.io")
    with pytest.raises(UserError, match="no API key of LiteLLM"), PROXY.open("default"):
        pass
