"""TrueFoundry's control plane, asked for real from a server that holds us to the fields of its SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
from llm_spend.sources import truefoundry_api
from llm_spend.sources.truefoundry import ATTRIBUTES
from llm_spend.sources.truefoundry_api import LISTINGS, STREAMS, TrueFoundry, api_source, hours
from llm_spend.sources.truefoundry_members import period_usage_rows
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_truefoundry import (
    KEY,
    PROMPT,
    TOKEN,
    FakeTrueFoundry,
    Fault,
    budget,
    call,
    serving,
    source_of,
    span,
    team,
    user,
    virtual_account,
)

DAY = date(2026, 11, 2)
NOON, MIDNIGHT = datetime(2026, 11, 2, 12, 15), datetime(2026, 11, 3, 0, 15)
HOURS = Window(datetime(2026, 11, 2, 9, 30), datetime(2026, 11, 2, 11))
WHOLE_DAY = Window(datetime(2026, 11, 2), datetime(2026, 11, 3))


@dataclass
class Scene:
    """A control plane, and what our client did: its pauses instead of waiting."""

    foundry: FakeTrueFoundry
    folder: Any
    metadata_keys: tuple[str, ...] = ()
    pauses: list[float] = field(default_factory=list)

    @property
    def source(self) -> Any:
        patience = Patience(tries=3, first_wait=0.5, longest_wait=60, connect=1, read=0.3)
        return source_of(self.foundry, self.metadata_keys, patience=patience, sleep=self.pauses.append)

    def rows(self, fetch: Callable[..., None], *window: Window) -> list[dict[str, Any]]:
        """What a stream or a list writes, without a database."""
        path = self.folder / "spool.jsonl"
        with self.source.open("default") as api, Spool(path) as spool:
            fetch(api, *window, spool)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def spans(self, window: Window = HOURS) -> list[str]:
        return [row["spanId"] for row in self.rows(TrueFoundry.spans, window)]

    def check(self) -> str:
        with self.source.open("default") as api:
            return str(api.check())


@pytest.fixture
def scene(tmp_path: Any) -> Iterator[Scene]:
    with serving(FakeTrueFoundry()) as foundry:
        yield Scene(foundry, tmp_path)
        assert foundry.problems == []


def test_everything_is_loaded(
    make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    warehouse, foundry = make_warehouse("truefoundry-api"), scene.foundry
    foundry.spans = [span("a"), span("root", kind="ChatCompletion"), span("odd", kind="SomethingNew")]
    foundry.calls = [call()]
    foundry.users, foundry.teams = [user("Ann@acme.io")], [team("search", ["ann@acme.io"])]
    foundry.budgets = [budget("all")]
    # Each takes seconds: two lists stand for all.
    few = replace(scene.source, listings=(LISTINGS[0], LISTINGS[3]))
    monkeypatch.setattr(truefoundry_api, "api_source", lambda instance: few)
    report = load(warehouse, MIDNIGHT, instance="acme")
    assert report.warnings == ()
    # A request, usage of its day in all and by four dimensions, a member and a budget.
    assert (report.rows, report.quarantined) == (1 + 5 + 1 + 1, 0)
    rows = warehouse.rows("select span_id, subject_slug, cost_in_usd, _problem from raw.truefoundry__spans")
    assert rows == [("a", "ann@acme.io", Decimal("0.000123"), None)]
    totals = "select dimension, member, requests, cost_amount from raw.gateway__totals order by 1"
    assert warehouse.rows(totals) == [
        ("all", None, 1, Decimal("0.25")),
        ("model", "gpt-4o", 1, Decimal("0.25")),
        ("team", "search", 1, Decimal("0.25")),
        ("user", "ann@acme.io", 1, Decimal("0.25")),
        ("virtual_account", None, 1, Decimal("0.25")),
    ]
    members = "select member_type, member_id, owner_id, team_ids from raw.gateway__members order by 1"
    assert warehouse.rows(members) == [
        ("user", "Ann@acme.io", None, '["search"]'),
    ]
    limits = "select limit_id, limit_value, window_unit, enforcement, _problem from raw.gateway__limits"
    assert warehouse.rows(limits) == [("tenant-budget-config:all:cost_per_day", 5, "day", "enforce", None)]
    for marker in (PROMPT, TOKEN, KEY):
        warehouse.assert_nowhere(marker)


def test_a_span_of_a_file_and_of_the_api_is_one_and_what_is_restated_is_replaced(
    make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    warehouse = make_warehouse("truefoundry-restated")
    only_spans = replace(scene.source, streams=STREAMS[:1], listings=())
    monkeypatch.setattr(truefoundry_api, "api_source", lambda instance: only_spans)
    kept = span("kept")
    warehouse.load("truefoundry", warehouse.write("spans.jsonl", [kept]), instance="acme")
    scene.foundry.spans = [kept, span("vanishes"), span("changes")]
    load(warehouse, NOON, instance="acme")
    rows = "select * exclude (_file, _dlt_load_id) from raw.truefoundry__spans where span_id = 'kept'"
    assert warehouse.rows(f"select count(*), count(distinct to_json(r)) from ({rows}) as r") == [(2, 1)]
    cost = {"tfy.model.metric.cost_in_usd": 4}
    scene.foundry.spans = [kept, span("changes", **cost), span("late", at="2026-11-02T09:00:00.000Z")]
    load(warehouse, NOON, instance="acme", again=True)
    latest = "select max(_dlt_load_id) from raw.llm_spend__files where window_end is not null"
    found = f"select span_id, cost_in_usd from raw.truefoundry__spans where _dlt_load_id = ({latest}) order by 1"
    assert warehouse.rows(found) == [
        ("changes", Decimal(4)),
        ("kept", Decimal("0.000123")),
        ("late", Decimal("0.000123")),
    ]


def load(warehouse: Warehouse, now: datetime, **options: Any) -> LoadReport:
    return load_api("truefoundry", DuckDb(warehouse.database), since=DAY, now=now, **options)


def test_a_window_is_asked_for_by_the_hour_and_each_span_comes_once(scene: Scene) -> None:
    times = {"before": "09:29:59.999", "first": "09:30:00.000", "cut": "10:00:00.000", "last": "10:59:59.999999"}
    times["after"] = "11:00:00.000"
    scene.foundry.spans = [span(name, at=f"2026-11-02T{at}Z") for name, at in times.items()]
    assert scene.spans() == ["first", "cut", "last"]
    asked = [(body["startTime"], body["endTime"]) for body in scene.foundry.bodies["spans"]]
    assert asked == [
        ("2026-11-02T09:29:59.000Z", "2026-11-02T10:00:01.000Z"),
        ("2026-11-02T09:59:59.000Z", "2026-11-02T11:00:01.000Z"),
    ]
    assert sum((each.end - each.start for each in hours(WHOLE_DAY)), timedelta()) == timedelta(days=1)


def test_an_empty_window_has_no_rows(scene: Scene) -> None:
    assert scene.spans() == []
    assert scene.foundry.steps == ["spans", "spans", "metrics"]


@pytest.mark.parametrize("end_token", [None, ""])
def test_pages_are_read_to_the_end(scene: Scene, end_token: Any) -> None:
    scene.foundry.spans = [span(f"{number}", at=f"2026-11-02T10:{number:02}:00.000Z") for number in range(7)]
    scene.foundry.page_rows, scene.foundry.end_token = 3, end_token
    assert scene.spans() == [f"{number}" for number in range(7)]
    assert scene.foundry.steps == ["spans"] * 4 + ["metrics"]


def test_what_was_said_is_not_even_spooled_and_other_spans_are_left_out(scene: Scene) -> None:
    scene.foundry.filters_work = False
    scene.foundry.spans = [span("a", surprise=PROMPT), span("root", kind="ChatCompletion")]
    (row,) = scene.rows(TrueFoundry.spans, HOURS)
    assert row["spanId"] == "a" and "tfy.model.metric.cost_in_usd" in row["spanAttributes"]
    assert PROMPT not in json.dumps(row)
    assert set(row) <= set(STREAMS[0].format.fields)


def test_every_attribute_that_is_read_reaches_the_spool() -> None:
    read = {path.strip("'").removeprefix('$."').removesuffix('"') for path in STREAMS[0].format.texts["spanAttributes"]}
    assert len(read) > 20
    assert read <= set(ATTRIBUTES)


def test_a_new_field_of_a_span_is_left_for_the_loader_to_name(scene: Scene) -> None:
    scene.foundry.spans = [{**span("a"), "novelty": 1}]
    (row,) = scene.rows(TrueFoundry.spans, HOURS)
    assert row["novelty"] == 1


PAGES: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    (lambda page: {**page, "pagination": {"nextPageToken": "c2FtZQ=="}}, "leads back|rows of a page before"),
    (lambda page: {**page, "pagination": {"nextPageToken": "MA=="}}, "leads back|rows of a page before"),
]


@pytest.mark.parametrize(("page", "said"), PAGES)
def test_pages_that_come_again_are_an_error(
    scene: Scene, page: Callable[[dict[str, Any]], dict[str, Any]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.foundry.spans = [span("a")]
    scene.foundry.page = page
    answer = scene.foundry.query_spans
    monkeypatch.setattr(scene.foundry, "query_spans", lambda body: answer({**body, "pageToken": None}))
    with pytest.raises(UserError, match=said):
        scene.spans()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(429, {}, {"Retry-After": "17"}), "answered 429"),
        (Fault(500, {"message": "broken"}), "answered 500"),
        (Fault(pause=0.6), "did not answer in time|no connection"),
        (Fault(200, b"<html>the console</html>"), "not JSON"),
    ],
)
def test_what_fails_for_a_moment_is_tried_again_and_what_fails_for_good_is_told(
    scene: Scene, fault: Fault, said: str
) -> None:
    scene.foundry.spans = [span("a")]
    scene.foundry.faults = {"spans": [fault]}
    assert scene.spans() == ["a"]
    assert scene.pauses[0] == 17 if fault.status == 429 else 0 < scene.pauses[0] < 2
    scene.foundry.faults = {"spans": [fault] * 3}
    with pytest.raises(UserError, match=said):
        scene.spans()


REFUSALS = [(401, "wrong or has expired", "tenant admin"), (403, "may not ask", "tenant admin")]
REFUSALS += [(404, "no such thing", "control plane"), (400, "answered 400", "report this as a bug")]


@pytest.mark.parametrize(("status", "problem", "remedy"), REFUSALS)
def test_a_refusal_says_what_to_do_and_not_the_key(scene: Scene, status: int, problem: str, remedy: str) -> None:
    scene.foundry.faults = {"spans": [Fault(status, {"message": f"no: {KEY}"})]}
    with pytest.raises(UserError) as refused:
        scene.spans()
    assert problem in refused.value.problem and remedy in refused.value.remedy
    assert "no: " in refused.value.problem and KEY not in str(refused.value)


def test_an_answer_without_spans_is_an_error(scene: Scene) -> None:
    scene.foundry.faults = {"spans": [Fault(200, {"items": []})]}
    with pytest.raises(UserError, match="no list of spans"):
        scene.spans()


@pytest.mark.parametrize("is_old", [False, True])
def test_virtual_models_and_users_of_two_teams(scene: Scene, is_old: bool) -> None:
    scene.foundry.has_old_metrics = is_old
    of_two_teams = {"team": ["search", "ml"], "metadata.feature": "chat"}
    scene.foundry.calls = [
        call("router", virtualModelName="router", **of_two_teams),
        call("gpt-4o", **of_two_teams),
        call("claude", userEmail=None, virtualaccount="va-ci", team=[], costInUSD=None),
    ]
    scene.metadata_keys = ("feature",)
    rows = scene.rows(TrueFoundry.totals, WHOLE_DAY)
    found = [(row["dimension"], row["member"], int(row["requests"]), row["cost_amount"]) for row in rows]
    assert found == [
        ("all", None, 2, "0.25"),
        ("model", "gpt-4o", 1, "0.25"),
        ("model", "claude", 1, "0"),
        ("user", "ann@acme.io", 1, "0.25"),
        ("user", None, 1, "0"),
        ("virtual_account", None, 1, "0.25"),
        ("virtual_account", "va-ci", 1, "0"),
        # Both of the user's teams: the sum of teams is more than the total.
        ("team", "search", 1, "0.25"),
        ("team", "ml", 1, "0.25"),
        ("metadata:feature", "chat", 1, "0.25"),
        ("metadata:feature", None, 1, "0"),
    ]
    assert {(row["bucket_start"], row["bucket_end"], row["cost_unit"]) for row in rows} == {
        ("2026-11-02T00:00:00.000Z", "2026-11-03T00:00:00.000Z", "usd")
    }


def test_requests_without_a_span_are_told_once(scene: Scene) -> None:
    scene.foundry.spans, scene.foundry.calls = [span("a")], [call(), call()]
    path = scene.folder / "spool.jsonl"
    with scene.source.open("default") as api, Spool(path) as spool:
        api.spans(HOURS, spool)
        api.spans(HOURS, spool)
    (told,) = spool.warnings
    assert scene.foundry.steps.count("metrics") == 1
    assert "counted 2 model calls" in told and "has spans of 1" in told and "lower bound" in told


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (["tenant-admin"], "llm-spend, a tenant admin"),
        (["tenant-member"], "NOT a tenant admin: it sees its own requests"),
        ([], "make sure that it is a tenant admin"),
    ],
)
def test_doctor_says_whose_key_it_is(scene: Scene, roles: list[str], said: str) -> None:
    scene.foundry.roles, scene.foundry.calls = roles, [call(at=None)] * 3
    found = scene.check()
    assert said in found
    assert "none of the last day's 3 requests" in found


def test_doctor_goes_on_where_the_key_can_not_be_told(scene: Scene) -> None:
    scene.foundry.faults = {"session": [Fault(403, {})], "metrics": [Fault(403, {})]}
    assert (
        scene.check() == "spans can be asked for, whose key it is can't be told: it must be that of a tenant admin"
        " to see all"
    )
    scene.foundry.faults = {"spans": [Fault(401, {})]}
    with pytest.raises(UserError, match="wrong or has expired"):
        scene.check()


def test_a_list_of_users_that_is_not_all_of_them_is_not_taken(scene: Scene) -> None:
    scene.foundry.roles, scene.foundry.users = ["tenant-member"], [user("ann@acme.io")]
    with pytest.raises(NotAllowedError, match="sees its own requests and those of its teams only"):
        scene.rows(TrueFoundry.users)


@pytest.mark.parametrize(
    ("step", "listing"),
    [("users", "users"), ("virtual-accounts", "virtual_accounts"), ("config", "limits"), ("rule-usage", "limit_usage")],
)
def test_a_list_that_is_not_allowed_says_so(scene: Scene, step: str, listing: str) -> None:
    scene.foundry.faults = {step: [Fault(403, {})]}
    (fetch,) = [each.fetch for each in LISTINGS if each.name == listing]
    with pytest.raises(NotAllowedError, match="may not ask TrueFoundry for"):
        scene.rows(fetch)
    scene.foundry.faults = {"metrics": [Fault(403, {})]}
    with pytest.raises(NotAllowedError, match="may not ask TrueFoundry for usage"):
        scene.rows(TrueFoundry.totals, WHOLE_DAY)


def test_members(scene: Scene) -> None:
    foundry = scene.foundry
    foundry.members_of_page = 2
    foundry.users = [user("Ann@acme.io"), user("bob@acme.io", active=False), user("eve@acme.io")]
    foundry.teams = [
        team("search", ["ann@acme.io"], tags={"cost_centre": "4711"}),
        team("ml", ["ANN@acme.io"], managers=["eve@acme.io"], displayName="Machine Learning"),
    ]
    gone = {"expiration_date": "2026-12-31T00:00:00Z", "name": "va-old", "type": "virtual-account"}
    foundry.virtual_accounts = [
        virtual_account("va-ci", owner="search"),
        virtual_account("va-old", isExpired=True, manifest=gone),
    ]
    users = scene.rows(TrueFoundry.users)
    assert [(row["member_id"], row["name"], row["status"], row["team_ids"]) for row in users] == [
        ("Ann@acme.io", "Ann", "active", ["ml", "search"]),
        ("bob@acme.io", "Bob", "inactive", []),
        ("eve@acme.io", "Eve", "active", ["ml"]),
    ]
    teams = scene.rows(TrueFoundry.teams)
    assert [(row["member_id"], row["name"], row["metadata"]) for row in teams] == [
        ("search", "search", {"cost_centre": "4711"}),
        ("ml", "Machine Learning", None),
    ]
    accounts = scene.rows(TrueFoundry.virtual_accounts)
    names = ("member_id", "status", "owner_type", "owner_id", "team_ids", "expires_at")
    assert [tuple(row[name] for name in names) for row in accounts] == [
        ("va-ci", "active", "team", "search", ["search"], None),
        ("va-old", "expired", None, None, [], "2026-12-31T00:00:00Z"),
    ]
    known = set(LISTINGS[0].format.fields)
    for row in (*users, *teams, *accounts):
        assert set(row) <= known and row["organization_id"] == "acme"
    assert TOKEN not in json.dumps([users, teams, accounts])


def test_members_that_do_not_all_come_are_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"data": [virtual_account("a")], "pagination": {"total": 3}}
    empty = {**short, "data": []}
    monkeypatch.setattr(scene.foundry, "members", lambda rows, limit, offset: empty if offset else short)
    with pytest.raises(UserError, match="3 rows were announced and 1 came"):
        scene.rows(TrueFoundry.virtual_accounts)


def test_teams_that_come_again_are_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"data": [team("search", [])], "pagination": {"total": 3}}
    monkeypatch.setattr(scene.foundry, "members", lambda rows, limit, offset: same)
    for fetch in (TrueFoundry.users, TrueFoundry.teams):
        with pytest.raises(UserError, match="has the rows of a page before it"):
            scene.rows(fetch)


def test_teams_are_asked_for_once(scene: Scene) -> None:
    scene.foundry.users, scene.foundry.teams = [user("ann@acme.io")], [team("search", ["ann@acme.io"])]
    with (
        scene.source.open("default") as api,
        Spool(scene.folder / "users") as users,
        Spool(scene.folder / "t") as teams,
    ):
        api.users(users)
        api.teams(teams)
    assert (users.rows, teams.rows) == (1, 1)
    assert scene.foundry.steps.count("teams") == 1


def test_amounts_may_be_text_and_feedback_is_not_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    point = {"total": "7", "sumCostInUSD": "1.5"}
    monkeypatch.setattr(scene.foundry, "query_metrics", lambda body: {"data": {"dataPoints": [point]}})
    everything = scene.rows(TrueFoundry.totals, WHOLE_DAY)[0]
    assert (everything["requests"], everything["cost_amount"]) == ("7", "1.5")
    with scene.source.open("default") as api, Spool(scene.folder / "spans") as spans:
        api.spans(HOURS, spans)
    assert "counted 7 model calls" in spans.warnings[0]
    assert {body["includeFeedbacks"] for body in scene.foundry.bodies["spans"]} == {False}


def test_limits_of_every_kind_and_what_counts_against_them(scene: Scene) -> None:
    foundry = scene.foundry
    rule = {"id": "r", "when": {"subjects": ["virtual-account:ci"]}, "limit_to": 10, "unit": "requests_per_minute"}
    foundry.configs = {
        "gateway-rate-limiting-config": {"type": "gateway-rate-limiting-config", "rules": [rule]},
        "gateway-budget-config": {"rules": [{"id": "b", "when": {}, "limit_to": 1.5, "unit": "cost_per_month"}]},
    }
    foundry.budgets = [budget("per-user", applies_to={"type": "per-user"})]
    names = ("limit_id", "limit_kind", "scope_type", "limit_value", "limit_unit", "window_unit", "evaluation")
    assert [tuple(row[name] for name in names) for row in scene.rows(TrueFoundry.limits)] == [
        ("gateway-rate-limiting-config:r", "rate_limit", "virtual_account", "10", "count", "minute", "first_match"),
        ("gateway-budget-config:b", "budget", "any", "1.5", "usd", "month", "all_match"),
        ("tenant-budget-config:per-user:cost_per_day", "budget", "any", "5", "usd", "day", "all_match"),
    ]
    foundry.rule_usage = [{"budgetRuleId": "b", "used": 0.75, "limit": 1.5, "period": "cost_per_month"}]
    usage = {"limit": 5, "used": 0.1, "percentage": 2, "start": 1793577600, "end": 1793663999}
    entity = {"entity": "ann@acme.io", "periods": {"cost_per_day": usage}}
    matched = {"name": "per-user", "type": "tenant-budget-config", "applies_to": "per-user", "mode": "enforce"}
    foundry.budget_usage = {"b-per-user": {"matched": [{**matched, "entities": [entity]}]}}
    of_rule, of_user = scene.rows(TrueFoundry.limit_usage)
    names = ("limit_id", "used_value", "used_unit")
    assert tuple(of_rule[name] for name in names) == ("gateway-budget-config:b", "0.75", "usd")
    assert of_user | {"raw": None} == {
        "limit_id": "tenant-budget-config:per-user:cost_per_day",
        "entity": "ann@acme.io",
        "period_start": "2026-11-02T00:00:00Z",
        "period_end": "2026-11-03T00:00:00Z",
        "used_value": "0.1",
        "used_unit": "usd",
        "limit_value": "5",
        "raw": None,
    }


def test_a_control_plane_without_budgets_has_none(scene: Scene) -> None:
    scene.foundry.faults = {"budgets": [Fault(404, {}), Fault(404, {})], "rule-usage": [Fault(404, {})]}
    assert scene.rows(TrueFoundry.limits) == scene.rows(TrueFoundry.limit_usage) == []


def test_usage_of_an_unknown_period_is_kept() -> None:
    entity = {"periods": {"cost_per_fortnight": {"used": 1}}}
    (row,) = period_usage_rows({"matched": [{"name": "n", "type": "t", "entities": [entity]}]})
    assert (row["limit_id"], row["entity"]) == ("t:n:cost_per_fortnight", None)
    assert (row["period_start"], row["used_value"]) == (None, "1")


def test_what_is_asked_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__TRUEFOUNDRY__API_KEY", KEY)
    with pytest.raises(UserError, match="no address of TrueFoundry"), api_source("acme").open("acme"):
        pass
    monkeypatch.setenv("SOURCES__TRUEFOUNDRY__BASE_URL", "https://acme.truefoundry.example")
    monkeypatch.setenv("SOURCES__TRUEFOUNDRY__ACME__TRACING_PROJECT_FQN", "acme:tracing-project:one")
    monkeypatch.setenv("SOURCES__TRUEFOUNDRY__TOTALS_METADATA_KEYS", '["feature", "customer"]')
    with api_source("acme").open("acme") as api:
        assert api._place == {"tracingProjectFqn": "acme:tracing-project:one"}
        assert api._metadata_keys == ("feature", "customer")
    with api_source("other").open("other") as api:
        assert api._place == {"dataRoutingDestination": "default"}
