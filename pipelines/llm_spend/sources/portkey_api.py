"""Portkey's Logs Export API: a window is exported, waited for and downloaded as JSON lines.

Facts (Portkey OpenAPI): an export has 50,000 rows at most, so a window with more is halved; its result lies at a signed
URL, which is a key and is neither kept nor shown. Neither says whether the ends of a window are included: we ask for a
millisecond more and let the reader decide. An export has no cache status, no API key and no workspace; bodies are
never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.source import ApiSource, Stream, configured, secret
from llm_spend.readers.api.spool import CutOffError, Spool
from llm_spend.schema import REQUESTS
from llm_spend.sources.portkey import LOGS
from llm_spend.windows import Window

BASE_URL = "https://api.portkey.ai/v1"
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

_TRIES = 3
_FIRST_POLL, _LONGEST_POLL = 1.0, 15.0
_LONGEST_EXPORT = 1800.0
_KEY_REFUSED = "the key is wrong or was withdrawn"
_NO_RIGHT = "the key lacks the permission to export logs"
_NO_PLAN = "logs can't be exported here"
_PLAN_WORDS = ("plan", "upgrade", "enterprise", "subscription")


class PortkeyExports:
    """Exports of one workspace: the one of the key, or `workspace_id` for a key of the organisation."""

    def __init__(self, client: ApiClient, workspace_id: str | None = None, clock: Callable[[], float] = monotonic):
        self._client = client
        self._workspace = {"workspace_id": workspace_id} if workspace_id else {}
        self._clock = clock

    def check(self) -> str:
        found = self._ask("GET", "/logs/exports", params=self._workspace)
        return f"logs can be exported, {found.get('total', 0)} exports until now"

    def fetch(self, window: Window, spool: Spool) -> None:
        waiting = [window]
        while waiting:
            part = waiting.pop()
            if not self._fetched(part, spool):
                halves = part.halves()
                if not halves:
                    raise UserError(
                        f"Portkey has {MOST_ROWS:,} logs or more in the window {part}, which can't be halved.",
                        "Report this as a bug: the time filter may have been ignored.",
                    )
                waiting += reversed(halves)

    def _fetched(self, window: Window, spool: Spool) -> bool:
        """Write the rows of a window, if one export can hold them all."""
        for tried in range(1, _TRIES + 1):
            rows, size = spool.rows, spool.size
            try:
                export = self._ask("POST", "/logs/exports", body=self._wanted(window))
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

    def _wanted(self, window: Window) -> dict[str, Any]:
        filters = {
            "time_of_generation_min": _iso(window.start - timedelta(milliseconds=1)),
            "time_of_generation_max": _iso(window.end),
            "page_size": MOST_ROWS,
        }
        return {**self._workspace, "filters": filters, "requested_data": list(FIELDS)}

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
            self._client.sleep(pause)
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
                self._client.download(url, target)
                return
            except ApiError as error:
                # A signed URL does not live long.
                if error.status not in (400, 401, 403, 404, 410) or tried == _TRIES:
                    raise

    def _ask(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        try:
            found = self._client.json(method, path, **options)
        except ApiError as error:
            raise _explained(error, method, path) from None
        if not isinstance(found, Mapping):
            raise UserError(f"Portkey answered {method} {path} with something else than an object.", "Check base_url.")
        return found


class _FailedError(Exception):
    """An export that Portkey did not make."""


def _explained(error: ApiError, method: str, path: str) -> ApiError:
    """One sentence that says what to do about a refusal."""
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason = _KEY_REFUSED
            remedy = (
                "Make a service key with the permission to export logs (`logs.export`) in Portkey, and give it anew."
            )
        case 403 if not _is_about_plan(error.said):
            reason = _NO_RIGHT
            remedy = (
                "Give the key the permission `logs.export` (Portkey: API Keys, Logs, Export). Take a service key: a"
                " user's key may see some logs only."
            )
        case 402 | 403:
            reason = _NO_PLAN
            remedy = (
                "Portkey exports logs on Enterprise plans only. Ask Portkey for it, or load exports or the log store"
                " with --path."
            )
        case 404 | 405 if (method, path) in (("POST", "/logs/exports"), ("GET", "/logs/exports")):
            reason = _NO_PLAN
            remedy = (
                "The plan may lack log exports (Enterprise has them); a self-hosted gateway needs the Data Service and"
                " the address of its control plane as `base_url` in [sources.portkey]."
            )
        case 400 | 422 if method == "POST" and path == "/logs/exports":
            reason = "it can't make this export"
            remedy = (
                "If fields are denied in the organisation's export settings, allow them; check `workspace_id` in"
                " [sources.portkey]."
            )
        case _:
            return error
    return ApiError(f"Portkey refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def _is_about_plan(said: str) -> bool:
    return any(word in said.lower() for word in _PLAN_WORDS)


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


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}Z"


@contextmanager
def _opened(instance: str) -> Iterator[PortkeyExports]:
    key = secret("portkey", instance, "api_key", "API key of Portkey")
    address = configured("portkey", instance, "base_url") or BASE_URL
    with ApiClient("Portkey", address, {"x-portkey-api-key": key}) as client:
        yield PortkeyExports(client, configured("portkey", instance, "workspace_id"))


REQUEST_LOGS = Stream(REQUESTS, LOGS, "created_at", PortkeyExports.fetch)


def api_source(instance: str) -> ApiSource:
    """What is asked of Portkey for a workspace."""
    return ApiSource("portkey", _opened, (REQUEST_LOGS,))
