"""HTTP as API sources need it: tried again when that can help, bounded in time and memory, no secret in any message."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from json import JSONDecodeError
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import orjson
import requests

from llm_spend.errors import UserError
from llm_spend.log import redact

_CHUNK_BYTES = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAID_READ, _SAID_SHOWN = 1 << 16, 300
_LATER = "Run it again later: what was loaded is kept."
_CONNECTION = f"Check the network, a proxy, and the address. {_LATER}"

_T = TypeVar("_T")

# At its debug level it logs addresses, and a signed one is a key.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class ApiError(UserError):
    """A request that was refused or got no answer. `status` and `said`: of the answer, None and '' without one."""

    def __init__(self, problem: str, remedy: str = "", status: int | None = None, said: str = "") -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.said = said


@dataclass(frozen=True)
class Patience:
    """How long a request is waited for and how often it is tried; all times in seconds."""

    tries: int = 6
    first_wait: float = 1
    longest_wait: float = 300
    """A server that asks for a longer pause ends the run: the next one goes on where it stopped."""
    connect: float = 10
    read: float = 120

    def wait(self, tried: int) -> float:
        """The pause after a number of tries: longer each time, and not the same for all who wait."""
        return float(min(self.longest_wait, self.first_wait * 2 ** (tried - 1)) * random.uniform(0.75, 1.25))


class ApiClient:
    """Requests to one API. What `headers` hold is secret: it goes to `base_url` only and is shown nowhere."""

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str],
        *,
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
        largest_answer: int = 256 * 1024 * 1024,
    ) -> None:
        if urlsplit(base_url).scheme not in ("http", "https"):
            raise UserError(f"{redact(base_url)!r} is no address of {name}.", "It starts with https://.")
        self.name = name
        self.sleep = sleep
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._patience = patience
        self._largest_answer = largest_answer
        self._session = requests.Session()

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        has_money: bool = False,
    ) -> Any:
        """The JSON document that a request is answered with. Raises ApiError.

        `has_money`: its fractions are Decimals with every digit that was sent, which takes longer than floats.
        """
        read = _read_exactly if has_money else orjson.loads
        return self._tried(f"{method} {path}", lambda: read(self._answer(method, path, params, body)))

    def json_object(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        """Like `json`, of an answer that is an object. Raises ApiError, and UserError for another document."""
        found = self.json(method, path, **options)
        if not isinstance(found, Mapping):
            problem = f"{self.name} answered {method} {path} with something else than an object."
            raise UserError(problem, "Check base_url.")
        return found

    def download(self, url: str, target: BinaryIO) -> int:
        """Append what lies at a signed URL to a file; its size. No secret header goes there. Raises ApiError."""
        start = target.tell()

        def receive() -> int:
            target.seek(start)
            target.truncate()
            with self._sent("GET", url, {}) as response:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    target.write(chunk)
            return target.tell() - start

        return self._tried(f"GET {urlsplit(url).hostname or 'the signed address'}", receive)

    def _answer(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Mapping[str, Any] | None
    ) -> bytes:
        url = f"{self._base_url}{path}"
        options: dict[str, Any] = {"params": params, "allow_redirects": False}
        if body is not None:
            options["data"] = orjson.dumps(body)
        headers = {"Accept": "application/json", "Content-Type": "application/json", **self._headers}
        with self._sent(method, url, headers, **options) as response:
            return b"".join(self._bounded(response))

    def _bounded(self, response: requests.Response) -> Iterator[bytes]:
        size = 0
        for chunk in response.iter_content(_CHUNK_BYTES):
            size += len(chunk)
            if size > self._largest_answer:
                raise ApiError(
                    f"{self.name} answered with more than {self._largest_answer / 1e6:,.0f} MB at once.",
                    "Report this as a bug: smaller pages must be asked for.",
                )
            yield chunk

    @contextmanager
    def _sent(self, method: str, url: str, headers: Mapping[str, str], **options: Any) -> Iterator[requests.Response]:
        timeout = (self._patience.connect, self._patience.read)
        with self._session.request(
            method, url, headers=dict(headers), timeout=timeout, stream=True, **options
        ) as response:
            if not 200 <= response.status_code < 300:
                raise _RefusedError(response.status_code, self._said(response), response.headers.get("Retry-After"))
            yield response

    def _said(self, response: requests.Response) -> str:
        """What a refusal says, as far as it can be shown."""
        try:
            text = next(response.iter_content(_SAID_READ), b"").decode(errors="replace")
        except requests.RequestException:
            return ""
        for value in self._headers.values():
            # A scheme stands before some secrets, which are shown without it at times.
            for secret in (value, value.rpartition(" ")[2]):
                text = text.replace(secret, "***")
        return redact(" ".join(_message(text).split()))[:_SAID_SHOWN]

    def _tried(self, what: str, send: Callable[[], _T]) -> _T:
        """What `send` gives, tried again when it fails in a way that may pass."""
        tried = 0
        while True:
            tried += 1
            wait = self._patience.wait(tried)
            try:
                return send()
            except _RefusedError as refused:
                problem = ApiError(
                    f"{self.name} answered {refused.status} to {what}{refused.said and f': {refused.said}'}",
                    _remedy(refused.status),
                    refused.status,
                    refused.said,
                )
                if refused.status not in _PASSING:
                    raise problem from None
                wait = max(wait, _seconds(refused.retry_after))
            except JSONDecodeError:
                problem = ApiError(f"{self.name} answered {what} with what is not JSON: it may be cut off.", _LATER)
            except requests.RequestException as error:
                # Its text may hold the address, and that may be signed.
                problem = ApiError(f"{self.name} can't be reached for {what}: {_kind(error)}.", _CONNECTION)
            if wait > self._patience.longest_wait * 1.25:
                asked = ApiError(f"{self.name} asks to wait {wait:,.0f} seconds.", _LATER, problem.status)
                raise asked from None
            if tried >= self._patience.tries:
                raise problem from None
            self.sleep(wait)


def _read_exactly(content: bytes) -> Any:
    # Other encodings and constants that are no JSON raise the error that a broken document does.
    return json.loads(content.decode(errors="replace"), parse_float=Decimal, parse_constant=orjson.loads)


class _RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, said: str, retry_after: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.said = said
        self.retry_after = retry_after


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "Check the key and what it is allowed to do."
    return _LATER if status in _PASSING else "Check the address; if it is right, report this as a bug."


def _seconds(retry_after: str | None) -> float:
    """The pause that a header asks for, which is a number of seconds or a date; 0 when it is neither."""
    if not retry_after:
        return 0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _kind(error: requests.RequestException) -> str:
    match error:
        case requests.ConnectTimeout():
            return "it took too long to connect"
        case requests.Timeout():
            return "it did not answer in time"
        case requests.exceptions.SSLError():
            return "its certificate can't be trusted"
        case requests.exceptions.ProxyError():
            return "the proxy refused"
        case requests.exceptions.ChunkedEncodingError():
            return "the answer ended too early"
        case requests.ConnectionError():
            # A time-out while an answer is read comes as this.
            return "it did not answer in time" if "timed out" in str(error) else "no connection"
        case _:
            return type(error).__name__


def _message(text: str) -> str:
    """The message in an error document, or the text itself."""
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "" if text.lstrip().startswith("<") else text
    for _ in range(3):
        if isinstance(found, dict):
            found = next((found[key] for key in ("message", "error", "data", "detail") if found.get(key)), text)
    return found if isinstance(found, str) else text
