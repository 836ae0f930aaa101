"""Anthropic's reports, asked for real at a server that adds up calls as they do and refuses what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.ahead import DaysAhead
from llm_spend.readers.api.source import ApiSource, NotAllowedError, Stream
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import anthropic_api, anthropic_reports
from llm_spend.sources.anthropic_analytics import CONSOLE, ENTERPRISE, PROFILES
from llm_spend.sources.anthropic_api import COSTS, USAGE, Anthropic
from llm_spend.sources.anthropic_client import AnthropicClient
from llm_spend.sources.anthropic_lists import LISTINGS, USER_PROFILES, AnthropicLists
from llm_spend.sources.anthropic_reports import Choice, Reports
from llm_spend.sources.shared_tables import observed
from llm_spend.windows import Window

from .anthropic_samples import ANN, LISTS, SONNET, call, record
from .conftest import Warehouse
from .fake_anthropic import ADMIN_KEY, DEFAULT_WORKSPACE, FORBIDDEN, NOT_FOUND, ORDINARY_KEY, FakeAnthropic
from .fake_server import WHOLE_DAY, Fault, Scene, client_of, read_back, serving

MORNING = datetime(2026, 11, 3, 4, 30)
USAGE_PATH, COST_PATH = "/v1/organizations/analytics/usage", "/v1/organizations/analytics/cost"
LEGACY_USAGE, LEGACY_COSTS = "/v1/organizations/usage_report/messages", "/v1/organizations/cost_report"
CLAUDE_CODE = "/v1/organizations/usage_report/claude_code"
ANYTHING = Choice()
VERSION = {"anthropic-version": "2023-06-01"}
BETA = {"anthropic-beta": "analytics-usage-cost-2026-08-24"}


class Fetched(NamedTuple):
    rows: list[dict[str, Any]]
    warnings: list[str]
    is_proof: bool

    def of(self, profile: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["profile"] == profile]

    def one(self, profile: str) -> dict[str, Any]:
        (row,) = self.of(profile)
        return row


class Stage(NamedTuple):
    fake: FakeAnthropic
    folder: Path
    pauses: list[float]

    def api(self, choice: Choice = ANYTHING, *, claude_code: bool = False, key: str = ADMIN_KEY) -> Anthropic:
        def client(key: str, headers: Mapping[str, str] = VERSION) -> AnthropicClient:
            return AnthropicClient(client_of(self.fake, "Anthropic", {"x-api-key": key, **headers}, self.pauses), key)

        admin = client(key)
        reports = Reports(client(key, VERSION | BETA), admin, choice)
        return Anthropic(reports, AnthropicLists(admin, client(ORDINARY_KEY)), has_claude_code=claude_code)

    def fetch(self, stream: Stream, api: Anthropic | None = None, window: Window = WHOLE_DAY) -> Fetched:
        path = self.folder / "spool.jsonl"
        with Spool(path) as spool:
            stream.fetch(api or self.api(), window, spool)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return Fetched(rows, spool.warnings, spool.is_proof)

    def groupings(self, path: str) -> list[str]:
        """By what a report was asked for, question by question."""
        return [",".join(sorted(each.all_of.get("group_by[]", []))) for each in self.fake.asked if each.path == path]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    fake = FakeAnthropic(lists=LISTS)
    with serving(fake):
        monkeypatch.setattr(anthropic_reports, "_now", lambda: MORNING)
        yield Stage(fake, tmp_path, [])


def cents(rows: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["amount"]) for row in rows), Decimal(0))


def test_a_day_is_loaded_and_replaced_by_nothing_when_it_was_restated_to_nothing(
    stage: Stage, make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def opened(instance: str) -> Iterator[Anthropic]:
        yield stage.api(claude_code=True)

    source = ApiSource("anthropic", opened, (USAGE, COSTS))
    monkeypatch.setattr(anthropic_api, "api_source", lambda instance: source)
    scene = Scene(source, make_warehouse("anthropic"), stage.pauses)
    stage.fake.calls = [
        call(tokens=(3, 22137, 285, 2000, 2), searches=2, costs={("tokens", "output_tokens"): "41280.000000"}),
        call(group=SONNET | {"api_key_id": None}, costs={("web_search", None): "123.4567890123456789"}),
        call(group=SONNET | {"service_tier": "batch"}, costs={("tokens", "output_tokens"): "-1250"}),
    ]
    stage.fake.claude_code = [record()]
    report = scene.load(MORNING, instance="org")
    assert (report.quarantined, report.windows, report.warnings) == (0, 2, ())
    warehouse = scene.warehouse
    day = (datetime(2026, 11, 2), datetime(2026, 11, 3), datetime(2026, 12, 3))
    assert warehouse.rows(
        "select bucket_start, bucket_end, settles_at, api_key_id, project_id, model, service_tier, region, customer_id,"
        " input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, total_tokens,"
        " requests, other_usage->>'web_searches', data_refreshed_at, occurrence from raw.provider__usage"
        " where profile = 'primary' and cache_read_tokens > 0"
    ) == [
        (
            *(*day, "apikey_1", "wrkspc_search", "claude-sonnet-4-5", "standard", None, None),
            *(24425, 22137, 285, 2000, 2, 24427, 1, "2", datetime(2026, 11, 3, 4), 0),
        )
    ]
    costs = "select amount, cost_unit, currency, cost_type, token_type, charge_category from raw.provider__costs"
    assert warehouse.rows(f"{costs} where profile = 'primary' order by amount") == [
        (Decimal(-1250), "cent", "USD", "tokens", "output_tokens", "Adjustment"),
        (Decimal("123.456789012346"), "cent", "USD", "web_search", None, None),
        (Decimal(41280), "cent", "USD", "tokens", "output_tokens", None),
    ]
    assert warehouse.rows(f"{costs} where profile = 'control'") == [
        (Decimal("40153.456789012346"), "cent", "USD", None, None, None)
    ]
    assert warehouse.rows(
        "select profile, usage_type, user_id, estimated_amount, cost_unit from raw.provider__usage"
        " where estimated_amount is not null"
    ) == [("claude_code", "claude_code", "ann@example.com", Decimal("2.5"), "us_cent")]
    assert scene.load(MORNING, instance="org").windows == 0
    stage.fake.calls = []
    again = scene.load(MORNING + timedelta(hours=1), instance="org", again=True)
    assert (again.rows, again.windows, again.warnings) == (1, 2, ())
    assert warehouse.rows(
        "select entity, arg_max(size_bytes, modified_at) from raw.llm_spend__files where source = 'anthropic'"
        " group by 1 having min(window_start) = max(window_start) and arg_max(size_bytes, modified_at) = 0"
    ) == [("costs", 0)]


def test_lists_are_members_and_limits(stage: Stage) -> None:
    api, found = stage.api(), dict[str, list[dict[str, Any]]]()
    for listing in (*LISTINGS, USER_PROFILES):
        with Spool(stage.folder / f"{listing.name}.jsonl") as spool:
            listing.fetch(api, spool)
        fmt = observed(listing.format, MORNING)
        found.setdefault(fmt.table, []).extend(read_back(fmt, stage.folder / f"{listing.name}.jsonl"))
    assert [row for rows in found.values() for row in rows if row["_problem"]] == []
    members = found["gateway__members"]
    told = ("member_type", "member_id", "name", "is_deleted", "workspace_id", "owner_id", "metadata")
    assert [tuple(row[name] for name in told) for row in members] == [
        ("api_key", "apikey_1", "search", False, "wrkspc_search", "svac_1", None),
        ("api_key", "apikey_0", "gone", True, None, "user_ann", None),
        ("workspace", "wrkspc_search", "Search", True, "wrkspc_search", None, '{"cost_center":"cc-7"}'),
        ("user", "user_ann", "Ann", None, None, None, '{"role":"admin"}'),
        ("service_account", "svac_1", "indexer", False, None, None, '{"role":"developer","description":"nightly"}'),
        ("service_account", "svac_0", "old", True, None, None, '{"role":"developer"}'),
        ("customer", "uprof_acme", "Acme", None, None, None, '{"plan":"gold","external_reference_id":"customer-17"}'),
    ]
    assert "abc...xyz" not in str(members) and "9f8e7d" not in str(members)
    limits, used = found["gateway__limits"], found["gateway__limit_usage"]
    assert [(row["scope"], row["limit_value"], row["limit_unit"], row["window_unit"]) for row in limits] == [
        ('{"user":"user_ann"}', Decimal(500), "usd", "month"),
        ('{"user":"user_bob"}', None, "usd", "month"),
    ]
    assert [(row["entity"], row["used_value"], row["used_unit"], row["limit_value"]) for row in used] == [
        ("user_ann", Decimal("120.505"), "usd", Decimal(500)),
        ("user_bob", Decimal("120.505"), "usd", None),
    ]
    assert [row["limit_id"] for row in limits] == [row["limit_id"] for row in used]
    assert "12050.5" not in str(limits)


def test_the_reports_are_asked_by_five_dimensions_and_by_none(stage: Stage) -> None:
    stage.fake.calls = [call(), call(group=SONNET | {"api_key_id": "apikey_2"}, tokens=(1, 0, 0, 0, 1))]
    usage, costs = stage.fetch(USAGE), stage.fetch(COSTS)
    primary = "api_key_id,context_window,model,service_tier,workspace_id"
    assert stage.groupings(USAGE_PATH) == [primary, ""]
    assert stage.groupings(COST_PATH) == [
        "api_key_id,context_window,cost_type,model,service_tier,token_type,workspace_id",
        "",
    ]
    assert {row["grouping"] for row in usage.of("primary")} == {primary}
    assert [row["total_tokens"] for row in usage.of("primary")] == [150, 2]
    assert usage.one("control") | {"raw": None} == usage.one("control") | {"total_tokens": 152, "raw": None}
    assert cents(costs.of("primary")) == cents(costs.of("control")) == Decimal(211)
    assert costs.one("control")["requests"] == 2
    (asked,) = {(each.query["order_by"], each.query["order"], each.query["limit"]) for each in stage.fake.asked}
    assert asked == ("time", "asc", "1000")


def test_people_and_customers_are_further_views_of_the_same_money(stage: Stage) -> None:
    federated = {
        "type": "federated_actor",
        "subject": "arn:aws:iam::1:role/ci",
        "provider": {"type": "aws", "account_id": "1", "signed_principal": "ci"},
    }
    account = {"type": "service_account_actor", "service_account_id": "svac_1"}
    actors: list[Any] = [ANN, federated, account, {"type": "api_actor", "api_key_id": "apikey_1"}]
    stage.fake.calls = [call(group=SONNET | {"actor": actor}) for actor in actors]
    stage.fake.calls += [call(identity="x"), call(identity="y", tokens=(1, 0, 0, 0, 0))]
    api = stage.api(Choice(profiles=("people", "customers")))
    usage, costs = stage.fetch(USAGE, api), stage.fetch(COSTS, api)
    people = usage.of("people")
    product = {"product": "messages_api"}
    assert [(row["user_id"], row["dimensions"], row["occurrence"], row["customer_id"]) for row in people] == [
        ("user_ann", product | {"actor_type": "user_actor"}, 0, None),
        (
            None,
            product | {"actor_type": "federated_actor", "actor_id": "arn:aws:iam::1:role/ci", "actor_provider": "aws"},
            0,
            None,
        ),
        (None, product | {"actor_type": "service_account_actor", "actor_id": "svac_1"}, 0, None),
        (None, product | {"actor_type": "api_actor", "actor_id": "apikey_1"}, 0, None),
        (None, product, 0, None),
        (None, product, 1, None),
    ]
    assert usage.one("customers")["customer_id"] == "uprof_acme"
    assert usage.one("primary")["user_id"] is None
    assert {profile: cents(costs.of(profile)) for profile in ("primary", "people", "customers", "control")} == {
        profile: Decimal("633") for profile in ("primary", "people", "customers", "control")
    }


def test_another_dimension_can_take_the_place_of_one(stage: Stage) -> None:
    stage.fake.calls = [call(), call(group=SONNET | {"inference_geo": None, "speed": "fast"})]
    dimensions = ("workspace_id", "model", "service_tier", "inference_geo", "speed")
    rows = stage.fetch(USAGE, stage.api(Choice(dimensions=dimensions))).of("primary")
    assert [(row["region"], row["dimensions"], row["context_window"]) for row in rows] == [
        ("us", {}, None),
        (None, {"speed": "fast"}, None),
    ]
    assert rows[0]["grouping"] == "inference_geo,model,service_tier,speed,workspace_id"


def test_an_enterprise_organisation_has_dimensions_of_its_own(stage: Stage) -> None:
    stage.fake.is_enterprise = True
    stage.fake.calls = [call(group=SONNET | {"actor": ANN})]
    row = stage.fetch(USAGE, stage.api(Choice(is_enterprise=True, profiles=("people",)))).one("primary")
    assert (row["user_id"], row["region"], row["project_id"]) == ("user_ann", "us", None)
    assert stage.groupings(USAGE_PATH) == [",".join(ENTERPRISE), ""]


def test_an_organisation_that_refuses_dimensions_of_the_console_is_asked_by_others(stage: Stage) -> None:
    stage.fake.is_enterprise = stage.fake.refuses_dimensions = True
    stage.fake.calls = [call(group=SONNET | {"actor": ANN})]
    api = stage.api(Choice(profiles=("customers",)))
    usage, costs = stage.fetch(USAGE, api), stage.fetch(COSTS, api)
    assert usage.one("primary")["user_id"] == "user_ann" and usage.of("customers") == []
    assert len(costs.of("primary")) == 2
    assert stage.groupings(USAGE_PATH) == [",".join(CONSOLE), ",".join(ENTERPRISE), ""]
    (warning,) = usage.warnings
    assert "not available for this organization" in warning and 'organization_type = "enterprise"' in warning
    assert costs.warnings == []


def test_a_question_that_is_wrong_otherwise_is_not_asked_by_other_dimensions(stage: Stage) -> None:
    stage.fake.faults = [Fault(400, {"error": {"message": f"{said}: too old"}}) for said in ("starting_at", "second")]
    with pytest.raises(UserError, match="starting_at: too old"):
        stage.fetch(USAGE)


def test_a_further_view_that_is_refused_is_left_out(stage: Stage) -> None:
    stage.fake.calls, stage.fake.refuses_dimensions = [call()], True
    api = stage.api(Choice(dimensions=("model",), profiles=("customers",)))
    usage = stage.fetch(USAGE, api)
    assert [row["profile"] for row in usage.rows] == ["primary", "control"]
    (warning,) = usage.warnings
    assert "usage by customers is left out" in warning and "not available for this organization" in warning


def test_an_organisation_without_workspaces_is_told_of_the_setting(stage: Stage) -> None:
    stage.fake.is_enterprise = True
    stage.fake.calls = [call()]
    api = stage.api()
    assert 'organization_type = "enterprise"' in stage.fetch(USAGE, api).warnings[0]
    assert stage.fetch(USAGE, api).warnings == []


BETA_IS_OVER = Fault(400, {"error": {"message": "Unexpected value(s) `x` for the `anthropic-beta` header."}})


@pytest.mark.parametrize("refusal", [FORBIDDEN, NOT_FOUND, BETA_IS_OVER])
def test_costs_that_analytics_refuse_come_from_the_older_report(stage: Stage, refusal: Fault) -> None:
    stage.fake.refusals[COST_PATH] = refusal
    stage.fake.calls = [call(), call(group=SONNET | {"workspace_id": DEFAULT_WORKSPACE})]
    api = stage.api()
    costs = stage.fetch(COSTS, api)
    rows = costs.of("primary")
    assert {(row["project_id"], row["api_key_id"], row["grouping"]) for row in rows} == {
        ("wrkspc_search", None, "description,workspace_id"),
        (None, None, "description,workspace_id"),
    }
    assert {row["settles_at"] for row in rows} == {"2026-11-06T00:00:00.000Z"}
    row = rows[0]
    assert row["line_item"] == "claude-sonnet-4-5 Usage - uncached_input_tokens"
    assert (row["model"], row["region"], row["cost_type"], row["amount"]) == ("claude-sonnet-4-5", "us", "tokens", "30")
    assert cents(rows) == cents(costs.of("control")) == Decimal(211)
    (warning,) = costs.warnings
    assert f"refused ({refusal.status})" in warning and "without API keys" in warning
    stage.fetch(COSTS, api)
    assert len(stage.groupings(COST_PATH)) == 1
    assert stage.fetch(USAGE, api).warnings == [] and stage.groupings(LEGACY_USAGE) == []


def test_usage_of_the_older_report_has_no_count_of_requests(stage: Stage) -> None:
    stage.fake.calls = [
        call(tokens=(3, 5, 7, 11, 2), searches=1),
        call(group=SONNET | {"inference_geo": "not_available", "workspace_id": DEFAULT_WORKSPACE}),
    ]
    dimensions = ("workspace_id", "model", "inference_geo", "actor", "product")
    usage = stage.fetch(USAGE, stage.api(Choice(api="legacy", dimensions=dimensions)))
    assert stage.groupings(LEGACY_USAGE) == ["inference_geo,model,workspace_id", ""]
    first, second = usage.of("primary")
    assert (first["input_tokens"], first["requests"], first["total_tokens"]) == ("26", None, None)
    assert (first["cache_write_5m_tokens"], first["cache_write_1h_tokens"]) == ("7", 11)
    assert (first["other_usage"], second["other_usage"]) == ({"web_searches": 1}, {})
    assert (second["project_id"], second["region"], second["grouping"]) == (
        None,
        None,
        "inference_geo,model,workspace_id",
    )
    assert stage.groupings(USAGE_PATH) == [] and usage.warnings == []
    assert stage.fetch(USAGE, stage.api(Choice(api="legacy"))).one("control")["input_tokens"] == "126"
    assert stage.groupings(LEGACY_USAGE)[2:] == [",".join(CONSOLE), ""]


def test_a_key_that_no_report_lets_in_ends_the_load(stage: Stage) -> None:
    stage.fake.refusals = {USAGE_PATH: FORBIDDEN, LEGACY_USAGE: FORBIDDEN}
    with pytest.raises(NotAllowedError, match=r"may not read usage analytics.*And the Legacy report.*may not read"):
        stage.fetch(USAGE)
    with pytest.raises(NotAllowedError, match="read:analytics"):
        stage.fetch(USAGE, stage.api(Choice(api="analytics")))


def test_days_that_analytics_do_not_tell_of_come_from_the_older_report(stage: Stage) -> None:
    old = date(2025, 12, 31)
    stage.fake.calls = [call(old), call(date(2026, 1, 1))]
    api = stage.api()
    windows = [
        Window(datetime(2025, 12, 30), datetime(2025, 12, 31)),
        Window(datetime(2025, 12, 31), datetime(2026, 1, 1)),
    ]
    windows.append(Window(datetime(2026, 1, 1), datetime(2026, 1, 2)))
    found = [stage.fetch(COSTS, api, window) for window in windows]
    assert [(len(each.of("control")), each.is_proof) for each in found] == [(0, True), (1, True), (1, True)]
    assert [row.get("line_item") is None for row in found[1].of("primary")] == [False, False]
    assert [row.get("line_item") is None for row in found[2].of("primary")] == [True, True]
    warnings = [warning for each in found for warning in each.warnings]
    assert len(warnings) == 1 and "begin with 2026-01-01" in warnings[0]
    only = stage.fetch(COSTS, stage.api(Choice(api="analytics")), windows[1])
    assert only.rows == [] and not only.is_proof and "Nothing was loaded of the cost of days before" in only.warnings[0]
    stage.fake.refusals[LEGACY_COSTS] = FORBIDDEN
    neither = stage.fetch(COSTS, stage.api(), windows[1])
    assert neither.rows == [] and not neither.is_proof and "may not read the cost report" in neither.warnings[0]


def test_analytics_forget_after_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anthropic_reports, "_now", lambda: datetime(2027, 3, 5, 6))
    assert anthropic_reports.oldest_day() == datetime(2026, 3, 6)


def test_all_pages_are_read(stage: Stage) -> None:
    stage.fake.page_size = 3
    stage.fake.calls = [call(group=SONNET | {"api_key_id": f"apikey_{number}"}) for number in range(7)]
    usage = stage.fetch(USAGE)
    assert {row["api_key_id"] for row in usage.of("primary")} == {f"apikey_{number}" for number in range(7)}
    assert len(stage.fake.asked) == 4
    lists = stage.api().lists
    stage.fake.page_size = 1
    assert len(lists.api_keys()) == 2
    assert len(lists.workspaces()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda page: page | {"has_more": True, "next_page": None}, "says that there are more and names none"),
        (lambda page: page | {"has_more": True, "next_page": "0.x", "data": []}, "leads back to a page before it"),
        (lambda page: page | {"has_more": True, "next_page": "0.x"}, "has the rows of a page before it"),
        (lambda page: page | {"data": None}, "has no list of rows"),
        (lambda page: page | {"data": ["row"]}, "a row is no object"),
    ],
)
def test_pages_that_are_not_complete_are_an_error(
    stage: Stage, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    stage.fake.calls = [call()]
    stage.fake.changes = lambda path, page: change(page)
    stage.fake.cursors_are_checked = False
    with pytest.raises(UserError, match=said):
        stage.fetch(USAGE)


def test_a_list_that_names_no_next_page_is_an_error(stage: Stage) -> None:
    stage.fake.changes = lambda path, page: page | {"has_more": True, "last_id": None}
    with pytest.raises(UserError, match="names none"):
        stage.api().lists.users()


def of_first_row(change: Callable[[dict[str, Any]], Any]) -> Callable[[str, Any], Any]:
    def changed(path: str, page: Any) -> Any:
        return page | {"data": [change(row) for row in page["data"]]}

    return changed


@pytest.mark.parametrize(
    ("stream", "change", "said"),
    [
        (COSTS, lambda row: row | {"cost": row["cost"] | {"currency": None}}, "has no currency"),
        (COSTS, lambda row: row | {"cost": "0.30"}, "no object 'cost'"),
        (USAGE, lambda row: row | {"usage": row["usage"] | {"cache_creation": 80}}, "no object 'cache_creation'"),
        (USAGE, lambda row: {**row, "group": None}, "no object 'group'"),
        (USAGE, lambda row: row | {"starting_at": "soon"}, "has no time: 'soon'"),
        (USAGE, lambda row: row | {"starting_at": "2026-11-01T00:00:00Z"}, "was asked for, and a bucket is from"),
        (USAGE, lambda row: row | {"ending_at": row["starting_at"]}, "was asked for, and a bucket is from"),
    ],
)
def test_a_row_of_another_shape_is_an_error(
    stage: Stage, stream: Stream, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    stage.fake.calls = [call()]
    stage.fake.changes = of_first_row(change)
    with pytest.raises(UserError, match=said):
        stage.fetch(stream)


def test_what_is_new_in_a_row_is_kept(stage: Stage) -> None:
    stage.fake.calls = [call(tokens=(1, 2, 3, 4, 5))]
    new = {"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_12h_input_tokens": 6}, "audio_seconds": 9}
    stage.fake.changes = of_first_row(lambda row: row | {"usage": row["usage"] | new})
    row = stage.fetch(USAGE).one("primary")
    assert (row["input_tokens"], row["cache_write_5m_tokens"], row["cache_write_1h_tokens"]) == (None, "9", None)
    assert row["raw"]["usage"]["audio_seconds"] == 9


def test_a_row_that_comes_twice_is_an_error_in_the_older_report(stage: Stage) -> None:
    stage.fake.calls = [call()]
    stage.fake.changes = of_first_row(lambda bucket: bucket | {"results": bucket["results"] * 2})
    with pytest.raises(UserError, match="cost_report are not complete: two rows have the same dimensions"):
        stage.fetch(COSTS, stage.api(Choice(api="legacy")))


def test_what_is_not_told_has_two_names_in_the_older_report(stage: Stage) -> None:
    def twice(bucket: dict[str, Any]) -> dict[str, Any]:
        (result,) = bucket["results"]
        names = (None, "not_available") if result["model"] else (None,)
        return bucket | {"results": [result | {"inference_geo": name} for name in names]}

    stage.fake.calls = [call()]
    stage.fake.changes = of_first_row(twice)
    choice = Choice(api="legacy", dimensions=("model", "inference_geo"))
    rows = stage.fetch(USAGE, stage.api(choice)).of("primary")
    assert [(row["region"], row["occurrence"]) for row in rows] == [(None, 0), (None, 1)]


def test_a_bucket_without_results_is_an_error_and_one_with_none_is_not(stage: Stage) -> None:
    api = stage.api(Choice(api="legacy"))
    assert stage.fetch(COSTS, api).rows == []
    stage.fake.changes = of_first_row(lambda bucket: bucket | {"results": None})
    with pytest.raises(UserError, match="no list of results"):
        stage.fetch(COSTS, api)


def test_data_that_end_within_the_day_are_told_of(stage: Stage) -> None:
    stage.fake.calls, stage.fake.refreshed_at = [call()], "2026-11-02T21:00:00Z"
    usage = stage.fetch(USAGE)
    (warning,) = usage.warnings
    assert "reach until 2026-11-02T21:00" in warning
    assert usage.one("primary")["data_refreshed_at"] == "2026-11-02T21:00:00Z"


def test_claude_code_is_an_estimate_in_rows_of_its_own(stage: Stage) -> None:
    by_key = {"type": "api_actor", "api_key_name": "ci"}
    stage.fake.claude_code = [
        record(amount=9.5),
        record(terminal="iTerm"),
        record("subscription", subscription_type="team"),
        record(amount=0.125, actor={"type": "user_actor", "email_address": "Ann@Example.com "}),
        record(actor=by_key, model_breakdown=[*record()["model_breakdown"], *record()["model_breakdown"]]),
        record(model_breakdown=[]),
        record(date="2026-11-03T00:00:00Z"),
    ]
    stage.fake.changes = lambda path, page: json.dumps(page).replace("9.5", "2.123456789012345678").encode()
    rows = stage.fetch(USAGE, stage.api(claude_code=True)).of("claude_code")
    told = [(row["user_id"], row["dimensions"]["customer_type"], row["occurrence"]) for row in rows]
    assert told == [
        *(("ann@example.com", "api", 0), ("ann@example.com", "api", 0), ("ann@example.com", "subscription", 0)),
        *(("ann@example.com", "api", 1), (None, "api", 0), (None, "api", 1)),
    ]
    assert rows[1]["dimensions"]["terminal_type"] == "iTerm"
    assert rows[2]["dimensions"]["subscription_type"] == "team"
    assert rows[4]["dimensions"] == {
        "actor_type": "api_actor",
        "api_key_name": "ci",
        "customer_type": "api",
        "is_remote": False,
        "terminal_type": "vscode",
    }
    assert [row["estimated_amount"] for row in rows] == ["2.123456789012345678", "2.5", "2.5", "0.125", "2.5", "2.5"]
    assert (rows[0]["input_tokens"], rows[0]["cache_write_5m_tokens"], rows[0].get("requests")) == ("130", 20, None)
    assert len(rows[4]["raw"]["model_breakdown"]) == 1
    assert stage.fetch(COSTS).rows == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [(FORBIDDEN, "may not read Claude Code analytics"), (Fault(400, {"message": "Console only"}), "Console only")],
)
def test_without_claude_code_the_rest_is_loaded(stage: Stage, refusal: Fault, said: str) -> None:
    stage.fake.calls, stage.fake.refusals[CLAUDE_CODE] = [call()], refusal
    api = stage.api(claude_code=True)
    usage = stage.fetch(USAGE, api)
    assert len(usage.of("primary")) == 1
    assert said in usage.warnings[0]
    assert stage.fetch(USAGE, api).warnings == []
    assert len(stage.groupings(CLAUDE_CODE)) == 1


def test_what_passes_is_waited_for(stage: Stage) -> None:
    stage.fake.calls = [call()]
    stage.fake.faults = [Fault(429, {"error": {"message": "slow"}}, {"Retry-After": "17"}), Fault(529), Fault(500)]
    with pytest.raises(UserError, match="529"):
        stage.fetch(USAGE)
    assert stage.pauses == [17]


@pytest.mark.parametrize("choice", [Choice(), Choice(api="legacy")])
def test_a_wrong_key_is_told_in_a_sentence(stage: Stage, choice: Choice) -> None:
    for key, said in (
        ("sk-ant-admin01-old", "the key is wrong or was withdrawn"),
        (ORDINARY_KEY, "an ordinary API key"),
    ):
        with pytest.raises(UserError) as refused:
            stage.fetch(USAGE, stage.api(choice, key=key))
        assert said in refused.value.problem and "Admin keys" in refused.value.remedy
        assert key not in str(refused.value)
        assert not isinstance(refused.value, NotAllowedError)


def test_the_doctor_names_each_right(stage: Stage) -> None:
    stage.fake.refusals = {COST_PATH: FORBIDDEN, "/v1/organizations/users": FORBIDDEN, CLAUDE_CODE: NOT_FOUND}
    stage.fake.refusals["/v1/organizations/spend_limits/effective"] = Fault(
        400, {"error": {"message": "Enterprise only"}}
    )
    said = stage.api(claude_code=True).check()
    assert said.startswith(
        "usage by the analytics API; cost by the Legacy report; Claude Code: Anthropic refused (404)"
    )
    assert "lists: API keys, workspaces, service accounts, user profiles; users: Anthropic refused (403)" in said
    assert "spend limits: " in said and "Enterprise only" in said
    stage.fake.refusals[LEGACY_COSTS] = FORBIDDEN
    with pytest.raises(NotAllowedError, match="the key may not read the cost report"):
        stage.api().check()


def test_the_settings_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "ADMIN_KEY": ADMIN_KEY,
        "USER_PROFILES_KEY": ORDINARY_KEY,
        "BASE_URL": stage.fake.address,
        "ORGANIZATION_TYPE": "console",
        "PROFILES": "people",
        "DIMENSIONS": "model,workspace_id",
        "CLAUDE_CODE": "false",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"SOURCES__ANTHROPIC__{name}", value)
    source = anthropic_api.api_source("default")
    assert [listing.name for listing in source.listings][-1] == "user_profiles"
    with source.open("default") as api:
        assert "user profiles" in api.check()
    assert stage.groupings(USAGE_PATH) == ["model,workspace_id", "", ",".join(PROFILES["people"])]
    assert stage.groupings(CLAUDE_CODE) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("api", "new", "It is one of: auto, analytics, legacy"),
        ("organization_type", "school", "console, enterprise"),
        ("profiles", "people,pets", "has pets"),
        (
            "dimensions",
            "model,actor,product,speed,api_key_id,workspace_id",
            "these are 6, and Anthropic takes 5 at most",
        ),
        ("dimensions", "model,rbac_group_id", "would be counted twice"),
        ("dimensions", "model,cost_type", "cost_type are asked for anyway"),
        ("dimensions", "model,colour", "knows no colour"),
        ("claude_code", "maybe", "true, false"),
    ],
)
def test_a_setting_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"SOURCES__ANTHROPIC__{name.upper()}", value)
    with pytest.raises(UserError, match=said) as wrong:
        anthropic_api.api_source("default")
    assert f"`{name}` in [sources.anthropic]" in wrong.value.problem


def test_four_hundred_days_take_few_questions_and_little_memory() -> None:
    first, spans = datetime(2026, 1, 1), list[Window]()

    def ask(span: Window) -> dict[date, list[dict[str, Any]]]:
        spans.append(span)
        days = (span.start + timedelta(days=number) for number in range((span.end - span.start).days))
        return {day.date(): [{"day": day}] * 1000 for day in days}

    ahead = DaysAhead(ask, lambda start: first + timedelta(days=400), 31, rows_kept=20_000)
    windows = [Window(first + timedelta(days=n), first + timedelta(days=n + 1)) for n in range(400)]
    assert all(ahead.rows(window) == [{"day": window.start}] * 1000 for window in windows)
    assert [(span.end - span.start).days for span in spans] == [1, 7, *[20] * 19, 12]
    # Days that lie apart are asked for alone.
    spans.clear()
    for window in (windows[3], windows[30], windows[31]):
        assert ahead.rows(window)
    assert [(span.start - first).days for span in spans] == [3, 30, 31]
    assert spans[0].end == windows[3].end


def test_a_quiet_day_does_not_bring_many_busy_ones() -> None:
    first, spans = datetime(2026, 1, 1), list[Window]()

    def ask(span: Window) -> dict[date, list[dict[str, Any]]]:
        spans.append(span)
        days = (span.start + timedelta(days=number) for number in range((span.end - span.start).days))
        return {day.date(): [{}] * 5000 for day in days if day > first}

    ahead = DaysAhead(ask, lambda start: first + timedelta(days=60), 31, rows_kept=20_000)
    for number in range(20):
        ahead.rows(Window(first + timedelta(days=number), first + timedelta(days=number + 1)))
    assert [(span.end - span.start).days for span in spans] == [1, 7, 4, 4, 4]


def test_every_answer_of_the_server_is_one_that_anthropic_has_typed(stage: Stage) -> None:
    from anthropic.types.beta import organization as of
    from anthropic.types.beta.organization import analytics
    from anthropic.types.user_profile import UserProfile

    models: dict[str, type[pydantic.BaseModel]] = {
        "analytics/usage": analytics.BetaAnalyticsUsageItem,
        "analytics/cost": analytics.BetaAnalyticsCostItem,
        "api_keys": of.BetaAPIKey,
        "workspaces": of.BetaWorkspace,
        "users": of.BetaOrganizationUser,
        "service_accounts": of.BetaServiceAccount,
        "spend_limits/effective": of.BetaSpendSummary,
        "user_profiles": UserProfile,
    }
    stage.fake.calls = [call(group=SONNET | {"actor": ANN}, searches=1)]
    api = stage.api(Choice(profiles=tuple(PROFILES)))
    for stream in (USAGE, COSTS):
        stage.fetch(stream, api)
    for listing in (*LISTINGS, USER_PROFILES):
        with Spool(stage.folder / listing.name) as spool:
            listing.fetch(api, spool)
    names = {path.removeprefix("/v1/").removeprefix("organizations/") for path, _ in stage.fake.answers}
    assert names == set(models)
    for path, answer in stage.fake.answers:
        model = models[path.removeprefix("/v1/").removeprefix("organizations/")]
        assert answer["data"]
        for row in answer["data"]:
            assert unknown_keys(pydantic.TypeAdapter(model).validate_python(row)) == []
            if "usage" in row:
                assert total_of(row["usage"]) == row["usage"]["total_tokens"]
    wrong = stage.fake.answers[0][1]["data"][0]
    wrong["usage"]["cache_creation"]["ephemeral_2h"] = 1
    checked = pydantic.TypeAdapter(models["analytics/usage"]).validate_python(wrong)
    assert unknown_keys(checked) == ["ephemeral_2h"]


def unknown_keys(value: Any) -> list[str]:
    """Keys that the SDK's types don't have, however deep they are."""
    if isinstance(value, pydantic.BaseModel):
        inner = [getattr(value, name) for name in type(value).model_fields]
        return [*(value.model_extra or {}), *(key for each in inner for key in unknown_keys(each))]
    return [key for each in value for key in unknown_keys(each)] if isinstance(value, list) else []


def total_of(usage: Mapping[str, Any]) -> int:
    parts = ("uncached_input_tokens", "cache_read_input_tokens", "output_tokens")
    return sum(usage[name] for name in parts) + sum(usage["cache_creation"].values())
