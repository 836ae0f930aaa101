"""Daily reports of OpenAI: asked for many days at a time, as finely grouped as OpenAI allows.

What it refuses to group by is left out and said; so are days that it no longer tells of. Whether the age of a day is
the reason for a refusal is found by asking for later days: refusals have no words that can be relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from llm_spend.readers.api.ahead import DaysAhead
from llm_spend.readers.api.client import ApiError
from llm_spend.readers.api.spool import Spool
from llm_spend.sources.openai_client import DAY, Bucket, OpenAIClient, Right, Row
from llm_spend.windows import Window

Rows = list[dict[str, Any]]
Grouping = tuple[str, ...]

_ROWS_KEPT = 5_000
"""Of each of about twenty questions."""

# Days of midnights: the year may be counted from this moment, before which the 365th midnight is.
_LOOK_BACKS = (365, 364, 180, 90, 30, 7)


@dataclass(frozen=True)
class Question:
    """A report under one profile.

    `groupings`: finest first; the next one is taken where OpenAI refuses one. `since`: by dimension, from when on it is
    known; a dimension is not asked for before that. `most_days`: that an answer can have. `is_extra`: a second view,
    which is left out where OpenAI refuses it. `adds_up`: whether a row agrees with itself.
    """

    right: Right
    path: str
    profile: str
    groupings: tuple[Grouping, ...]
    most_days: int
    shape: Callable[[str, Grouping, Bucket], Rows]
    since: Mapping[str, datetime] = field(default_factory=dict)
    is_extra: bool = False
    adds_up: Callable[[Row], bool] = lambda row: True

    def possible(self, start: datetime) -> tuple[Grouping, ...]:
        """The groupings that a day can have."""
        unknown = {dimension for dimension, since in self.since.items() if start < since}
        return tuple(each for each in self.groupings if unknown.isdisjoint(each))

    def same_until(self, start: datetime) -> datetime:
        """Up to when days can have the groupings that a day has."""
        return min((since for since in self.since.values() if start < since), default=datetime.max)

    @property
    def words(self) -> str:
        """What the report is of."""
        return self.path.removeprefix("/v1/organization/").replace("/", " of ").replace("_", " ")


class Reports:
    """What OpenAI tells of days. `now`: naive UTC. `warnings` gathers what somebody should know of the answers."""

    def __init__(self, client: OpenAIClient, now: Callable[[], datetime]) -> None:
        self.warnings: list[str] = []
        self._client = client
        self._now = now
        self._ahead: dict[tuple[str, str], DaysAhead] = {}
        self._told_since: dict[Right, datetime] = {}
        self._warned: set[tuple[Any, ...]] = set()

    def write(self, question: Question, window: Window, spool: Spool) -> None:
        """Write the rows of a day; none, and that is no proof, where OpenAI no longer tells of it. Raises UserError."""
        name = (question.path, question.profile)
        if name not in self._ahead:
            self._ahead[name] = DaysAhead(
                lambda span: self._asked(question, span),
                lambda start: min(question.same_until(start), self._midnight()),
                question.most_days,
                _ROWS_KEPT,
            )
        spool.add_rows(self._ahead[name].rows(window))
        spool.is_proof &= window.start >= self._told_since.get(question.right, window.start)

    def _midnight(self) -> datetime:
        return datetime.combine(self._now().date(), time())

    def _asked(self, question: Question, span: Window) -> Mapping[date, Rows]:
        told_since = self._told_since.get(question.right, span.start)
        if span.end <= told_since:
            return {}
        span = Window(max(span.start, told_since), span.end)
        groupings = question.possible(span.start)
        if groupings != question.groupings:
            dimensions = ", ".join(sorted(question.since))
            self._warn(
                (question.path, question.profile, "since"),
                f"OpenAI does not group {question.words} by {dimensions} before"
                f" {question.same_until(span.start).date()}: until then they are grouped by"
                f" {', '.join(sorted(groupings[0]))}.",
            )
        return self._grouped(question, span, groupings)

    def _grouped(self, question: Question, span: Window, groupings: tuple[Grouping, ...]) -> Mapping[date, Rows]:
        """The answer with the first of some groupings that is not refused, for each day."""
        refusals: list[ApiError] = []
        for grouping in groupings:
            try:
                days = self._buckets(question, span, grouping)
            except ApiError as error:
                if error.status != 400:
                    raise
                # A grouping may be known of later days only.
                if span.end - span.start > DAY and self._answers(question, span.end - DAY, grouping):
                    middle = span.start + (span.end - span.start) // DAY // 2 * DAY
                    halves = (Window(span.start, middle), Window(middle, span.end))
                    return {
                        day: rows for half in halves for day, rows in self._grouped(question, half, groupings).items()
                    }
                refusals.append(error)
                continue
            if refusals:
                self._warn_of_weaker(question, span, groupings[0], grouping, refusals[0])
            self._warn_of_sums(question, days)
            return {each.start.date(): question.shape(question.profile, grouping, each) for each in days}
        return self._refused(question, span, refusals[0])

    def _refused(self, question: Question, span: Window, refusal: ApiError) -> Mapping[date, Rows]:
        """What can be said of days for which every grouping is refused. Raises the refusal when it is not their age."""
        if not self._answers(question, span.start):
            ages = (self._midnight() - timedelta(days=days) for days in _LOOK_BACKS)
            later = next((age for age in ages if age > span.start and self._answers(question, age)), None)
            if later is None:
                raise refusal
            self._told_since[question.right] = later
            self._warn(
                (question.right,),
                f"OpenAI no longer tells of {question.words} before {later.date()}: there is nothing of"
                f" {span.start.date()} nor of other days before that were not loaded in time.{_words_of(refusal)}",
            )
            return self._asked(question, span)
        if not question.is_extra:
            raise refusal
        by = ", ".join(question.groupings[0])
        self._warn(
            (question.path, question.profile),
            f"OpenAI refused to group {question.words} of {span.start.date()} and maybe other days by {by}: there is no"
            f" such view of these.{_words_of(refusal)}",
        )
        return {}

    def _buckets(self, question: Question, span: Window, grouping: Grouping) -> list[Bucket]:
        params = {"limit": question.most_days, **({"group_by": list(grouping)} if grouping else {})}
        return self._client.buckets(question.right, question.path, span, params)

    def _answers(self, question: Question, start: datetime, grouping: Grouping = ()) -> bool:
        """Whether OpenAI answers for a day when it is so grouped. Raises UserError for refusals of other kinds."""
        try:
            self._buckets(question, Window(start, start + DAY), grouping)
        except ApiError as error:
            if error.status != 400:
                raise
            return False
        return True

    def _warn_of_weaker(
        self, question: Question, span: Window, wanted: Grouping, got: Grouping, refusal: ApiError
    ) -> None:
        lost = ", ".join(sorted(set(wanted) - set(got)))
        self._warn(
            (question.path, question.profile, got),
            f"OpenAI refused to group {question.words} of {span.start.date()} and maybe other days by {lost}: they are"
            f" grouped by {', '.join(sorted(got))}.{_words_of(refusal)}",
        )

    def _warn_of_sums(self, question: Question, days: Iterable[Bucket]) -> None:
        for day in days:
            if wrong := sum(not question.adds_up(row) for row in day.rows):
                self.warnings.append(
                    f"Rows of OpenAI's {question.words} of {day.start.date()} whose parts don't add up: {wrong:,}. They"
                    " are loaded as they came."
                )

    def _warn(self, what: tuple[Any, ...], text: str) -> None:
        """Say something once in a run."""
        if what not in self._warned:
            self._warned.add(what)
            self.warnings.append(text)


def _words_of(refusal: ApiError) -> str:
    return f" It says: {refusal.said}" if refusal.said else ""
