"""GitHub's billing of Copilot: reports, seats and budgets, and its own answers held to GitHub's description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fake_server import Asked, Description, FakeServer, Fault
from .fake_sums import added

TOKEN = "ghs_5d0a7c93e2f14b68"

_DESCRIPTION = Description("copilot/billing.yaml")
_SUMS = ("grossQuantity", "grossAmount", "discountQuantity", "discountAmount", "netQuantity", "netAmount")
_PATHS = {"/organizations/acme": "/organizations/{org}", "/orgs/acme": "/orgs/{org}"}
_OF_ENTERPRISE = {"/enterprises/acme": "/enterprises/{enterprise}"}

Row = dict[str, Any]


def line(
    gross: float, net: float, user: str | None = None, *, model: str = "GPT-5", day: str = "2026-11-02", **fields: Any
) -> Row:
    """Amounts in US dollars that somebody used; `user` and `cost_center` are what reports can be asked by."""
    quantities = {
        name: round(amount * 100, 9)
        for name, amount in {
            "grossQuantity": gross,
            "discountQuantity": gross - net,
            "netQuantity": net,
        }.items()
    }
    return {
        "day": day,
        "user": user,
        "product": "Copilot",
        "sku": "Copilot AI Credits",
        "model": model,
        "unitType": "credits",
        "pricePerUnit": 0.01,
        "grossAmount": gross,
        "discountAmount": round(gross - net, 9),
        "netAmount": net,
        **quantities,
        **fields,
    }


def seat(login: str, **fields: Any) -> Row:
    """A seat with nothing of the person but the login, which is what GitHub tells of most."""
    urls = ("avatar_url", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url")
    more = ("subscriptions_url", "organizations_url", "repos_url", "events_url", "received_events_url")
    person = {"login": login, "id": 1, "node_id": "n", "gravatar_id": None, "type": "User", "site_admin": False}
    return {
        "created_at": "2026-06-03T18:00:00-06:00",
        "last_activity_at": None,
        "pending_cancellation_date": None,
        "plan_type": "business",
        "assignee": person | {name: "https://github.example" for name in (*urls, *more)},
        **fields,
    }


def budget(identifier: str, **fields: Any) -> Row:
    return {
        "id": identifier,
        "budget_type": "ProductPricing",
        "budget_product_sku": "copilot",
        "budget_scope": "organization",
        "budget_entity_name": "acme",
        "budget_amount": 500,
        "prevent_further_usage": True,
        "budget_alerting": {"will_alert": True, "alert_recipients": ["mona"]},
        **fields,
    }


@dataclass
class FakeCopilot(FakeServer):
    """`refused`: by the end of a path, what it is answered with. `page`: the most rows that a page has here."""

    lines: list[Row] = field(default_factory=list)
    seats: list[Row] = field(default_factory=list)
    total_seats: int | None = None
    budgets: list[Row] = field(default_factory=list)
    states: dict[str, list[Row]] = field(default_factory=dict)
    cost_centers: list[Row] = field(default_factory=list)
    is_enterprise: bool = False
    refused: dict[str, Fault] = field(default_factory=dict)
    page: int = 100

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Fault(401, {"message": f"Bad credentials: {asked.headers.get('authorization')}"})
        assert asked.headers["x-github-api-version"] == "2022-11-28"
        for end, fault in self.refused.items():
            if asked.path.endswith(end):
                return fault
        template = self._template(asked.path)
        if template is None:
            return Fault(404, {"message": "Not Found"})
        if problems := _DESCRIPTION.problems_of(asked.query, template):
            self.problems += problems
            return Fault(400, {"message": problems[0]})
        match asked.path.rsplit("/", 1)[1]:
            case "usage":
                return self._report(template, asked.query)
            case "seats":
                return self._seats(asked.query)
            case "budgets":
                return self._validated(self._flagged("budgets", self.budgets, asked.query), "get_all_budgets")
            case "user-states":
                rows = self.states[asked.path.split("/")[-2]]
                return self._validated(self._flagged("user_states", rows, asked.query), "get-budget-user-states")
            case _:
                return self._validated({"costCenters": self.cost_centers}, "get-all-cost-centers")

    def _template(self, path: str) -> str | None:
        for start, template in (_OF_ENTERPRISE if self.is_enterprise else _PATHS).items():
            if path.startswith(f"{start}/"):
                found = path.replace(start, template, 1).split("/")
                return "/".join([*found[:-2], "{budget_id}", found[-1]] if found[-1] == "user-states" else found)
        return None

    def _report(self, template: str, query: Mapping[str, str]) -> Any:
        day = f"{int(query['year']):04}-{int(query['month']):02}-{int(query['day']):02}"
        asked = {
            ours: query[name] for name, ours in (("user", "user"), ("cost_center_id", "cost_center")) if name in query
        }
        rows = [row for row in self.lines if row["day"] == day and all(row.get(name) == asked[name] for name in asked)]
        owner = {"enterprise" if self.is_enterprise else "organization": "acme"}
        told: Row = {"timePeriod": {name: int(query[name]) for name in ("year", "month", "day")}, **owner}
        if "user" in asked:
            told["user"] = asked["user"]
        if "cost_center" in asked:
            told["costCenter"] = {"id": asked["cost_center"], "name": "a cost centre"}
        kind = "ai-credit" if "ai_credit" in template else "premium-request"
        name = f"billing-{kind}-usage-report-{'ghe' if self.is_enterprise else 'org'}"
        return self._validated(told | {"usageItems": added(map(_told, rows), _SUMS)}, name)

    def _seats(self, query: Mapping[str, str]) -> Any:
        rows = self._page(self.seats, query)
        for row in rows:
            _DESCRIPTION.validate(row, "copilot-seat-details")
        return {"total_seats": len(self.seats) if self.total_seats is None else self.total_seats, "seats": rows}

    def _flagged(self, name: str, rows: list[Row], query: Mapping[str, str]) -> Row:
        shown = self._page(rows, query)
        has_more = bool(rows) and shown[-1:] != rows[-1:]
        return {name: shown, "has_next_page": has_more, "total_count": len(rows)}

    def _page(self, rows: list[Row], query: Mapping[str, str]) -> list[Row]:
        size = min(self.page, int(query["per_page"]))
        start = (int(query["page"]) - 1) * size
        return rows[start : start + size]

    def _validated(self, found: Row, name: str) -> Row:
        _DESCRIPTION.validate(found, name)
        return found


def _told(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("day", "user", "cost_center")}
