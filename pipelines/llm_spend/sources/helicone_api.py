"""Helicone's API: requests of one organisation, in the order of their time.

Facts (Helicone's API description and code): at most 1,000 rows come at a time, from an offset; there is no cursor and
no total. Times may be compared by the whole second. A request is written again when more is known of it. Rows come
with stubs of their bodies and with links to them, which are keys: neither is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.log import redact
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.onward import Answer, Position, Row, spool_onward
from llm_spend.readers.api.source import ApiSource, Stream, configured, configured_flag, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import iso
from llm_spend.schema import REQUESTS
from llm_spend.sources import helicone
from llm_spend.windows import Window

BASE_URL = "https://api.helicone.ai"
PAGE_SIZE = 1000
LOOK_BACK = timedelta(hours=24)

_PATH = "/v1/request/query-clickhouse"
_TICK = timedelta(seconds=1)
_NO_RESPONSE_YET = (None, 0, -2)


class Helicone:
    """The API of one organisation."""

    def __init__(
        self, client: ApiClient, now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None)
    ) -> None:
        self._client = client
        self._now = now

    def check(self) -> str:
        day = Window(self._now() - timedelta(days=1), self._now())
        found = self._rows(Position(day.start), day, limit=1)
        return "requests can be read" + ("" if found else ", none in the last day")

    def requests(self, window: Window, spool: Spool) -> None:
        is_last_asking = self._now() >= window.end + LOOK_BACK

        def kept(rows: Sequence[Row]) -> list[Row]:
            return [without_bodies(row) for row in rows if is_last_asking or not is_pending(row)]

        spool_onward(
            spool,
            lambda position: Answer(self._rows(position, window)),
            window.start,
            source="Helicone's requests",
            time_field="request_created_at",
            identity=lambda row: (row.get("request_id"), row.get("updated_at")),
            tick=_TICK,
            shape=kept,
        )

    def _rows(self, position: Position, window: Window, limit: int = PAGE_SIZE) -> list[Row]:
        try:
            found = self._client.json("POST", _PATH, body=query(position, window, limit))
        except ApiError as error:
            raise _explained(error) from None
        rows = found.get("data") if isinstance(found, Mapping) else None
        if not isinstance(rows, list):
            said = found.get("error") if isinstance(found, Mapping) else None
            raise UserError(
                f"Helicone answered without rows: {redact(str(said))[:200]}.", "Check base_url; run it again later."
            )
        return rows


def query(position: Position, window: Window, limit: int) -> dict[str, Any]:
    """The question for rows of a window from a position on; a second more, for times are cut to seconds."""
    return {
        "filter": {
            "left": _created("gte", position.moment),
            "operator": "and",
            "right": _created("lt", window.end + _TICK),
        },
        "offset": position.skipped,
        "limit": limit,
        "sort": {"created_at": "asc"},
    }


def is_pending(row: Row) -> bool:
    """Whether a request had no response yet when it was asked for."""
    return row.get("response_status") in _NO_RESPONSE_YET


def without_bodies(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in helicone.IGNORED}


def _created(operator: str, moment: datetime) -> dict[str, Any]:
    return {"request_response_rmt": {"request_created_at": {operator: iso(moment)}}}


def _explained(error: ApiError) -> ApiError:
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401 | 403:
            reason = "the key is wrong, may not read, or belongs to the other region"
            remedy = "Make a key that may read (Settings, API Keys); in the EU set `base_url` to eu.api.helicone.ai."
        case 402:
            reason = "the plan does not allow to read requests"
            remedy = "Look at the organisation's plan; old requests may lie beyond what it keeps."
        case 404 | 405 | 410:
            reason = "there is no such endpoint"
            remedy = "Check `base_url`. Helicone is in maintenance: load an export with --path when its API is gone."
        case _:
            return error
    return ApiError(f"Helicone refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


@contextmanager
def _opened(instance: str) -> Iterator[Helicone]:
    key = secret("helicone", instance, "api_key", "API key of Helicone")
    address = configured("helicone", instance, "base_url") or BASE_URL
    with ApiClient("Helicone", address, {"Authorization": f"Bearer {key}"}) as client:
        yield Helicone(client)


def api_source(instance: str) -> ApiSource:
    """What is asked of Helicone for an organisation."""
    fmt = helicone.requests(input_includes_cache=configured_flag("helicone", instance, "input_includes_cache"))
    requests = Stream(REQUESTS, fmt, "request_created_at", Helicone.requests, look_back=(LOOK_BACK,))
    return ApiSource("helicone", _opened, (requests,))
