"""What is asked of OpenAI: costs, usage of every kind, and the lists that give their ids names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.source import ApiSource, NotAllowedError, Stream, configured, configured_flag, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import openai_costs as costs
from llm_spend.sources import openai_usage as usage
from llm_spend.sources.openai_client import DAY, OpenAIClient, Right
from llm_spend.sources.openai_lists import LISTINGS, OpenAILists
from llm_spend.sources.openai_reports import Question, Reports
from llm_spend.sources.provider_tables import costs_format, usage_format
from llm_spend.windows import Window

BASE_URL = "https://api.openai.com"
FIRST = timedelta(days=92)
"""A quarter. There is a year to be had, with --since."""

_READ = "Make an admin key that may read usage (OpenAI's settings: Organization, Admin keys)."
COSTS, USAGE = Right("read costs", _READ), Right("read usage", _READ)
_UNGROUPED: tuple[tuple[str, ...], ...] = ((),)
_MOST_COST_DAYS, _MOST_USAGE_DAYS = 180, 31


def cost_questions(*, by_user: bool = False, by_source: bool = False) -> tuple[Question, ...]:
    """What is asked about costs."""
    since = {"api_key_id": costs.KEYS_SINCE}
    of_costs = partial(Question, COSTS, costs.PATH, most_days=_MOST_COST_DAYS, shape=costs.cost_rows)
    asked = [
        of_costs("primary", costs.groupings(by_source=by_source), since=since),
        of_costs("control", _UNGROUPED),
    ]
    return (*asked, of_costs("users", (costs.BY_USER,), is_extra=True)) if by_user else tuple(asked)


def usage_questions(*, by_source: bool = False) -> tuple[Question, ...]:
    """What is asked about usage."""
    asked = []
    for report in usage.REPORTS:
        shape = partial(usage.usage_rows, report)
        of_usage = partial(Question, USAGE, report.path, most_days=_MOST_USAGE_DAYS, shape=shape)
        asked.append(of_usage("primary", report.groupings(by_source=by_source), adds_up=usage.adds_up))
        if report.counts:
            asked.append(of_usage("control", _UNGROUPED))
    return tuple(asked)


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class OpenAI:
    """The API of one organization. `now`: naive UTC."""

    def __init__(
        self,
        http: ApiClient,
        key: str,
        *,
        by_user: bool = False,
        by_source: bool = False,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._client = OpenAIClient(http, key)
        self._now = now
        self._reports = Reports(self._client, now)
        self.lists = OpenAILists(self._client)
        self._costs = cost_questions(by_user=by_user, by_source=by_source)
        self._usage = usage_questions(by_source=by_source)
        self._missing: set[str] = set()

    def check(self) -> str:
        self._try(self._costs[0])
        found, lacking = ["costs"], []
        try:
            self._try(self._usage[0])
            found.append("usage")
        except NotAllowedError:
            lacking.append("usage")
        for what, is_allowed in self.lists.tried():
            (found if is_allowed else lacking).append(what)
        can = f"{_and(found)} can be read"
        return f"{can}; the key lacks the right to read {_and(lacking)}" if lacking else can

    def costs(self, window: Window, spool: Spool) -> None:
        """Write the costs of a day."""
        self._write(self._costs, window, spool)

    def usage(self, window: Window, spool: Spool) -> None:
        """Write the usage of a day, of all kinds that there are here."""
        self._write(self._usage, window, spool, may_lack=True)

    def _write(self, questions: Sequence[Question], window: Window, spool: Spool, *, may_lack: bool = False) -> None:
        for question in questions:
            if question.path not in self._missing:
                try:
                    self._reports.write(question, window, spool)
                except ApiError as error:
                    if error.status != 404 or not may_lack:
                        raise
                    self._missing.add(question.path)
                    spool.warnings.append(f"{error.problem} All else is loaded.")
        spool.warnings += self._reports.warnings
        self._reports.warnings.clear()

    def _try(self, question: Question) -> None:
        """Ask for yesterday without groups."""
        yesterday = datetime.combine(self._now().date(), datetime.min.time()) - DAY
        self._client.buckets(question.right, question.path, Window(yesterday, yesterday + DAY), {"limit": 1})


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@contextmanager
def _opened(instance: str) -> Iterator[OpenAI]:
    key = secret("openai", instance, "admin_key", "admin key of OpenAI")
    address = (configured("openai", instance, "base_url") or BASE_URL).rstrip("/").removesuffix("/v1")
    by_user, by_source = (configured_flag("openai", instance, name) for name in ("costs_by_user", "by_api_source"))
    with ApiClient("OpenAI", address, {"Authorization": f"Bearer {key}"}) as http:
        yield OpenAI(http, key, by_user=by_user, by_source=by_source)


STREAMS = (
    Stream(
        "costs",
        costs_format("openai"),
        "bucket_start",
        OpenAI.costs,
        look_back=(timedelta(days=1), timedelta(days=3), costs.SETTLES_AFTER),
        first=FIRST,
        whole_days=True,
        empty_replaces=True,
    ),
    Stream(
        "usage",
        usage_format("openai"),
        "bucket_start",
        OpenAI.usage,
        look_back=(timedelta(days=1), usage.SETTLES_AFTER),
        first=FIRST,
        whole_days=True,
        empty_replaces=True,
    ),
)


def api_source(instance: str) -> ApiSource:
    """What is asked of OpenAI: costs and usage, which no list of requests stands behind, and names."""
    return ApiSource("openai", _opened, STREAMS, LISTINGS)
