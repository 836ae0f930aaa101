"""Cloudflare's API: logs of the AI gateways of one account, in the order of their time.

Facts (Cloudflare's API description): a listing is of one gateway; pages have numbers and say how many rows there are
in all; filters are JSON, and a time is either after or before another, never equal. Accounts that were created since
24 September 2026 have no such logs. What they answer instead is not known, so every way of saying no is taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import orjson

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.onward import Answer, Position, Row, spool_onward
from llm_spend.readers.api.pages import incomplete
from llm_spend.readers.api.source import ApiSource, Stream, configured, configured_list, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import iso
from llm_spend.schema import REQUESTS
from llm_spend.sources.cloudflare import IGNORED, LOGS
from llm_spend.windows import Window

BASE_URL = "https://api.cloudflare.com/client/v4"
PAGE_SIZE = 50

_TICK = timedelta(milliseconds=1)
_ELSEWHERE = ("observability", "not available", "no longer", "not enabled", "not supported", "deprecated")
_SINCE = (
    "If the account was created since 24 September 2026 it has no logs API: send its traces with OpenTelemetry, and"
    " load them with `llm-spend load otel`."
)


class AiGateways:
    """Gateways of one account."""

    def __init__(self, client: ApiClient, account: str, gateways: Sequence[str]) -> None:
        self._client = client
        self._account = account
        self._gateways = gateways

    def check(self) -> str:
        found = [f"{gateway}: {self._page(gateway, {'page': 1, 'per_page': 1}).total:,}" for gateway in self._gateways]
        return f"logs can be listed ({', '.join(found)})"

    def logs(self, window: Window, spool: Spool) -> None:
        for gateway in self._gateways:
            self._logs_of(gateway, window, spool)

    def _logs_of(self, gateway: str, window: Window, spool: Spool) -> None:
        source = f"Cloudflare's gateway {gateway}"

        def ask(position: Position) -> Answer:
            rows, total = found = self._page(gateway, query(position, window))
            left = (total or 0) - position.skipped
            if len(rows) < min(left, PAGE_SIZE):
                raise incomplete(source, f"{left:,} rows were announced and {len(rows):,} came")
            return found

        def stamped(rows: Sequence[Row]) -> list[Row]:
            return [{**without_bodies(row), "gateway": gateway} for row in rows]

        spool_onward(
            spool,
            ask,
            window.start,
            source=source,
            time_field="created_at",
            identity=lambda row: row.get("id"),
            tick=_TICK,
            shape=stamped,
        )

    def _page(self, gateway: str, params: Mapping[str, Any]) -> Answer:
        path = f"/accounts/{quote(self._account, safe='')}/ai-gateway/gateways/{quote(gateway, safe='')}/logs"
        try:
            found = self._client.json("GET", path, params=params)
        except ApiError as error:
            raise _explained(error, gateway) from None
        rows, total = _rows_and_total(found)
        if rows is None or total is None:
            raise UserError(f"Cloudflare's answer for the gateway {gateway} has no logs and no total.", _SINCE)
        return Answer(rows, total)


def query(position: Position, window: Window) -> dict[str, Any]:
    """The parameters for rows of a window from a position on."""
    filters = [
        {"key": "created_at", "operator": "gt", "value": [iso(position.moment - _TICK)]},
        {"key": "created_at", "operator": "lt", "value": [iso(window.end)]},
    ]
    return {
        "page": position.skipped // PAGE_SIZE + 1,
        "per_page": PAGE_SIZE,
        "order_by": "created_at",
        "order_by_direction": "asc",
        "filters": orjson.dumps(filters).decode(),
    }


def without_bodies(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in IGNORED}


def _rows_and_total(found: Any) -> tuple[list[Row] | None, int | None]:
    """Rows and their number in all, each None when the answer has none."""
    if not isinstance(found, Mapping):
        return None, None
    rows, info = found.get("result"), found.get("result_info")
    total = info.get("total_count") if isinstance(info, Mapping) else None
    return (rows if isinstance(rows, list) else None), (total if isinstance(total, int) else None)


def _explained(error: ApiError, gateway: str) -> ApiError:
    words = _messages(error.said)
    said = f" It says: {words}" if words else ""
    is_elsewhere = any(word in words.lower() for word in _ELSEWHERE)
    match error.status:
        case 404 | 405 | 410:
            reason = f"there are no logs of the gateway {gateway} at this address"
            remedy = f"Check `account_id` and `gateway_id` in [sources.cloudflare]. {_SINCE}"
        case 400 | 403 if is_elsewhere:
            reason = f"it does not give the logs of the gateway {gateway}"
            remedy = _SINCE
        case 401 | 403:
            reason = "the token is wrong, or lacks the permission to read AI gateways"
            remedy = f"Make an API token with *AI Gateway Read* for this account. {_SINCE}"
        case 400 if "authori" in words.lower() or "authent" in words.lower():
            reason = "the token is not one of Cloudflare's"
            remedy = "Make an API token with *AI Gateway Read* for this account."
        case _:
            return error
    return ApiError(f"Cloudflare refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def _messages(said: str) -> str:
    """The messages in what Cloudflare says of an error."""
    try:
        return "; ".join(str(error["message"]) for error in orjson.loads(said)["errors"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return said


def _lacking(name: str, what: str) -> UserError:
    return UserError(f"There is no {what}.", f"Give it as `{name}` in [sources.cloudflare] of .dlt/config.toml.")


@contextmanager
def _opened(instance: str) -> Iterator[AiGateways]:
    token = secret("cloudflare", instance, "api_token", "API token of Cloudflare")
    if not (account := configured("cloudflare", instance, "account_id")):
        raise _lacking("account_id", "account of Cloudflare to ask")
    if not (gateways := configured_list("cloudflare", instance, "gateway_id")):
        raise _lacking("gateway_id", "AI gateway of Cloudflare to ask")
    address = configured("cloudflare", instance, "base_url") or BASE_URL
    with ApiClient("Cloudflare", address, {"Authorization": f"Bearer {token}"}) as client:
        yield AiGateways(client, account, gateways)


REQUEST_LOGS = Stream(REQUESTS, LOGS, "created_at", AiGateways.logs)


def api_source(instance: str) -> ApiSource:
    """What is asked of Cloudflare for the gateways of an account."""
    return ApiSource("cloudflare", _opened, (REQUEST_LOGS,))
