"""Questions to GitHub's billing: reports of a day, lists that are asked for once; what a refusal means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Page, Paging, Progress, list_pages
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.sources.copilot import AI_CREDITS_SINCE
from llm_spend.sources.copilot_budgets import is_about_copilot

Row = Mapping[str, Any]

_PAGE_SIZE = 100
_TOKEN = (
    "Take a token of an administrator of the organisation, or of an administrator or billing manager of the enterprise."
)


@dataclass(frozen=True)
class Account:
    """Who is asked about: an organisation by its login, or an enterprise by its slug."""

    name: str
    is_enterprise: bool = False

    @property
    def billing(self) -> str:
        kind = "enterprises" if self.is_enterprise else "organizations"
        return f"/{kind}/{quote(self.name, safe='')}/settings/billing"

    @property
    def copilot(self) -> str:
        return f"/{'enterprises' if self.is_enterprise else 'orgs'}/{quote(self.name, safe='')}/copilot"


class CopilotClient:
    """An open connection with one token, about one account."""

    def __init__(self, http: ApiClient, account: Account) -> None:
        self.account = account
        self._http = http
        self._lists: dict[str, list[Row] | NotAllowedError] = {}

    def lines(self, day: date, asked: Mapping[str, str] = MappingProxyType({})) -> list[Row]:
        """The lines of a UTC day, of what is asked for. Raises UserError for a report on something else."""
        kind = "ai_credit" if day >= AI_CREDITS_SINCE else "premium_request"
        params = {"year": str(day.year), "month": str(day.month), "day": str(day.day), **asked}
        try:
            found = self._ask(f"{self.account.billing}/{kind}/usage", params)
        except ApiError as error:
            if asked and error.status == 404:
                # Who has a seat and never used it may not be known to the billing.
                return []
            raise
        lines = found.get("usageItems")
        if not isinstance(lines, list) or not all(isinstance(line, Mapping) for line in lines):
            raise UserError(f"GitHub's report on {day} has no list of lines.", "Check base_url.")
        if problem := _other_answer(found, day, asked):
            raise UserError(
                f"GitHub was asked for {day} and answered with {problem}.",
                "Nothing of this day was loaded. Run it again; if that does not help, report it as a bug.",
            )
        return lines

    def seats(self) -> list[Row]:
        """Seats, of which a user may have several in an enterprise."""

        def following(page: Page, progress: Progress) -> int | None:
            # An enterprise counts a user once who is listed several times.
            total = page.get("total_seats")
            is_last = progress.rows_of_page < _PAGE_SIZE and isinstance(total, int) and progress.rows >= total
            return None if is_last or not progress.rows_of_page else progress.pages + 1

        path = f"{self.account.copilot}/billing/seats"
        return self._listed("seats", lambda: self._rows(path, "seats", following, "total_seats"))

    def budgets(self) -> list[Row]:
        """Budgets that are about Copilot."""
        path = f"{self.account.billing}/budgets"
        found = self._listed("budgets", lambda: self._rows(path, "budgets", _by_flag, "total_count"))
        return [each for each in found if is_about_copilot(each)]

    def user_states(self, budget: Row) -> list[Row]:
        """What each user has used of a budget for several of them."""
        path = f"{self.account.billing}/budgets/{quote(str(budget.get('id')), safe='')}/user-states"
        return self._rows(path, "user_states", _by_flag, "total_count")

    def cost_centers(self) -> list[Row]:
        def ask() -> list[Row]:
            found = self._ask(f"{self.account.billing}/cost-centers", {}).get("costCenters")
            return [each for each in found or () if isinstance(each, Mapping)]

        return self._listed("cost centres", ask)

    def _listed(self, name: str, ask: Callable[[], list[Row]]) -> list[Row]:
        """A list that is asked for once, or that may not be."""
        if name not in self._lists:
            try:
                self._lists[name] = ask()
            except ApiError as error:
                if error.status != 404:
                    raise
                self._lists[name] = NotAllowedError(f"GitHub shows no {name} to this token (404).", _TOKEN)
            except NotAllowedError as error:
                self._lists[name] = error
        found = self._lists[name]
        if isinstance(found, NotAllowedError):
            raise found
        return found

    def _rows(self, path: str, at: str, following: Paging, total: str) -> list[Row]:
        def fetch(page: int | None) -> Page:
            return self._ask(path, {"page": str(page or 1), "per_page": str(_PAGE_SIZE)})

        found = list_pages(fetch, following, source=f"GitHub's {path}", rows_at=(at,), total_at=(total,))
        return [row for row in found if isinstance(row, Mapping)]

    def _ask(self, path: str, params: Mapping[str, str]) -> Row:
        try:
            return self._http.json_object("GET", path, params=params, has_money=True)
        except ApiError as error:
            raise _explained(error) from None


def _explained(error: ApiError) -> UserError:
    """One sentence that says what to do about a refusal."""
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason, remedy = "the token is wrong or has expired", "Make a new one, and give it anew."
        case 403 if "rate limit" in error.said.lower():
            reason = "too many questions in this hour"
            remedy = (
                "Run it again in an hour: what was loaded is kept. `users = false` in [sources.copilot] asks fewer."
            )
        case 403:
            return NotAllowedError(f"GitHub refused (403): the token may not read this.{said}", _TOKEN)
        case 404:
            reason = "there is no such account, or the token may not see its billing"
            remedy = f"Check `organization` or `enterprise` in [sources.copilot]. {_TOKEN}"
        case 400:
            reason, remedy = "it does not tell of this", "It keeps 24 months: ask from a later day on with --since."
        case _:
            return error
    return ApiError(f"GitHub refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def _other_answer(found: Row, day: date, asked: Mapping[str, str]) -> str | None:
    """What a report is about, when that is not what was asked for: one on a month must not count as one on a day."""
    period = found.get("timePeriod")
    told = [period.get(part) for part in ("year", "month", "day")] if isinstance(period, Mapping) else []
    if told != [day.year, day.month, day.day]:
        return "-".join(str(part) for part in told) or "a report without its period"
    user, cost_center = found.get("user"), found.get("costCenter")
    center = cost_center.get("id") if isinstance(cost_center, Mapping) else None
    for name, answered in (("user", user), ("cost_center_id", center)):
        is_right = str(answered).lower() == asked[name].lower() if name in asked else bool(asked)
        if answered and not is_right:
            return f"a report on {answered}"
    return None


def _by_flag(page: Page, progress: Progress) -> int | None:
    return progress.pages + 1 if page.get("has_next_page") and progress.rows_of_page else None
