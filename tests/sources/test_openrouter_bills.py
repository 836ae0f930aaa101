"""What OpenRouter bills, by key, and who is there: asked for real, and its answers held to its SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llm_spend.readers.api.source import ApiSource
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import openrouter_api
from llm_spend.sources.openrouter_api import LISTINGS, STREAMS, OpenRouter
from llm_spend.sources.shared_tables import observed

from .conftest import Warehouse
from .fake_openrouter import KEY, FakeOpenRouter, activity, key, member, workspace
from .fake_server import DAY, WHOLE_DAY, Fault, Scene, client_of, opening, read_back, serving

MIDNIGHT = datetime(2026, 11, 3, 0, 15)
BY_KEY = "api_key_id,endpoint_id,model,project_id,provider_name"
_STREAMS = {stream.name: stream for stream in STREAMS}


@pytest.fixture
def openrouter() -> Iterator[FakeOpenRouter]:
    fake = FakeOpenRouter()
    with serving(fake):
        yield fake


@pytest.fixture
def api(openrouter: FakeOpenRouter) -> Iterator[OpenRouter]:
    with client_of(openrouter, "OpenRouter", {"Authorization": f"Bearer {KEY}"}, []) as client:
        yield OpenRouter(client)


class Told(NamedTuple):
    rows: list[dict[str, Any]]
    warnings: list[str]


@pytest.fixture
def ask(api: OpenRouter, tmp_path: Path) -> Callable[[str], Told]:
    """The rows of a stream on the day of the tests."""

    def ask_for(name: str) -> Told:
        path = tmp_path / "spool.jsonl"
        with Spool(path) as spool:
            _STREAMS[name].fetch(api, WHOLE_DAY, spool)
        return Told([json.loads(line) for line in path.read_text().splitlines()], spool.warnings)

    return ask_for


def of_profile(rows: list[dict[str, Any]], profile: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["profile"] == profile]


def total(rows: list[dict[str, Any]], name: str) -> Decimal:
    return sum((Decimal(row[name]) for row in rows), Decimal(0))


@pytest.fixture
def two_keys(openrouter: FakeOpenRouter) -> FakeOpenRouter:
    """Two keys in two workspaces, and what a third one did that is gone."""
    openrouter.workspaces = [workspace("w-1"), workspace("w-2")]
    openrouter.keys = [key("app"), key("batch", workspace_id="w-2", disabled=True)]
    openrouter.activity = [
        activity("gpt", usage=0.1, api_key_hash="hash-app"),
        activity("gpt", usage=0.2, api_key_hash="hash-batch", workspace_id="w-2"),
        activity("gpt", usage=0.3, requests=5, api_key_hash="hash-gone"),
        activity("own", "e-9", usage=0, byok_usage_inference=4.25, api_key_hash="hash-app", cached_tokens=140),
    ]
    return openrouter


def test_costs_are_by_key_and_what_no_key_has_makes_up_the_total(
    two_keys: FakeOpenRouter, ask: Callable[[str], Told]
) -> None:
    rows = ask("costs").rows
    (control,) = of_profile(rows, "control")
    assert (control["amount"], control["grouping"], control["model"]) == ("0.6", "", None)
    primary = of_profile(rows, "primary")
    assert {row["grouping"] for row in primary} == {BY_KEY}
    found = [(row["api_key_id"], row["project_id"], row["model"], row["amount"], row["requests"]) for row in primary]
    assert sorted(found, key=str) == [
        ("hash-app", "w-1", "gpt-2026", "0.1", "2"),
        ("hash-app", "w-1", "own-2026", "0", "2"),
        ("hash-batch", "w-2", "gpt-2026", "0.2", "2"),
        (None, "w-1", "gpt-2026", "0.3", "5"),
    ]
    (byok,) = of_profile(rows, "byok")
    assert (byok["amount"], byok["is_cash"], byok["model"]) == ("4.25", False, "own-2026")
    assert (control["settles_at"], control["currency"]) == ("2026-11-06T00:00:00.000Z", "USD")


def test_usage_is_by_key_and_cached_tokens_stay_inside_the_prompt(
    two_keys: FakeOpenRouter, ask: Callable[[str], Told]
) -> None:
    rows = ask("usage").rows
    (control,) = of_profile(rows, "control")
    primary = of_profile(rows, "primary")
    for name, expected in {"requests": 11, "input_tokens": 400, "output_tokens": 200, "reasoning_tokens": 40}.items():
        assert total(primary, name) == Decimal(control[name]) == expected
    (own,) = [row for row in primary if row["model"] == "own-2026"]
    assert (own["cache_read_tokens"], own["raw"]["cached_tokens"]) == ("100", 140)
    assert own["dimensions"] == {"endpoint_id": "e-9", "provider_name": "OpenAI", "model_slug": "own"}


def test_rows_are_loaded_and_both_streams_share_the_answers(
    two_keys: FakeOpenRouter, make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    opened = opening(OpenRouter, lambda: client_of(two_keys, "OpenRouter", headers, []))
    source = ApiSource("openrouter", opened, (_STREAMS["usage"], _STREAMS["costs"]))
    monkeypatch.setattr(openrouter_api, "api_source", lambda instance: source)
    scene = Scene(source, make_warehouse("openrouter"), [])
    report = scene.load(MIDNIGHT, instance="org")
    assert (report.rows, report.quarantined, report.windows, report.warnings) == (11, 0, 2, ())
    asked = [each.path for each in two_keys.asked]
    assert (asked.count("/api/v1/activity"), asked.count("/api/v1/workspaces")) == (4, 1)
    costs = "select profile, sum(amount), count(*), bool_or(is_cash) from raw.provider__costs group by 1 order by 1"
    assert scene.warehouse.rows(costs) == [
        ("byok", Decimal("4.25"), 1, False),
        ("control", Decimal("0.6"), 1, None),
        ("primary", Decimal("0.6"), 4, None),
    ]
    usage = "select profile, sum(input_tokens), sum(cache_read_tokens) from raw.provider__usage group by 1 order by 1"
    assert scene.warehouse.rows(usage) == [("control", 400, 260), ("primary", 400, 220)]


def test_lists_are_members_and_limits(api: OpenRouter, openrouter: FakeOpenRouter, tmp_path: Path) -> None:
    budget = {"limit": 50, "limit_remaining": 12.5, "limit_reset": "monthly"}
    openrouter.keys = [key("app", **budget), key("free"), key("off", disabled=True)]
    openrouter.members = [member("user-1")]
    found = {}
    for listing in LISTINGS:
        with Spool(tmp_path / listing.name) as spool:
            listing.fetch(api, spool)
        found[listing.name] = read_back(observed(listing.format, MIDNIGHT), tmp_path / listing.name)
    assert {name: len(rows) for name, rows in found.items()} == {
        "keys": 3, "workspaces": 1, "members": 1, "key_limits": 1, "key_usage": 1, "credits": 1, "credits_used": 1
    }  # fmt: skip
    assert [row["_problem"] for rows in found.values() for row in rows if row["_problem"]] == []
    members = [row for name in ("keys", "workspaces", "members") for row in found[name]]
    assert [(row["member_type"], row["member_id"], row["status"]) for row in members] == [
        ("api_key", "hash-app", "active"),
        ("api_key", "hash-free", "active"),
        ("api_key", "hash-off", "disabled"),
        ("workspace", "w-1", None),
        ("user", "user-1", None),
    ]
    limits = [
        (row["limit_id"], row["limit_value"], row["window_unit"]) for row in found["key_limits"] + found["credits"]
    ]
    assert limits == [("api_key:hash-app", 50, "month"), ("credits", 100, "lifetime")]
    used = [(row["limit_id"], row["used_value"], row["status"]) for row in found["key_usage"] + found["credits_used"]]
    assert used == [("api_key:hash-app", Decimal("37.5"), "active"), ("credits", Decimal("12.5"), "active")]


def test_a_day_that_vanishes_is_replaced_by_a_total_of_nothing(
    openrouter: FakeOpenRouter, ask: Callable[[str], Told]
) -> None:
    for name, field in {"usage": "requests", "costs": "amount"}.items():
        (control,) = ask(name).rows
        assert (control["profile"], control[field]) == ("control", "0")


def test_nothing_of_a_day_that_may_be_forgotten_is_no_total_of_nothing(
    openrouter: FakeOpenRouter, ask: Callable[[str], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=30))
    told = ask("costs")
    assert told.rows == []
    assert ["no longer tells of 2026-11-02" in warning for warning in told.warnings] == [True]
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=29))
    assert of_profile(ask("costs").rows, "control")


def test_what_is_given_back_is_kept(openrouter: FakeOpenRouter, ask: Callable[[str], Told]) -> None:
    openrouter.activity = [activity("gpt", usage=3), activity("old", usage=-12.5)]
    told = [(row["profile"], row["model"], row["amount"]) for row in ask("costs").rows]
    assert told == [("control", None, "-9.5"), ("primary", "gpt-2026", "3"), ("primary", "old-2026", "-12.5")]


def test_keys_that_have_more_than_the_total_are_not_taken_from_it(
    two_keys: FakeOpenRouter, ask: Callable[[str], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = two_keys._activity

    def doubled(query: Any) -> Any:
        found = plain(query)
        if "api_key_hash" in query:
            found["data"] = [row | {"requests": row["requests"] * 9} for row in found["data"]]
        return found

    monkeypatch.setattr(two_keys, "_activity", doubled)
    told = ask("costs")
    primary = of_profile(told.rows, "primary")
    assert {row["grouping"] for row in primary} == {"endpoint_id,model,project_id,provider_name"}
    assert (total(primary, "amount"), {row["api_key_id"] for row in primary}) == (Decimal("0.6"), {None})
    (warning,) = told.warnings
    assert "keys have more activity on 2026-11-02 than there is in total" in warning


def test_no_key_is_asked_about_when_nothing_is_left(openrouter: FakeOpenRouter, ask: Callable[[str], Told]) -> None:
    openrouter.keys = [
        key("idle", last_used_at="2026-11-03T00:00:00Z"),
        key("app"),
        key("before", last_used_at="2026-11-01T23:59:59Z"),
        key("later", created_at="2026-11-03T00:00:00Z"),
    ]
    openrouter.activity = [activity("gpt", api_key_hash="hash-app")]
    ask("usage")
    assert [each.query.get("api_key_hash") for each in openrouter.asked if "api_key_hash" in each.query] == ["hash-app"]


def test_without_workspaces_the_keys_of_the_default_one_are_asked(
    openrouter: FakeOpenRouter, ask: Callable[[str], Told]
) -> None:
    openrouter.refused, openrouter.knows_workspaces = {"/api/v1/workspaces": 404}, False
    openrouter.keys = [key("app"), key("b"), key("c")]
    openrouter.activity = [activity("gpt", api_key_hash="hash-app"), activity("claude", api_key_hash="hash-c")]
    rows = of_profile(ask("usage").rows, "primary")
    assert {row["grouping"] for row in rows} == {"api_key_id,endpoint_id,model,provider_name"}
    assert {(row["api_key_id"], row["project_id"]) for row in rows} == {("hash-app", None), ("hash-c", None)}


def test_without_the_right_to_list_keys_there_are_rows_without_keys(
    two_keys: FakeOpenRouter, ask: Callable[[str], Told]
) -> None:
    two_keys.refused = {"/api/v1/keys": 403}
    told = ask("costs")
    (warning,) = told.warnings
    assert "without keys" in warning and "management key" in warning
    primary = of_profile(told.rows, "primary")
    assert (total(primary, "amount"), {row["api_key_id"] for row in primary}) == (Decimal("0.6"), {None})


def test_a_key_that_is_deleted_meanwhile_is_told_and_its_activity_stays(
    two_keys: FakeOpenRouter, ask: Callable[[str], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = two_keys._activity
    gone = Fault(404, {"error": {"message": "API key not found"}})
    monkeypatch.setattr(two_keys, "_activity", lambda query: gone if "hash-batch" in query.values() else plain(query))
    told = ask("costs")
    (warning,) = told.warnings
    assert "did not tell of the activity of 1 keys on 2026-11-02" in warning
    assert total(of_profile(told.rows, "primary"), "amount") == Decimal("0.6")


def test_a_cost_that_is_no_number_is_not_nothing(openrouter: FakeOpenRouter, ask: Callable[[str], Told]) -> None:
    openrouter.faults = [Fault(200, {"data": [activity("gpt", usage=None)]})] * 2
    rows = ask("costs").rows
    assert {row["amount"] for row in rows} == {None}


def test_a_cost_is_rounded_once_and_never_a_float(openrouter: FakeOpenRouter, ask: Callable[[str], Told]) -> None:
    told = json.dumps({"data": [activity("gpt", usage="COST")]}).replace('"COST"', "123.4567890123456789")
    openrouter.faults = [Fault(200, told.encode())] * 2
    amounts = {row["profile"]: row["amount"] for row in ask("costs").rows}
    assert amounts == dict.fromkeys(("control", "primary"), "123.456789012346")


def test_each_right_is_told(two_keys: FakeOpenRouter, api: OpenRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openrouter_api, "_today", lambda: DAY + timedelta(days=1))
    two_keys.refused = {"/api/v1/organization/members": 404}
    told = api.check()
    assert "activity can be read, 2 rows for 2026-11-02; 2 keys; 2 workspaces; members can't be read" in told
    assert told.endswith("credits can be read")


def test_the_answers_are_those_of_the_sdk(two_keys: FakeOpenRouter) -> None:
    from openrouter.components.activityresponse import ActivityResponse
    from openrouter.components.workspace import Workspace
    from openrouter.operations.getcredits import GetCreditsData
    from openrouter.operations.list import ListData
    from openrouter.operations.listorganizationmembers import ListOrganizationMembersData

    answers = [
        (ActivityResponse, two_keys._activity({"date": DAY.isoformat(), "group_by": "workspace"})),
        (ListData, key("app")),
        (Workspace, workspace("w-1")),
        (ListOrganizationMembersData, member("user-1")),
        (GetCreditsData, two_keys.credits),
    ]
    for model, answer in answers:
        known = model.model_validate(answer).model_dump(mode="json", by_alias=True)
        assert names(answer) <= names(known)


def names(document: Any) -> set[str]:
    """Paths of the fields of a document."""
    if isinstance(document, list):
        return {name for each in document for name in names(each)}
    if not isinstance(document, dict):
        return set()
    return {f"{name}.{inner}" for name, value in document.items() for inner in names(value) | {""}}
