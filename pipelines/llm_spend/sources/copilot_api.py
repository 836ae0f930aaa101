"""GitHub's billing reports on Copilot: one question a day, one for each cost centre and one for each user of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import (
    ApiSource,
    Listing,
    NotAllowedError,
    Stream,
    configured,
    configured_flag,
    readable,
    secret,
)
from llm_spend.readers.api.spool import Spool
from llm_spend.sources.copilot import (
    LOOK_BACK,
    Report,
    are_too_many,
    cost_center_rows,
    cost_rows,
    left_of,
    seat_rows,
)
from llm_spend.sources.copilot_budgets import budget_rows, budget_usage_rows, is_of_several
from llm_spend.sources.copilot_client import Account, CopilotClient
from llm_spend.sources.provider_tables import costs_format
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format
from llm_spend.windows import Window

Row = Mapping[str, Any]

BASE_URL = "https://api.github.com"
VERSION = "2022-11-28"

_DAYS_KEPT = 730


class Copilot:
    """The billing of one account. `asks_users`: whether each user with a seat is asked about, too."""

    def __init__(self, http: ApiClient, account: Account, *, asks_users: bool = True) -> None:
        self.client = CopilotClient(http, account)
        self._asks_users = asks_users

    def check(self) -> str:
        day = _today() - timedelta(days=1)
        rights = [f"billing can be read, {len(self.client.lines(day))} lines for {day}"]
        asked = {"seats": self.client.seats, "budgets": self.client.budgets}
        if self.client.account.is_enterprise:
            asked["cost centres"] = self.client.cost_centers
        return "; ".join([*rights, *readable(asked, lambda name, found: f"{len(found)} {name}")])

    def costs(self, window: Window, spool: Spool) -> None:
        """Write what a day cost; nothing for one that GitHub has forgotten."""
        day = window.start.date()
        if day <= _today() - timedelta(days=_DAYS_KEPT):
            spool.warnings.append("GitHub tells of the last 24 months: there is nothing of days before these.")
            spool.is_proof = False
            return
        whole = self.client.lines(day)
        parts, has_cost_centers = self._by_cost_center(day, whole, spool)
        organisation = None if self.client.account.is_enterprise else self.client.account.name
        users = self._by_user(day, whole, spool)
        spool.add_rows(cost_rows(Report(day, whole, parts, has_cost_centers, users, organisation)))

    def budget_states(self) -> Iterator[Row]:
        """What is used of each budget: rows of `gateway__limit_usage`."""
        for budget in self.client.budgets():
            states: Sequence[Row] = ()
            if is_of_several(budget) and self.client.account.is_enterprise:
                states = self.client.user_states(budget)
            yield from budget_usage_rows(budget, states)

    def _by_cost_center(self, day: date, whole: Sequence[Row], spool: Spool) -> tuple[Sequence[Row], bool]:
        """The lines of a day in parts that make it up, and whether these are by cost centre."""
        if not self.client.account.is_enterprise:
            return whole, False
        try:
            names = [str(each.get("id")) for each in self.client.cost_centers()]
        except NotAllowedError as error:
            spool.warnings.append(f"Copilot's costs are there without cost centres: {error.problem} {error.remedy}")
            return whole, False
        parts = self._split(day, whole, ("cost_center", "cost_center_id"), names)
        if are_too_many(left := left_of(whole, parts)):
            spool.warnings.append(
                f"Cost centres have more of Copilot on {day} than there is in total: it is kept without them. If that"
                " stays so, report it as a bug."
            )
            return whole, False
        return [*parts, *left], True

    def _by_user(self, day: date, whole: Sequence[Row], spool: Spool) -> Sequence[Row] | None:
        """The lines of a day by user, None where it is not known who they are."""
        if not self._asks_users:
            return None
        try:
            seats = sorted(self.client.seats(), key=lambda seat: str(seat.get("last_activity_at") or ""), reverse=True)
        except NotAllowedError as error:
            spool.warnings.append(f"Copilot's costs are there without users: {error.problem} {error.remedy}")
            return None
        names = [str(row["member_id"]) for row in seat_rows(seats)]
        parts = self._split(day, whole, ("user", "user"), names)
        left = left_of(whole, parts)
        if are_too_many(left):
            spool.warnings.append(
                "By user Copilot costs more on some days than in total: GitHub takes off elsewhere what seats include."
                " The total counts."
            )
        return [*parts, *left]

    def _split(self, day: date, whole: Sequence[Row], names: tuple[str, str], members: Iterable[str]) -> list[Row]:
        """The lines of members, until nothing is left. `names`: what a member is called in a line and in a question."""
        ours, theirs = names
        parts: list[Row] = []
        for member in members:
            if not left_of(whole, parts):
                break
            parts += [{**line, ours: member} for line in self.client.lines(day, {theirs: member})]
        return parts


def _today() -> date:
    return datetime.now(UTC).date()


def account_of(instance: str) -> Account:
    """The account that is configured. Raises UserError unless it is exactly one."""
    organisation = configured("copilot", instance, "organization")
    enterprise = configured("copilot", instance, "enterprise")
    if bool(organisation) == bool(enterprise):
        raise UserError(
            "GitHub Copilot needs `organization` or `enterprise`" + (", and both are given." if enterprise else "."),
            "Give one of them in [sources.copilot] of .dlt/config.toml.",
        )
    return Account(enterprise or organisation or "", bool(enterprise))


@contextmanager
def _opened(instance: str) -> Iterator[Copilot]:
    token = secret("copilot", instance, "token", "token of GitHub")
    account = account_of(instance)
    asks_users = configured_flag("copilot", instance, "users", default=True)
    address = configured("copilot", instance, "base_url") or BASE_URL
    headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": VERSION}
    with ApiClient("GitHub", address, headers) as client:
        yield Copilot(client, account, asks_users=asks_users)


COSTS = Stream(
    "costs",
    costs_format("copilot"),
    "bucket_start",
    Copilot.costs,
    look_back=LOOK_BACK,
    whole_days=True,
    empty_replaces=True,
)

_MEMBERS = members_format("copilot")

LISTINGS = (
    Listing.of_rows("seats", _MEMBERS, lambda api: seat_rows(api.client.seats())),
    Listing.of_rows("budgets", limits_format("copilot"), lambda api: budget_rows(api.client.budgets())),
    Listing.of_rows("budget_usage", limit_usage_format("copilot"), lambda api: api.budget_states()),
)
_COST_CENTERS = Listing.of_rows("cost_centers", _MEMBERS, lambda api: cost_center_rows(api.client.cost_centers()))


def api_source(instance: str) -> ApiSource:
    """What is asked of GitHub for an organisation or an enterprise, which has cost centres besides."""
    has_cost_centers = bool(configured("copilot", instance, "enterprise"))
    return ApiSource("copilot", _opened, (COSTS,), (*LISTINGS, *((_COST_CENTERS,) if has_cost_centers else ())))
