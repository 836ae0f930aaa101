"""Where alerts go: services that apprise knows by their URL. A URL is a secret and never leaves this module."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import scrypt
from typing import Any, Literal

from pydantic import SecretStr

from llm_spend.errors import UserError

Urgency = Literal["info", "warning", "failure"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,19})://", re.IGNORECASE)
_TALKATIVE = ("apprise", "urllib3", "requests")
_HTTP_STATUS = re.compile(r"error=(\d{3})\b")


@dataclass(frozen=True)
class Target:
    """A service to send to. `id` tells it from others in the ledger; `label` is what people are shown."""

    id: str
    label: str
    _service: Any = field(repr=False, compare=False)

    def send(self, title: str, body: str, urgency: Urgency) -> str | None:
        """Send a message. None when the target took it, else what went wrong; it may have arrived all the same."""
        import apprise

        asset = apprise.AppriseAsset(app_id="llm-spend", app_desc="llm-spend", async_mode=False)
        sender = apprise.Apprise(asset=asset)
        sender.add(self._service)
        with _silenced() as heard:
            try:
                taken = sender.notify(
                    body=body,
                    title=title,
                    notify_type=apprise.NotifyType(urgency),
                    body_format=apprise.NotifyFormat.TEXT,
                )
            except Exception as error:  # of any of some hundred services; its text may hold the URL
                return type(error).__name__
        return None if taken else _reason(heard)


def targets(urls: Sequence[SecretStr], timeout_seconds: float) -> tuple[Target, ...]:
    """The targets of some URLs, each once. `timeout_seconds` holds for connecting and for each answer.

    Raises UserError when apprise is not installed or does not know a URL; the message tells which, not what it is.
    """
    if not urls:
        return ()
    try:
        import apprise
    except ImportError as error:
        raise UserError("Alerts need apprise.", "Install it: pip install 'llm-spend[alerts]'.") from error
    found: dict[str, Target] = {}
    for number, url in enumerate(urls, start=1):
        secret = url.get_secret_value().strip()
        with _silenced():
            service = apprise.Apprise.instantiate(secret)
        if service is None:
            raise UserError(
                f"Alert URL {number} of {len(urls)} is none that apprise can use.",
                "See docs/alerts.md for the forms; the URL itself is not shown, since it may hold a password.",
            )
        service.socket_connect_timeout = service.socket_read_timeout = timeout_seconds
        target_id = _id(secret)
        found[target_id] = Target(target_id, f"{_scheme(secret)} {target_id}", service)
    return tuple(found.values())


def _id(url: str) -> str:
    """A short hash, slow to calculate: a URL can hold a password, and a fast hash lets anybody try them out."""
    return scrypt(url.encode(), salt=b"llm-spend alert target", n=2**14, r=8, p=1, dklen=6).hex()


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else "target"


@contextmanager
def _silenced() -> Iterator[list[str]]:
    """Keep what apprise and its HTTP client log, which names hosts and paths, from everybody else."""
    heard: list[str] = []
    catcher = _Catcher(heard)
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [(each.handlers, each.propagate, each.level) for each in loggers]
    for each in loggers:
        each.handlers, each.propagate = [catcher], False
        each.setLevel(logging.WARNING)
    try:
        yield heard
    finally:
        for each, (handlers, propagate, level) in zip(loggers, before, strict=True):
            each.handlers, each.propagate = handlers, propagate
            each.setLevel(level)


class _Catcher(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


def _reason(heard: Sequence[str]) -> str:
    """What a log says without a secret: a status."""
    status = next((found[1] for line in heard if (found := _HTTP_STATUS.search(line))), None)
    return f"it answered with status {status}" if status else "no answer, or not the right one"
