"""Portkey's Logs Export API: a window is exported, waited for and downloaded as JSON lines.

Facts (Portkey OpenAPI): an export has 50,000 rows at most, so a window with more is halved; its result lies at a signed
URL, which is a key and is neither kept nor shown. Neither says whether the ends of a window are included: we ask for a
millisecond more and let the reader decide. An export has no cache status, no API key and no workspace; bodies are
never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiError
from llm_spend.readers.api.spool import CutOffError, Spool
from llm_spend.readers.api.values import iso
from llm_spend.sources.portkey_client import PortkeyClient, Right
from llm_spend.windows import Window

MOST_ROWS = 50_000
FIELDS = (
    "id",
    "trace_id",
    "created_at",
    "is_success",
    "ai_org",
    "ai_model",
    "req_units",
    "res_units",
    "total_units",
    "request_url",
    "cost",
    "cost_currency",
    "response_time",
    "response_status_code",
    "mode",
    "config",
    "prompt_slug",
    "metadata",
)
"""All that can be exported, without `request` and `response`."""

_ALL: Mapping[str, Any] = {}
_TRIES = 3
_FIRST_POLL, _LONGEST_POLL = 1.0, 15.0
_LONGEST_EXPORT = 1800.0

EXPORT_LOGS = Right(
    "export logs",
    "Give the key the permission `logs.export` (Portkey: API Keys, Logs, Export). Take a service key: a user's key may"
    " see some logs only.",
    "Portkey exports logs on Enterprise plans only; a self-hosted gateway needs the Data Service, and the address of"
    " its control plane as `base_url` in [sources.portkey]. Elsewhere load exported files with --path, and say"
    " `requests = false` in [sources.portkey] to ask only for what Portkey's analytics add up.",
)


class PortkeyExports:
    """Exports of one workspace: the one of the key, or `workspace_id` for a key of the organisation."""

    def __init__(self, client: PortkeyClient, clock: Callable[[], float] = monotonic):
        self._client = client
        self._clock = clock

    def check(self) -> str:
        found = self._ask("GET", "/logs/exports", params=self._client.workspace.by_id)
        return f"logs can be exported, {found.get('total', 0)} exports until now"

    def fetch(
        self, window: Window, spool: Spool, fields: Sequence[str] = FIELDS, filters: Mapping[str, Any] = _ALL
    ) -> None:
        """Write the logs of a window, those that meet further filters; `fields`: what of them."""
        waiting = [window]
        while waiting:
            part = waiting.pop()
            if not self._fetched(part, spool, fields, filters):
                halves = part.halves()
                if not halves:
                    raise UserError(
                        f"Portkey has {MOST_ROWS:,} logs or more in the window {part}, which can't be halved.",
                        "Report this as a bug: the time filter may have been ignored.",
                    )
                waiting += reversed(halves)

    def _fetched(self, window: Window, spool: Spool, fields: Sequence[str], filters: Mapping[str, Any]) -> bool:
        """Write the rows of a window, if one export can hold them all."""
        for tried in range(1, _TRIES + 1):
            rows, size = spool.rows, spool.size
            try:
                export = self._ask("POST", "/logs/exports", body=self._wanted(window, fields, filters))
                identifier, total = _text(export, "id"), _number(export, "total")
                if total >= MOST_ROWS:
                    return False
                if not total:
                    return True
                self._run(identifier, window)
                found = spool.add_lines(lambda target, of=identifier: self._download(of, target))  # type: ignore[misc]
                if found < total:
                    raise CutOffError(f"{total:,} rows were announced and {found:,} came")
            except (CutOffError, _FailedError) as error:
                spool.taken_back(rows, size)
                if tried == _TRIES:
                    raise UserError(
                        f"Portkey's export of {window} is not complete: {error}.",
                        "Nothing of this window was loaded. Run it again; if that does not help, ask Portkey.",
                    ) from None
                continue
            if found >= MOST_ROWS:
                spool.taken_back(rows, size)
                return False
            return True
        raise AssertionError("unreachable")

    def _wanted(self, window: Window, fields: Sequence[str], filters: Mapping[str, Any]) -> dict[str, Any]:
        filters = {
            **filters,
            "time_of_generation_min": iso(window.start - timedelta(milliseconds=1)),
            "time_of_generation_max": iso(window.end),
            "page_size": MOST_ROWS,
        }
        return {**self._client.workspace.by_id, "filters": filters, "requested_data": list(fields)}

    def _run(self, identifier: str, window: Window) -> None:
        """Start an export and wait until it is done. Raises _FailedError when it is not."""
        path = f"/logs/exports/{identifier}"
        try:
            self._ask("POST", f"{path}/start")
        except ApiError as error:
            # Tried again, a start that had got through is refused: the state tells.
            if error.status not in (400, 409, 422) or self._state(path) == "draft":
                raise
        pause, started = _FIRST_POLL, self._clock()
        while (state := self._state(path)) != "success":
            if state in ("failed", "stopped"):
                raise _FailedError(f"Portkey says {state}")
            if self._clock() - started > _LONGEST_EXPORT:
                with suppress(UserError):
                    self._ask("POST", f"{path}/cancel")
                raise UserError(
                    f"Portkey did not finish the export of {window} in {_LONGEST_EXPORT / 60:,.0f} minutes.",
                    "Run it again later: what was loaded is kept.",
                )
            self._client.http.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL)

    def _state(self, path: str) -> str:
        state = _text(self._ask("GET", path), "status")
        if state not in ("draft", "in_progress", "success", "failed", "stopped"):
            raise UserError(f"Portkey gives an export the unknown status {state[:40]!r}.", "Report this as a bug.")
        return state

    def _download(self, identifier: str, target: Any) -> None:
        for tried in range(1, _TRIES + 1):
            url = _text(self._ask("GET", f"/logs/exports/{identifier}/download"), "signed_url")
            if urlsplit(url).scheme not in ("http", "https"):
                raise UserError("Portkey gave no web address for a finished export.", "Report this as a bug.")
            try:
                self._client.http.download(url, target)
                return
            except ApiError as error:
                # A signed URL does not live long.
                if error.status not in (400, 401, 403, 404, 410) or tried == _TRIES:
                    raise

    def _ask(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        is_first = path == "/logs/exports"
        try:
            return self._client.ask(EXPORT_LOGS, method, path, is_offered=not is_first, **options)
        except ApiError as error:
            if not (is_first and error.status in (400, 422)):
                raise
            said = error.said and f" It says: {error.said}"
            raise ApiError(
                f"Portkey refused ({error.status}): it can't make this export.{said}",
                "If fields are denied in the organisation's export settings, allow them; check `workspace_id` in"
                " [sources.portkey].",
                error.status,
                error.said,
            ) from None


class _FailedError(Exception):
    """An export that Portkey did not make."""


def _text(document: Mapping[str, Any], key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str) or not found:
        raise UserError(f"Portkey's answer has no {key}.", "Check base_url; if it is right, report this as a bug.")
    return found


def _number(document: Mapping[str, Any], key: str) -> int:
    found = document.get(key)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UserError(f"Portkey's answer has no {key}.", "Check base_url; if it is right, report this as a bug.")
    return found
