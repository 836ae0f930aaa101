"""GitHub's billing of Copilot, asked for real at a server that holds us to GitHub's description."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource, NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import copilot_api
from llm_spend.sources.copilot_api import COSTS, LISTINGS, Account, Copilot, api_source
from llm_spend.sources.shared_tables import observed
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_copilot import TOKEN, FakeCopilot, budget, line, seat
from .fake_server import DAY, IMPATIENCE, PASSING, WHOLE_DAY, Fault, Scene, client_of, opening, read_back, serving

MIDNIGHT = datetime(2026, 11, 3, 0, 15)
NO_RIGHT = Fault(403, {"message": "Must have admin rights"})


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCopilot]:
    monkeypatch.setattr(copilot_api, "_today", lambda: DAY + timedelta(days=1))
    fake = FakeCopilot()
    with serving(fake):
        yield fake


class Told(NamedTuple):
    rows: list[dict[str, Any]]
    warnings: list[str]

    def of(self, profile: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["profile"] == profile]

    def by(self, profile: str, *names: str) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in names) for row in self.of(profile)]


@pytest.fixture
def ask(github: FakeCopilot, tmp_path: Path) -> Callable[..., Told]:
    """The rows of a day, from an organisation or an enterprise."""

    def ask_for(window: Window = WHOLE_DAY, **options: Any) -> Told:
        path = tmp_path / "spool.jsonl"
        with client_of(github, "GitHub", headers(), []) as client, Spool(path) as spool:
            COSTS.fetch(Copilot(client, account(github), **options), window, spool)
        assert spool.is_proof == bool(spool.rows)
        return Told([json.loads(each) for each in path.read_text().splitlines()], spool.warnings)

    return ask_for


def account(github: FakeCopilot) -> Account:
    return Account("acme", github.is_enterprise)


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}", "X-GitHub-Api-Version": copilot_api.VERSION}


def test_a_day_is_billed_net_and_what_the_seats_include_stands_beside(
    github: FakeCopilot, make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    github.lines = [
        line(1340, 0, "mona"),
        line(2.5, 1.25, "mona", model="Claude"),
        line(0.75, 0.75, "left", model="Claude"),
        line(9, 9, "mona", day="2026-11-03"),
    ]
    github.seats = [seat("mona")]
    opened = opening(
        lambda client: Copilot(client, account(github)), lambda: client_of(github, "GitHub", headers(), [])
    )
    source = ApiSource("copilot", opened, (COSTS,))
    monkeypatch.setattr(copilot_api, "api_source", lambda instance: source)
    scene = Scene(source, make_warehouse("copilot"), [])
    report = scene.load(MIDNIGHT, instance="acme")
    assert (report.rows, report.quarantined, report.windows, report.warnings) == (6, 0, 1, ())
    rows = scene.warehouse.rows(
        "select profile, grouping, project_id, user_id, model, quantity, amount, list_amount, currency"
        " from raw.provider__costs order by profile, user_id, model"
    )
    assert rows == [
        ("control", None, "acme", None, None, None, 2, Decimal("1343.25"), "USD"),
        ("primary", "model,product,sku", "acme", None, "Claude", 325, 2, Decimal("3.25"), "USD"),
        ("primary", "model,product,sku", "acme", None, "GPT-5", 134000, 0, 1340, "USD"),
        ("users", "model,product,sku,user_id", "acme", "mona", "Claude", 250, Decimal("1.25"), Decimal("2.5"), "USD"),
        ("users", "model,product,sku,user_id", "acme", "mona", "GPT-5", 134000, 0, 1340, "USD"),
        ("users", "model,product,sku,user_id", "acme", None, "Claude", 75, Decimal("0.75"), Decimal("0.75"), "USD"),
    ]


def test_a_day_without_use_or_that_vanishes_is_a_total_of_nothing(
    github: FakeCopilot, ask: Callable[..., Told]
) -> None:
    github.lines = [line(3, 3, "mona")]
    assert ask().by("control", "amount") == [("3",)]
    github.lines = []
    told = ask()
    assert [(row["profile"], row["amount"], row["list_amount"]) for row in told.rows] == [("control", "0", "0")]


def test_a_refund_stays(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    github.lines = [line(-12.5, -12.5)]
    assert ask().by("primary", "amount") == [("-12.5",)]


def test_an_enterprise_is_told_by_cost_centre(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    github.is_enterprise = True
    github.cost_centers = [{"id": "cc-1", "name": "Search", "state": "active", "resources": []}]
    github.lines = [line(2, 2, "mona", cost_center="cc-1"), line(1, 0.5, "mona")]
    told = ask(asks_users=False)
    assert told.by("primary", "grouping", "project_id", "amount") == [
        ("model,product,project_id,sku", "cc-1", "2"),
        ("model,product,project_id,sku", None, "0.5"),
    ]
    assert (told.by("control", "project_id", "amount"), told.of("users")) == ([(None, "2.5")], [])
    github.refused = {"cost-centers": NO_RIGHT}
    told = ask(asks_users=False)
    assert told.by("primary", "grouping", "amount") == [("model,product,sku", "2.5")]
    assert "without cost centres" in told.warnings[0]


def test_nobody_is_asked_about_when_nothing_is_left(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    github.seats = [seat("idle"), seat("mona", last_activity_at="2026-11-02T09:00:00Z")]
    github.lines = [line(3, 3, "mona")]
    ask()
    assert [each.query["user"] for each in github.asked if "user" in each.query] == ["mona"]


def test_users_that_have_more_than_the_total_are_a_second_view(
    github: FakeCopilot, ask: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = github._report

    def before_discount(template: str, query: Any) -> Any:
        found = plain(template, query)
        if "user" in query:
            found["usageItems"] = [each | {"netAmount": each["grossAmount"]} for each in found["usageItems"]]
        return found

    monkeypatch.setattr(github, "_report", before_discount)
    github.seats = [seat("mona")]
    github.lines = [line(5, 1, "mona")]
    told = ask()
    assert told.by("users", "user_id", "amount") == [("mona", "5"), (None, "-4")]
    assert told.by("primary", "amount") == [("1",)]
    assert "By user Copilot costs more" in told.warnings[0]


def test_without_the_right_to_see_seats_there_are_no_users(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    github.lines = [line(5, 1, "mona")]
    github.refused = {"seats": NO_RIGHT}
    told = ask()
    assert (told.of("users"), told.by("primary", "amount")) == ([], [("1",)])
    assert "without users" in told.warnings[0] and "administrator" in told.warnings[0]


def test_who_is_not_known_to_the_billing_has_used_nothing(
    github: FakeCopilot, ask: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = github._report
    unknown = Fault(404, {"message": "Not Found"})
    monkeypatch.setattr(github, "_report", lambda name, asked: unknown if "user" in asked else plain(name, asked))
    github.seats, github.lines = [seat("new")], [line(5, 1)]
    assert ask().by("users", "user_id", "amount") == [(None, "1")]


def test_days_before_ai_credits_are_premium_requests(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    github.lines = [line(4, 4, day="2026-05-31", sku="Copilot Premium Request", unitType="requests", pricePerUnit=0.04)]
    told = ask(Window(datetime(2026, 5, 31), datetime(2026, 6, 1)))
    assert told.by("primary", "line_item", "amount") == [("Copilot Premium Request", "4")]
    ask(Window(datetime(2026, 6, 1), datetime(2026, 6, 2)))
    paths = dict.fromkeys(each.path.split("/")[-2] for each in github.asked if each.path.endswith("usage"))
    assert list(paths) == ["premium_request", "ai_credit"]


def test_days_that_are_forgotten_are_unknown(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    told = ask(Window(datetime(2024, 11, 2), datetime(2024, 11, 3)))
    assert (told.rows, github.asked) == ([], [])
    assert "24 months" in told.warnings[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"timePeriod": {"year": 2026, "month": 11}}, "answered with 2026-11-None"),
        ({"timePeriod": None}, "a report without its period"),
        ({"user": "mona"}, "a report on mona"),
        ({"costCenter": {"id": "cc-1", "name": "Search"}}, "a report on cc-1"),
        ({"usageItems": None}, "no list of lines"),
    ],
)
def test_an_answer_to_another_question_is_an_error(
    github: FakeCopilot, ask: Callable[..., Told], changed: dict[str, Any], said: str
) -> None:
    whole = {"timePeriod": {"year": 2026, "month": 11, "day": 2}, "organization": "acme", "usageItems": []}
    github.faults = [Fault(200, whole | changed)]
    with pytest.raises(UserError, match=said):
        ask()


def test_a_report_on_another_user_is_an_error(
    github: FakeCopilot, ask: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    github.seats, github.lines = [seat("mona")], [line(5, 1, "mona")]
    plain, told = github._report, {"user": "MONA"}
    monkeypatch.setattr(github, "_report", lambda name, asked: plain(name, asked) | (told if "user" in asked else {}))
    assert ask().by("users", "user_id") == [("mona",)]
    told["user"] = "hubot"
    with pytest.raises(UserError, match="answered with a report on hubot"):
        ask()


@pytest.mark.parametrize(
    ("status", "message", "problem", "remedy"),
    [
        (401, f"Bad credentials: {TOKEN}", "the token is wrong", "anew"),
        (403, "Must have admin rights", "may not read this", "administrator"),
        (403, "API rate limit exceeded for user", "too many questions", "in an hour"),
        (404, "Not Found", "no such account", "`organization` or `enterprise`"),
        (400, "bad period", "does not tell of this", "--since"),
    ],
)
def test_a_refusal_says_what_to_do(
    github: FakeCopilot, ask: Callable[..., Told], status: int, message: str, problem: str, remedy: str
) -> None:
    github.faults = [Fault(status, {"message": message})]
    with pytest.raises(UserError) as refused:
        ask()
    assert problem in refused.value.problem and remedy in refused.value.remedy
    assert TOKEN not in str(refused.value)
    assert isinstance(refused.value, NotAllowedError) == (problem == "may not read this")


def test_what_passes_is_waited_for(github: FakeCopilot, ask: Callable[..., Told]) -> None:
    github.patience, github.faults = IMPATIENCE, PASSING[:2]
    assert len(ask().rows) == 1


def listed(github: FakeCopilot, folder: Path, *names: str) -> dict[str, list[dict[str, Any]]]:
    found = {}
    with client_of(github, "GitHub", headers(), []) as client:
        api = Copilot(client, account(github))
        for listing in (*LISTINGS, copilot_api._COST_CENTERS):
            if listing.name in names:
                with Spool(folder / listing.name) as spool:
                    listing.fetch(api, spool)
                found[listing.name] = read_back(observed(listing.format, MIDNIGHT), folder / listing.name)
    return found


def test_everybody_with_a_seat_is_listed_once(github: FakeCopilot, tmp_path: Path) -> None:
    github.is_enterprise, github.page, github.total_seats = True, 2, 2
    github.seats = [seat("mona"), seat("hubot", pending_cancellation_date="2026-12-01"), seat("mona")]
    github.cost_centers = [{"id": "cc-1", "name": "Search", "state": "deleted", "resources": []}]
    found = listed(github, tmp_path, "seats", "cost_centers")
    names = ("member_type", "member_id", "status", "created_at", "is_deleted", "_problem")
    assert [tuple(row[name] for name in names) for rows in found.values() for row in rows] == [
        ("user", "mona", "active", datetime(2026, 6, 4), None, None),
        ("user", "hubot", "cancelled", datetime(2026, 6, 4), None, None),
        ("project", "cc-1", "deleted", None, True, None),
    ]


def test_fewer_seats_than_announced_and_a_page_that_comes_again_are_errors(
    github: FakeCopilot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.seats, github.total_seats = [seat("mona")], 2
    with pytest.raises(UserError, match="2 rows were announced and 1 came"):
        listed(github, tmp_path, "seats")
    monkeypatch.setattr(github, "_page", lambda rows, query: rows)
    with pytest.raises(UserError, match="has the rows of a page before it"):
        listed(github, tmp_path, "seats")


def test_budgets_about_copilot_are_limits(github: FakeCopilot, tmp_path: Path) -> None:
    github.is_enterprise, github.page = True, 1
    several = {"budget_scope": "multi_user_customer", "budget_product_sku": "ai_credits", "budget_entity_name": ""}
    github.budgets = [
        budget("b-1", consumed_amount=500.5),
        budget("b-2", prevent_further_usage=False, **several),
        budget("b-3", budget_product_sku="actions"),
    ]
    github.states = {
        "b-2": [
            {"user": "mona", "consumed_amount": 50.5, "target_amount": 1000},
            {"user": "hubot", "consumed_amount": 0, "target_amount": 1000},
        ]
    }
    found = listed(github, tmp_path, "budgets", "budget_usage")
    limits = ("limit_id", "scope_type", "limit_value", "limit_unit", "window_unit", "enforcement", "_problem")
    assert [tuple(row[name] for name in limits) for row in found["budgets"]] == [
        ("b-1", "organization", 500, "usd", "month", "enforce", None),
        ("b-2", "user", 500, "usd", "month", "audit", None),
    ]
    used = ("limit_id", "entity", "used_value", "limit_value", "status", "_problem")
    assert [tuple(row[name] for name in used) for row in found["budget_usage"]] == [
        ("b-1", "acme", Decimal("500.5"), 500, "exhausted", None),
        ("b-2", "mona", Decimal("50.5"), 1000, "active", None),
        ("b-2", "hubot", 0, 1000, "active", None),
    ]


def test_each_right_is_told(github: FakeCopilot, monkeypatch: pytest.MonkeyPatch) -> None:
    github.is_enterprise, github.lines, github.seats = True, [line(3, 3)], [seat("mona")]
    github.refused = {"budgets": NO_RIGHT}
    with client_of(github, "GitHub", headers(), []) as client:
        told = Copilot(client, account(github)).check()
        assert told.startswith("billing can be read, 1 lines for 2026-11-02; 1 seats; budgets can't be read")
        assert "administrator" not in told and told.endswith("0 cost centres")
        github.refused = {"usage": NO_RIGHT}
        with pytest.raises(NotAllowedError):
            Copilot(client, account(github)).check()


def test_the_settings_are_read(github: FakeCopilot, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TOKEN": TOKEN, "BASE_URL": github.address}.items():
        monkeypatch.setenv(f"SOURCES__COPILOT__{name}", value)
    with pytest.raises(UserError, match="needs `organization` or `enterprise`"), api_source("default").open("default"):
        pass
    monkeypatch.setenv("SOURCES__COPILOT__ORGANIZATION", "acme")
    with api_source("default").open("default") as api:
        assert api.check().startswith("billing can be read, 0 lines")
    assert [each.name for each in api_source("default").listings] == ["seats", "budgets", "budget_usage"]
    monkeypatch.setenv("SOURCES__COPILOT__USERS", "perhaps")
    with pytest.raises(UserError, match="'perhaps'"), api_source("default").open("default"):
        pass


def test_a_day_is_asked_for_again_until_its_month_is_billed() -> None:
    assert COSTS.look_back[-1] > timedelta(days=31)
    assert COSTS.whole_days
