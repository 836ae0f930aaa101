"""Portkey's members, limits and counters, loaded from a server that lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.load import LoadReport
from llm_spend.load_api import load_api
from llm_spend.readers.api.client import Patience
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import portkey_api
from llm_spend.sources.portkey_api import TOTALS
from llm_spend.sources.portkey_limits import held_limit_rows, policy_usage_rows, usage_policy_row
from llm_spend.sources.portkey_lists import LISTINGS, api_key_row, key_kind

from .conftest import Warehouse
from .fake_portkey import KEY, FakePortkey, Fault, serving, source_of
from .test_portkey_api import Scene

NAMES = {listing.name for listing in LISTINGS}
MASKED = "pk*******4e"
POLICY = {
    "id": "policy-1",
    "name": "Per user",
    "conditions": [{"key": "workspace_id", "value": "ws-1"}],
    "group_by": [{"key": "metadata._user"}],
    "type": "cost",
    "credit_limit": 10,
    "alert_threshold": 8,
    "periodic_reset": "weekly",
    "next_usage_reset_at": "2026-11-09T00:00:00.000Z",
    "last_reset_at": "2026-11-02T00:00:00.000Z",
    "status": "active",
    "workspace_id": "ws-1",
    "organisation_id": "org-1",
    "created_at": "2026-01-01T00:00:00.000Z",
    "last_updated_at": "2026-01-02T00:00:00.000Z",
}
RATE = {
    "id": "policy-2",
    "conditions": POLICY["conditions"],
    "group_by": [{"key": "api_key"}],
    "type": "tokens",
    "unit": "rph",
    "value": 10_000,
    "status": "active",
    "workspace_id": "ws-1",
    "organisation_id": "org-1",
    "created_at": "2026-01-01T00:00:00.000Z",
    "last_updated_at": "2026-01-02T00:00:00.000Z",
}
API_KEY = {
    "id": "key-1",
    "key": MASKED,
    "name": "search",
    "type": "workspace-service",
    "organisation_id": "org-1",
    "workspace_id": "ws-1",
    "status": "exhausted",
    "created_at": "2026-01-01T00:00:00.000Z",
    "last_updated_at": "2026-01-02T00:00:00.000Z",
    "usage_limits": {"credit_limit": 25, "periodic_reset": "monthly", "next_usage_reset_at": "2026-12-01T00:00:00Z"},
    "rate_limits": [{"type": "requests", "unit": "rpm", "value": 100}],
    "defaults": {"metadata": {"team": "search"}},
    "alert_emails": ["boss@acme.io"],
    "object": "api-key",
}
WORKSPACE = {
    "id": "8d1f",
    "slug": "ws-1",
    "name": "Search",
    "created_at": "2024-07-30 13:27:29+00:00",
    "last_updated_at": "2024-07-30 15:27:29+02:00",
    "usage_limits": [{"credit_limit": 1000, "type": "tokens", "periodic_reset_days": 10}],
    "rate_limits": [],
}
PROVIDER = {
    "object": "provider",
    "name": "OpenAI",
    "slug": "openai-main",
    "status": "active",
    "usage_limits": {"credit_limit": 500, "type": "cost", "periodic_reset": "monthly"},
    "rate_limits": [{"type": "tokens", "unit": "rpm", "value": 9000}],
}
VIRTUAL_KEY = {
    "object": "virtual-key",
    "slug": "azure-old",
    "status": "exhausted",
    "usage_limits": {"credit_limit": 20, "type": "cost"},
    "rate_limits": None,
    "model_config": {"azureSecret": KEY},
}
USER = {
    "object": "user",
    "id": "owner-1",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "role": "member",
    "email": "ada@acme.io",
    "created_at": "2024-01-25 11:35:07",
}


@pytest.fixture
def scene(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with serving(FakePortkey()) as portkey:
        made = Scene(portkey, make_warehouse("portkey-limits"))
        portkey.lists = {
            "/api-keys": [API_KEY],
            "/admin/workspaces": [WORKSPACE],
            "/admin/users": [USER],
            "/policies/usage-limits": [POLICY],
            "/policies/rate-limits": [RATE],
            "/providers": [PROVIDER],
            # What is a provider now is listed as a virtual key, too.
            "/virtual-keys": [VIRTUAL_KEY, {**PROVIDER, "object": "virtual-key", "usage_limits": {"credit_limit": 1}}],
        }
        portkey.usage = {
            "policy-1": {
                "metadata._user:ada": {"current_usage": 1000.5, "status": "exhausted"},
                "metadata._user:bob": {"current_usage": 12.25, "status": "active"},
            }
        }
        patience = Patience(tries=2, first_wait=0.5, connect=1, read=1)
        source = source_of(portkey, (TOTALS,), LISTINGS, patience=patience, sleep=made.pauses.append)
        monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)
        yield made
        assert portkey.problems == []


def fetched(scene: Scene) -> dict[str, list[dict[str, Any]]]:
    """By list its rows as they are spooled; what may not be read is left out."""
    found = {}
    with portkey_api.api_source("x").open("x") as api:
        for listing in LISTINGS:
            path = scene.warehouse.folder / f"{listing.name}.jsonl"
            with suppress(NotAllowedError), Spool(path) as spool:
                listing.fetch(api, spool)
                assert spool.names <= set(listing.format.fields)
                found[listing.name] = path
    return {
        name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for name, path in found.items()
    }


def values(rows: Iterable[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in names) for row in rows]


def test_members_limits_and_counters_are_loaded_and_again_only_when_they_change(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [
        each for each in LISTINGS if each.name in ("workspaces", "usage_policies", "usage_policy_counters", "users")
    ]
    source = source_of(scene.portkey, (TOTALS,), tuple(some))
    monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)
    scene.portkey.faults = {"/v1/admin/users": [Fault(403, {"data": {"message": "not enough permissions"}})]}

    def load(minutes: int) -> LoadReport:
        now = datetime(2026, 11, 2, 0, 20) + timedelta(minutes=minutes)
        destination = DuckDb(scene.warehouse.database)
        return load_api("portkey", destination, instance="main", since=date(2026, 11, 2), now=now)

    report = load(0)
    assert (report.rows, report.quarantined) == (4, 0)
    (warning,) = report.warnings
    assert "lacks the permission to list users" in warning and "all else is loaded" in warning
    columns = "member_type, member_id, name, workspace_id, created_at, updated_at"
    moment = datetime(2024, 7, 30, 13, 27, 29)
    members = scene.warehouse.rows(f"select {columns} from raw.gateway__members")
    assert members == [("workspace", "ws-1", "Search", "8d1f", moment, moment)]
    columns = "limit_id, limit_value, limit_unit, scope ->> 'workspace_id', alert_thresholds ->> 0, next_reset_at"
    reset = datetime(2026, 11, 9)
    limits = scene.warehouse.rows(f"select {columns} from raw.gateway__limits")
    assert limits == [("policy-1", 10, "usd", "ws-1", "8", reset)]
    columns = "entity, period_start, period_end, used_value, used_unit, limit_value, status"
    usage = scene.warehouse.rows(f"select {columns} from raw.gateway__limit_usage order by 1")
    week = (datetime(2026, 11, 2), reset)
    assert usage == [
        ("metadata._user:ada", *week, Decimal("1000.5"), "us_cent", 10, "exhausted"),
        ("metadata._user:bob", *week, Decimal("12.25"), "us_cent", 10, "active"),
    ]
    # The same is no news; counters of which one has moved are.
    scene.portkey.usage["policy-1"]["metadata._user:bob"]["current_usage"] = 13
    scene.portkey.lists["/admin/users"] = []
    assert load(1).rows == 2


def test_every_member_is_shaped_and_no_key_is_kept(scene: Scene) -> None:
    found = fetched(scene)
    names = (
        "member_type",
        "member_id",
        "name",
        "email",
        "status",
        "owner_type",
        "owner_id",
        "workspace_id",
        "metadata",
    )
    members = [*found["api_keys"], *found["users"]]
    assert values(members, *names) == [
        ("api_key", "key-1", "search", None, "exhausted", "workspace", "ws-1", "ws-1", {"team": "search"}),
        ("user", "owner-1", "Ada Lovelace", "ada@acme.io", None, None, None, None, None),
    ]
    spooled = json.dumps(found)
    assert not any(secret in spooled for secret in (MASKED, KEY, "boss@acme.io"))
    asked = [path for path, _ in scene.portkey.asked]
    assert len(asked) == len(set(asked)) == 8
    owned = api_key_row({**API_KEY, "user_id": "owner-1"})
    assert (owned["owner_type"], owned["owner_id"]) == ("user", "owner-1")


def test_every_limit_is_shaped(scene: Scene) -> None:
    found = fetched(scene)
    lists = ("api_key_limits", "usage_policies", "rate_policies", "workspace_limits", "provider_limits")
    names = ("limit_id", "limit_kind", "scope_type", "measure", "limit_value", "limit_unit")
    limits = [row for name in lists for row in found[name]]
    assert values(limits, *names) == [
        ("api_key:key-1:cost", "budget", "api_key", "cost", 25, "usd"),
        ("api_key:key-1:requests:rpm", "rate_limit", "api_key", "requests", 100, "count"),
        ("policy-1", "budget", "metadata", "cost", 10, "usd"),
        ("policy-2", "rate_limit", "api_key", "tokens", 10_000, "tokens"),
        ("workspace:ws-1:tokens", "budget", "workspace", "tokens", 1000, "tokens"),
        ("provider:openai-main:cost", "budget", "provider", "cost", 500, "usd"),
        ("provider:openai-main:tokens:rpm", "rate_limit", "provider", "tokens", 9000, "tokens"),
        ("provider:azure-old:cost", "budget", "provider", "cost", 20, "usd"),
    ]
    assert values(limits, "window_unit", "window_length", "window_anchor") == [
        ("month", 1, "first"),
        ("minute", 1, None),
        ("week", 1, "next_reset_at"),
        ("hour", 1, None),
        ("days", 10, "next_reset_at"),
        ("month", 1, "first"),
        ("minute", 1, None),
        ("lifetime", None, None),
    ]
    held = [*found["api_key_usage"], *found["workspace_usage"], *found["provider_usage"]]
    assert values(held, "limit_id", "entity", "period_end", "used_value", "used_unit", "limit_value", "status") == [
        ("api_key:key-1:cost", "key-1", "2026-12-01T00:00:00Z", None, "us_cent", 25, "exhausted"),
        ("workspace:ws-1:tokens", "ws-1", None, None, "tokens", 1000, None),
        ("provider:openai-main:cost", "openai-main", None, None, "us_cent", 500, "active"),
        ("provider:azure-old:cost", "azure-old", None, None, "us_cent", 20, "exhausted"),
    ]


def test_conditions_and_groups_are_kept(scene: Scene) -> None:
    (row,) = fetched(scene)["usage_policies"]
    assert (row["scope"], row["counter_keys"]) == ({"workspace_id": "ws-1"}, ["metadata._user"])
    excluding = {**POLICY, "conditions": [{"key": "model", "value": ["a", "b"], "excludes": True}], "group_by": []}
    row = usage_policy_row(excluding)
    assert (row["scope_type"], row["scope"]) == ("model", {"model": {"value": ["a", "b"], "excludes": True}})


def test_what_a_key_may_not_list_is_asked_for_once_and_the_others_are_there(scene: Scene) -> None:
    refused = {"data": {"message": "no"}}
    scene.portkey.faults = {"/v1/api-keys": [Fault(403, refused)], "/v1/admin/users": [Fault(404, {})]}
    found = fetched(scene)
    assert NAMES - found.keys() == {"api_keys", "api_key_limits", "api_key_usage", "users"}
    assert [path for path, _ in scene.portkey.asked].count("/api-keys") == 1
    # One of the two names of providers is enough.
    for path, kept in (("/v1/providers", 3), ("/v1/virtual-keys", 2)):
        scene.portkey.faults = {path: [Fault(404, {})]}
        assert len(fetched(scene)["provider_limits"]) == kept
    scene.portkey.faults = {"/v1/providers": [Fault(403, refused)], "/v1/virtual-keys": [Fault(404, {})]}
    assert NAMES - fetched(scene).keys() == {"provider_limits", "provider_usage"}


def test_a_wrong_key_and_a_broken_server_end_the_run(scene: Scene) -> None:
    for status, said in ((401, "the key is wrong"), (500, "answered 500")):
        scene.portkey.faults = {"listing": [Fault(status, {})] * 2}
        with pytest.raises(UserError, match=said):
            fetched(scene)


def test_nothing_to_list_is_no_error(scene: Scene) -> None:
    scene.portkey.lists = {}
    assert fetched(scene) == {name: [] for name in NAMES}


def test_a_busy_server_is_asked_again_and_long_lists_come_in_pages(scene: Scene) -> None:
    scene.portkey.faults = {"listing": [Fault(429, {}, {"Retry-After": "3"})]}
    scene.portkey.lists = {"/admin/users": [{**USER, "id": f"{number}"} for number in range(130)]}
    assert len(fetched(scene)["users"]) == 130
    assert scene.pauses == [3]
    scene.portkey.is_paged = False
    with pytest.raises(UserError, match="has the rows of a page before it"):
        fetched(scene)


def test_counters_are_asked_for_one_by_one_where_there_is_no_map(scene: Scene) -> None:
    scene.portkey.usage = {}
    path = "/policies/usage-limits/policy-1/entities"
    scene.portkey.lists[path] = [{"id": "e-1", "value_key": "metadata._user:ada", "current_usage": 7}]
    counted = fetched(scene)["usage_policy_counters"]
    expected = [("metadata._user:ada", 7, "us_cent", None)]
    assert values(counted, "entity", "used_value", "used_unit", "status") == expected


def test_a_policy_that_was_deleted_meanwhile_has_no_counters(scene: Scene) -> None:
    scene.portkey.faults = {"/v1/policies/usage-limits/policy-1": [Fault(404, {})]}
    assert fetched(scene)["usage_policy_counters"] == []


def test_what_the_description_does_not_know_is_kept_in_raw(scene: Scene) -> None:
    scene.portkey.lists["/policies/rate-limits"] = [{**RATE, "unit": "rpw", "target": "llm"}]
    scene.portkey.validates = False
    (row,) = fetched(scene)["rate_policies"]
    assert (row["window_unit"], row["raw"]["target"]) == ("week", "llm")


@pytest.mark.parametrize(
    ("counters", "unit"),
    [
        ([(999, "active")], "us_cent"),
        ([(9, "active")], "us_cent"),
        ([(1001, "exhausted")], "us_cent"),
        ([(10.4, "exhausted")], "usd"),
        ([(10.4, "exhausted"), (3, "active")], "usd"),
        # Raised limits leave odd pairs behind: who is active with 500 was not counted in dollars.
        ([(10.4, "exhausted"), (500, "active")], "us_cent"),
        ([(None, "exhausted")], "us_cent"),
    ],
)
def test_the_unit_of_a_cost_counter_is_told_by_what_is_exhausted(counters: list[tuple[Any, str]], unit: str) -> None:
    rows = policy_usage_rows(POLICY, [{"current_usage": used, "status": status} for used, status in counters])
    assert {row["used_unit"] for row in rows} == {unit}


@pytest.mark.parametrize(("measure", "unit"), [("tokens", "tokens"), ("requests", "count")])
def test_other_counters_have_the_unit_of_their_limit(measure: str, unit: str) -> None:
    (row,) = policy_usage_rows({**POLICY, "type": measure}, [{"current_usage": 10.4, "status": "exhausted"}])
    assert row["used_unit"] == unit


def test_a_budget_without_a_reset_is_for_life_and_one_without_a_limit_is_none() -> None:
    (row,) = held_limit_rows("api_key", "key-1", {"usage_limits": {"credit_limit": 3, "periodic_reset": None}})
    assert (row["window_unit"], row["window_length"], row["window_anchor"]) == ("lifetime", None, None)
    assert list(held_limit_rows("api_key", "key-1", {"usage_limits": None, "rate_limits": None})) == []
    assert list(held_limit_rows("workspace", "ws", {"usage_limits": [{"credit_limit": None}]})) == []


@pytest.mark.parametrize(
    ("masks", "kind"),
    [
        ([("pk*******4e", "workspace-user"), ("pk*******zz", "workspace-service")], "workspace-user"),
        ([("pk*******4e", "workspace-user"), ("p*****4e", "workspace-service")], None),
        ([("", "workspace-user"), ("***", "workspace-user")], None),
    ],
)
def test_the_kind_of_our_key_is_told_by_its_mask(masks: list[tuple[str, str]], kind: str | None) -> None:
    assert key_kind([{"key": mask, "type": each} for mask, each in masks], KEY) == kind


@pytest.mark.parametrize(
    ("kind", "said"), [("workspace-user", "the key is a user's"), ("workspace-service", "analytics can be read")]
)
def test_the_doctor_doubts_a_key_of_a_user(scene: Scene, kind: str, said: str) -> None:
    scene.portkey.lists["/api-keys"] = [{**API_KEY, "type": kind}]
    with portkey_api.api_source("x").open("x") as api:
        assert said in api.check().rsplit(";", 1)[1]
