"""Which of Anthropic's reports is asked for some days, by which dimensions, and what is done when one refuses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from llm_spend.readers.api.client import ApiError
from llm_spend.readers.api.onward import moment_of
from llm_spend.readers.api.pages import incomplete
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.readers.api.values import iso
from llm_spend.sources import anthropic_analytics as analytics
from llm_spend.sources import anthropic_legacy as legacy
from llm_spend.sources.anthropic import Question
from llm_spend.sources.anthropic_analytics import CONSOLE, ENTERPRISE, PROFILES, Kind
from llm_spend.sources.anthropic_client import AnthropicClient, Report
from llm_spend.windows import Window

ApiName = Literal["auto", "analytics", "legacy"]
Rows = dict[date, list[dict[str, Any]]]

SETTLE = timedelta(hours=4)
"""How far behind the data of analytics are, most of the time."""

_FIRST_DAY = datetime(2026, 1, 1)


@dataclass(frozen=True)
class Choice:
    """What is configured. `dimensions`: of the primary profile, None for those of the kind of organisation."""

    api: ApiName = "auto"
    is_enterprise: bool | None = None
    dimensions: tuple[str, ...] | None = None
    profiles: tuple[str, ...] = ()


@dataclass
class Reports:
    """Usage and cost reports over both APIs. `beta` asks for analytics, `admin` for the Legacy reports.

    A kind of report that analytics refuse is asked for at the Legacy API from then on. `warnings`: what was lost by
    that and what else is to be known, once each, until somebody takes them.
    """

    beta: AnthropicClient
    admin: AnthropicClient
    choice: Choice = Choice()
    warnings: list[str] = field(default_factory=list)
    _refused: dict[Kind, NotAllowedError] = field(default_factory=dict)
    _untold: set[Kind] = field(default_factory=set)
    _warned: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._is_enterprise = self.choice.is_enterprise

    def end_of(self, start: datetime) -> datetime:
        """Up to when days can be asked for together with one that begins at `start`."""
        oldest = oldest_day()
        return oldest if start < oldest else _midnight(_now() - SETTLE)

    def rows(self, kind: Kind, span: Window) -> Rows:
        """Rows of all profiles, by day. Raises NotAllowedError when neither API lets the key have them."""
        if self.choice.api == "legacy":
            return self._legacy(kind, span)
        if span.start < oldest_day():
            return self._before_analytics(kind, span)
        if kind not in self._refused:
            try:
                return self._analytics(kind, span)
            except NotAllowedError as error:
                if self.choice.api == "analytics":
                    raise
                self._refused[kind] = error
                self._warn(("refused", kind), f"{error.problem} {_FALLBACK[kind]}")
        return self._legacy(kind, span, self._refused[kind])

    def tells_of(self, kind: Kind, start: datetime) -> bool:
        """Whether a day that was asked for has no rows because there are none, and not because nobody tells of it."""
        return kind not in self._untold or start >= oldest_day()

    def check(self, kind: Kind) -> str:
        """Which report of a kind can be read. Raises UserError when none can."""
        self.rows(kind, Window(yesterday(), yesterday() + timedelta(days=1)))
        is_legacy = self.choice.api == "legacy" or kind in self._refused
        return f"{kind} by the {'Legacy report' if is_legacy else 'analytics API'}"

    def _before_analytics(self, kind: Kind, span: Window) -> Rows:
        """Days that analytics don't tell of: the Legacy reports may."""
        begin = f"Anthropic's analytics begin with {oldest_day():%Y-%m-%d}."
        if self.choice.api == "auto":
            try:
                found = self._legacy(kind, span)
            except NotAllowedError as error:
                begin = f"{begin} {error.problem}"
            else:
                self._warn(("begin", kind), f"{begin} {_FALLBACK[kind]}")
                return found
        self._untold.add(kind)
        self._warn(("nothing", kind), f"{begin} Nothing was loaded of the {kind} of days before: see `api`.")
        return {}

    def _analytics(self, kind: Kind, span: Window) -> Rows:
        found = self._primary(kind, span)
        found += self._asked(kind, analytics.question("control", (), kind), span)
        for name in () if self._is_enterprise else self.choice.profiles:
            try:
                found += self._asked(kind, analytics.question(name, PROFILES[name], kind), span)
            except ApiError as error:
                if error.status != 400:
                    raise
                self._warn((name, kind), f"{kind} by {name} is left out. {error.problem}")
        return _by_day(found, span)

    def _primary(self, kind: Kind, span: Window) -> list[dict[str, Any]]:
        """Rows by the dimensions of the kind of organisation, which is found out when it is not configured."""
        if known := self._known_dimensions():
            return self._asked(kind, analytics.question("primary", known, kind), span)
        try:
            rows = self._asked(kind, analytics.question("primary", CONSOLE, kind), span)
        except ApiError as error:
            if error.status != 400:
                raise
            return self._as_enterprise(kind, span, error)
        if rows:
            self._is_enterprise = False
            self._doubt(rows)
        return rows

    def _known_dimensions(self) -> tuple[str, ...] | None:
        if self.choice.dimensions or self._is_enterprise is None:
            return self.choice.dimensions
        return ENTERPRISE if self._is_enterprise else CONSOLE

    def _as_enterprise(self, kind: Kind, span: Window, refused: ApiError) -> list[dict[str, Any]]:
        """The same by other dimensions; raises what was `refused` when these are not what is wrong."""
        try:
            rows = self._asked(kind, analytics.question("primary", ENTERPRISE, kind), span)
        except ApiError:
            raise refused from None
        self._is_enterprise = True
        self._warn(
            "enterprise",
            f"{refused.problem} It was asked by the dimensions of a Claude Enterprise organisation instead:"
            f' {", ".join(ENTERPRISE)}. Set organization_type = "enterprise" if it is one.',
        )
        return rows

    def _doubt(self, rows: list[dict[str, Any]]) -> None:
        if not any(row["project_id"] for row in rows):
            self._warn(
                "console",
                "No row of Anthropic's analytics has a workspace, as in a Claude Enterprise organisation: set"
                ' organization_type = "enterprise" in [sources.anthropic] to see people and products.',
            )

    def _asked(self, kind: Kind, asked: Question, span: Window) -> list[dict[str, Any]]:
        report = analytics.asked_report(self.beta, kind, asked, span)
        self._note_refresh(report, span)
        return analytics.report_rows(kind, asked, report)

    def _note_refresh(self, report: Report, span: Window) -> None:
        """Data that end within the last day are a beginning only."""
        refreshed = moment_of(report.refreshed_at)
        if refreshed and refreshed < span.end:
            self._warn(
                ("refreshed", span.end),
                f"Anthropic's data reach until {iso(refreshed)}: the days up to {span.end:%Y-%m-%d} are not complete"
                " yet, and are asked for again a day later.",
            )

    def _legacy(self, kind: Kind, span: Window, refused: NotAllowedError | None = None) -> Rows:
        own = self.choice.dimensions
        try:
            found: list[dict[str, Any]] = []
            for profile, dimensions in (("primary", CONSOLE if own is None else own), ("control", ())):
                asked = legacy.question(profile, dimensions, kind)
                found += legacy.report_rows(kind, asked, legacy.asked_report(self.admin, kind, asked, span))
        except NotAllowedError as error:
            if refused is None:
                raise
            raise NotAllowedError(f"{refused.problem} And the Legacy report: {error.problem}", error.remedy) from None
        return _by_day(found, span)

    def _warn(self, about: Hashable, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self.warnings.append(text)


_FALLBACK: Mapping[Kind, str] = {
    "usage": "The Legacy report was asked instead: usage without a count of requests, people and customers.",
    "cost": "The Legacy report was asked instead: costs by workspace and description, without API keys, list prices,"
    " people and customers.",
}


def oldest_day() -> datetime:
    """The first day that analytics tell of."""
    return max(_FIRST_DAY, _midnight(_now()) - timedelta(days=analytics.DAYS_KEPT - 1))


def yesterday() -> datetime:
    """The beginning of the last day that is over."""
    return _midnight(_now()) - timedelta(days=1)


def _by_day(rows: list[dict[str, Any]], span: Window) -> Rows:
    """The rows of each day. Raises UserError for a bucket that is not a day of the span."""
    found: Rows = {}
    for row in rows:
        start, end = moment_of(row["bucket_start"]), moment_of(row["bucket_end"])
        is_day = start and end and span.start <= start and end <= span.end and end - start == timedelta(days=1)
        if start is None or not is_day:
            what = f"{span} was asked for, and a bucket is from {row['bucket_start']} to {row['bucket_end']}"
            raise incomplete("Anthropic's reports", what)
        found.setdefault(start.date(), []).append(row)
    return found


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time())
