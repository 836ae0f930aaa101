"""What GitHub bills for Copilot: AI credits by day and model, and before these premium requests.

Facts (GitHub's OpenAPI description): a report is of the period and the user, or cost centre, that were asked for, and
its lines say neither; they have a product, a SKU, a model, and amounts before and after what the seats include. Amounts
are US dollars; an AI credit is one cent. Seats are billed by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from llm_spend.readers.api.values import amount, as_object
from llm_spend.sources.about import About, Setting
from llm_spend.sources.provider_rows import Row, day_bucket, is_exceeded, numbered, rests, summed

PROVIDER = "github_copilot"
LOOK_BACK = (timedelta(days=1), timedelta(days=7), timedelta(days=32))
"""A month is billed when it is over, so a day is asked for again then."""

AI_CREDITS_SINCE = date(2026, 6, 1)

_GROUP = ("product", "sku", "model", "unitType", "pricePerUnit")
_AMOUNTS = ("grossAmount", "discountAmount", "netAmount")
_SUMS = ("grossQuantity", "discountQuantity", "netQuantity", *_AMOUNTS)
_ASKED = ("model", "product", "sku")


@dataclass(frozen=True)
class Report:
    """The lines of a day: in total, and in parts.

    `parts` have `cost_center` where it was asked for, None for what belongs to none. `users` have `user`, None for what
    belongs to no user that is known; users is None when they were not asked about. `project_id`: the organisation.
    """

    day: date
    whole: Sequence[Row]
    parts: Sequence[Row]
    has_cost_centers: bool = False
    users: Sequence[Row] | None = None
    project_id: str | None = None


def left_of(whole: Sequence[Row], parts: Sequence[Row]) -> list[dict[str, Any]]:
    """What of the lines of a day no part has."""
    return rests(whole, parts, _GROUP, _SUMS)


def are_too_many(left: Iterable[Row]) -> bool:
    """Whether parts have more than the total, of which `left_of` says what is left."""
    return is_exceeded(left, _SUMS)


def cost_rows(report: Report) -> list[dict[str, Any]]:
    """Rows of provider__costs: of the total (on a day without use, too), of each line, and of each line of a user."""
    by_project = ("project_id",) if report.has_cost_centers else ()
    total: Row = {name: summed(report.whole, name) for name in _AMOUNTS}
    rows = [
        _cost(report, "control", (), total),
        *(_cost(report, "primary", (*_ASKED, *by_project), line) for line in report.parts),
        *(_cost(report, "users", (*_ASKED, "user_id"), line) for line in report.users or ()),
    ]
    return numbered(rows)


def _cost(report: Report, profile: str, grouping: Sequence[str], line: Row) -> dict[str, Any]:
    product = line.get("product")
    return {
        "provider": PROVIDER,
        **day_bucket(report.day, LOOK_BACK[-1]),
        "profile": profile,
        "grouping": ",".join(sorted(grouping)),
        "project_id": report.project_id or line.get("cost_center"),
        "user_id": line.get("user"),
        "model": line.get("model"),
        "dimensions": {"product": product} if product else None,
        "line_item": line.get("sku"),
        "quantity": amount(line.get("grossQuantity")),
        "quantity_unit": line.get("unitType"),
        "amount": amount(line.get("netAmount")),
        "list_amount": amount(line.get("grossAmount")),
        "cost_unit": "unit",
        "currency": "USD",
        "raw": dict(line),
    }


def seat_rows(seats: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows of `gateway__members`: everybody with a seat, once, by the login that reports are asked by."""
    found: dict[str, dict[str, Any]] = {}
    for seat in seats:
        assignee = as_object(seat.get("assignee"))
        login = assignee.get("login")
        if not login:
            continue
        team = as_object(seat.get("assigning_team"))
        known = found.setdefault(str(login), _seat(seat, assignee))
        if name := team.get("slug") or team.get("name"):
            known["team_ids"] = sorted({*known["team_ids"], str(name)})
    return list(found.values())


def cost_center_rows(cost_centers: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows of `gateway__members`: what costs call a project."""
    return [
        {
            "member_type": "project",
            "member_id": each.get("id"),
            "name": each.get("name"),
            "status": each.get("state"),
            "is_deleted": each.get("state") == "deleted",
            "raw": {name: each[name] for name in ("resources", "azure_subscription") if name in each},
        }
        for each in cost_centers
    ]


def _seat(seat: Row, assignee: Row) -> dict[str, Any]:
    cancelled = seat.get("pending_cancellation_date")
    return {
        "member_type": "user",
        "member_id": assignee.get("login"),
        "name": assignee.get("name"),
        "email": assignee.get("email"),
        "status": "cancelled" if cancelled else "active",
        "team_ids": [],
        "organization_id": as_object(seat.get("organization")).get("login"),
        "created_at": seat.get("created_at"),
        "expires_at": cancelled,
        # The last activity would make every list a new one.
        "raw": {"id": assignee.get("id"), "plan_type": seat.get("plan_type"), "pending_cancellation_date": cancelled},
    }


ABOUT = About(
    title="GitHub Copilot",
    grain="No requests: a line of what was billed for each UTC day, SKU and model, by cost centre in an enterprise; and"
    " once more by user (profile `users`).",
    cost="`amount` is what is billed after what the seats include (net), `list_amount` is what it would be without"
    " (gross). It can be 0 while much was used. Seats are not in it: give them in `rules/seats.csv`. Days before"
    " 2026-06-01 have premium requests instead of AI credits.",
    tokens="GitHub tells none: quantities are AI credits, or premium requests.",
    attribution="The model, the cost centre (`project_id`; of an organisation its name) and, asked one by one, users"
    " who have a seat. What belongs to nobody who has one is a row without a user.",
    lateness="A day is there when it is over, and is asked for again after a day, a week and a month.",
    cannot_tell="Single requests and tokens; days more than 24 months ago; users who no longer have a seat.",
    api="`GET …/settings/billing/ai_credit/usage`, seats, budgets and cost centres, with a token of an organisation's"
    " administrator, or of an enterprise's administrator or billing manager (`manage_billing:copilot` or `read:org` for"
    " seats). A question a day, and one a day for each user: GitHub allows 5,000 an hour, and the next run goes on.",
    settings=(
        Setting("token", "personal access token, or the one of an app", is_secret=True, is_required=True),
        Setting("organization", "login of the organisation, if there is no enterprise"),
        Setting("enterprise", "slug of the enterprise"),
        Setting("users", "`false`: no questions by user"),
        Setting("base_url", "`https://api.github.com` if not given"),
    ),
)
