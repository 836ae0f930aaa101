"""OpenRouter's activity endpoint: one question a day; days that are over, of the last 30."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.source import ApiSource, NotAllowedError, Stream, configured, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.sources.openrouter import totals_rows
from llm_spend.sources.shared_tables import totals_format
from llm_spend.windows import Window

BASE_URL = "https://openrouter.ai"
FIRST = timedelta(days=29)
"""A day less than OpenRouter keeps, so that the oldest is still there when it is asked for."""

_DAYS_KEPT = 30
_NOT_TOLD = (400, 422)

_PATH = "/api/v1/activity"


class OpenRouter:
    """The API of one account or organisation."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._told_of_forgotten = False

    def check(self) -> str:
        day = _today() - timedelta(days=1)
        return f"activity can be read, {len(self._activity(day))} rows for {day}"

    def totals(self, window: Window, spool: Spool) -> None:
        """Write the totals of a day; none for one that OpenRouter has forgotten, so that the days after it are had."""
        day = window.start.date()
        try:
            spool.add_rows(totals_rows(day, self._activity(day)))
        except ApiError as error:
            if error.status not in _NOT_TOLD or not _may_be_forgotten(day):
                raise
            self._tell_of_forgotten(day, spool)

    def _tell_of_forgotten(self, day: date, spool: Spool) -> None:
        if not self._told_of_forgotten:
            self._told_of_forgotten = True
            spool.warnings.append(
                f"OpenRouter keeps the last {_DAYS_KEPT} days and no longer tells of {day}: there are no totals of it,"
                " nor of other days before these that were not loaded in time."
            )

    def _activity(self, day: date) -> list[Mapping[str, Any]]:
        try:
            found = self._client.json("GET", _PATH, params={"date": day.isoformat()})
        except ApiError as error:
            raise _explained(error, day) from None
        rows = found.get("data") if isinstance(found, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise UserError(f"OpenRouter's answer for {day} has no list of activity.", "Check base_url.")
        # The time of a day may be written behind it.
        if others := sorted({str(row.get("date"))[:10] for row in rows} - {day.isoformat()}):
            raise UserError(
                f"OpenRouter was asked for {day} and answered with {', '.join(others[:3])}.",
                "Nothing of this day was loaded. Run it again; if that does not help, report it as a bug.",
            )
        return rows


def _may_be_forgotten(day: date) -> bool:
    return day <= _today() - timedelta(days=_DAYS_KEPT)


def _today() -> date:
    return datetime.now(UTC).date()


def _explained(error: ApiError, day: date) -> UserError:
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason = "the key is wrong or was withdrawn"
            remedy = "Make a management key (OpenRouter: Settings, Management Keys), and give it anew."
        case 403:
            return NotAllowedError(
                f"OpenRouter refused (403): this key may not read activity.{said}",
                "Take a management key: an ordinary API key can't read it.",
            )
        case 400 | 422:
            reason = f"it does not tell of {day}"
            remedy = "It keeps the last 30 days: ask from a later day on with --since."
        case 404 | 405 | 410:
            reason = "there is no such endpoint"
            remedy = "Check `base_url` in [sources.openrouter]."
        case _:
            return error
    return ApiError(f"OpenRouter refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


@contextmanager
def _opened(instance: str) -> Iterator[OpenRouter]:
    key = secret("openrouter", instance, "management_key", "management key of OpenRouter")
    address = configured("openrouter", instance, "base_url") or BASE_URL
    with ApiClient("OpenRouter", address, {"Authorization": f"Bearer {key}"}) as client:
        yield OpenRouter(client)


TOTALS = Stream(
    "totals",
    totals_format("openrouter"),
    "bucket_start",
    OpenRouter.totals,
    look_back=(timedelta(days=3),),
    first=FIRST,
    whole_days=True,
)


def api_source(instance: str) -> ApiSource:
    """What is asked of OpenRouter: totals only, for it lists no requests."""
    return ApiSource("openrouter", _opened, (TOTALS,))
