"""What Anthropic's Admin API is asked for: usage, costs, Claude Code's estimates, members and spend limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import get_args

from llm_spend.errors import UserError
from llm_spend.readers.api.ahead import DaysAhead
from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import (
    ApiSource,
    NotAllowedError,
    Stream,
    configured,
    configured_choice,
    configured_flag,
    configured_list,
    secret,
)
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import anthropic_claude_code as claude_code
from llm_spend.sources.anthropic_analytics import BETA, LONGEST_DAYS, LOOK_BACK, PROFILES, Kind, checked_dimensions
from llm_spend.sources.anthropic_client import AnthropicClient
from llm_spend.sources.anthropic_lists import LISTINGS, USER_PROFILES, AnthropicLists, check_lists
from llm_spend.sources.anthropic_reports import SETTLE, ApiName, Choice, Reports, yesterday
from llm_spend.sources.provider_tables import costs_format, usage_format
from llm_spend.windows import Window

BASE_URL = "https://api.anthropic.com"
VERSION = {"anthropic-version": "2023-06-01"}

_ORGANISATIONS: Mapping[str, bool] = {"console": False, "enterprise": True}


class Anthropic:
    """One organisation. `has_claude_code`: whether Claude Code's estimates are asked for."""

    def __init__(self, reports: Reports, lists: AnthropicLists, *, has_claude_code: bool = True) -> None:
        self.lists = lists
        self._reports = reports
        self._days: dict[Kind, DaysAhead] = {
            kind: DaysAhead(partial(reports.rows, kind), reports.end_of, LONGEST_DAYS) for kind in get_args(Kind)
        }
        self._asks_claude_code = has_claude_code

    def usage(self, window: Window, spool: Spool) -> None:
        """Write the usage of a day in all profiles, and Claude Code's own count of it."""
        self._write("usage", window, spool)
        if self._asks_claude_code:
            self._claude_code(window, spool)

    def costs(self, window: Window, spool: Spool) -> None:
        """Write the costs of a day in all profiles."""
        self._write("cost", window, spool)

    def check(self) -> str:
        """Which reports and lists can be read. Raises UserError when usage or costs can't."""
        found = [self._reports.check("usage"), self._reports.check("cost")]
        if self._asks_claude_code:
            found.append(self._check_claude_code())
        there, lacking = check_lists(self.lists)
        if there:
            found.append(f"lists: {', '.join(there)}")
        return "; ".join((*found, *lacking, *self._taken_warnings()))

    def _write(self, kind: Kind, window: Window, spool: Spool) -> None:
        spool.add_rows(self._days[kind].rows(window))
        spool.is_proof = self._reports.tells_of(kind, window.start)
        spool.warnings += self._taken_warnings()

    def _taken_warnings(self) -> list[str]:
        taken, self._reports.warnings = self._reports.warnings, []
        return taken

    def _claude_code(self, window: Window, spool: Spool) -> None:
        day = window.start.date()
        try:
            spool.add_rows(claude_code.report_rows(day, claude_code.asked_report(self._reports.admin, day)))
        except NotAllowedError as error:
            self._asks_claude_code = False
            spool.warnings.append(f"{error.problem} {error.remedy}")

    def _check_claude_code(self) -> str:
        try:
            claude_code.asked_report(self._reports.admin, yesterday().date())
        except NotAllowedError as error:
            return f"Claude Code: {error.problem}"
        return "Claude Code analytics"


_FIRST = timedelta(days=90)

USAGE = Stream(
    "usage",
    usage_format("anthropic"),
    "bucket_start",
    Anthropic.usage,
    settle=SETTLE,
    look_back=LOOK_BACK,
    first=_FIRST,
    whole_days=True,
    empty_replaces=True,
)
COSTS = Stream(
    "costs",
    costs_format("anthropic"),
    "bucket_start",
    Anthropic.costs,
    settle=SETTLE,
    look_back=LOOK_BACK,
    first=_FIRST,
    whole_days=True,
    empty_replaces=True,
)


@dataclass(frozen=True)
class Settings:
    """What is configured for an instance."""

    choice: Choice
    has_claude_code: bool

    @classmethod
    def of(cls, instance: str) -> Settings:
        api = configured_choice("anthropic", instance, "api", get_args(ApiName)) or "auto"
        kind = configured_choice("anthropic", instance, "organization_type", tuple(_ORGANISATIONS))
        dimensions = configured_list("anthropic", instance, "dimensions")
        profiles = configured_list("anthropic", instance, "profiles")
        if unknown := [name for name in profiles if name not in PROFILES]:
            raise UserError(
                f"`profiles` in [sources.anthropic] has {', '.join(unknown)}.", f"There are: {', '.join(PROFILES)}."
            )
        choice = Choice(
            api,  # type: ignore[arg-type]
            None if kind is None else _ORGANISATIONS[kind],
            checked_dimensions(dimensions) if dimensions else None,
            profiles,
        )
        return cls(choice, configured_flag("anthropic", instance, "claude_code", default=True))


@contextmanager
def _opened(instance: str) -> Iterator[Anthropic]:
    settings = Settings.of(instance)
    key = secret("anthropic", instance, "admin_key", "Admin key of Anthropic")
    own_key = configured("anthropic", instance, "user_profiles_key", is_secret=True)
    address = configured("anthropic", instance, "base_url") or BASE_URL
    with ExitStack() as stack:

        def client(key: str, headers: Mapping[str, str]) -> AnthropicClient:
            http = ApiClient("Anthropic", address, {"x-api-key": key, **headers})
            return AnthropicClient(stack.enter_context(http), key)

        admin = client(key, VERSION)
        reports = Reports(client(key, {**VERSION, "anthropic-beta": BETA}), admin, settings.choice)
        lists = AnthropicLists(admin, client(own_key, VERSION) if own_key else None)
        yield Anthropic(reports, lists, has_claude_code=settings.has_claude_code)


def api_source(instance: str) -> ApiSource:
    """What is asked of Anthropic for an organisation."""
    Settings.of(instance)
    has_profiles = configured("anthropic", instance, "user_profiles_key", is_secret=True) is not None
    return ApiSource("anthropic", _opened, (USAGE, COSTS), (*LISTINGS, USER_PROFILES) if has_profiles else LISTINGS)
