"""One writer at a time: DuckDB takes no second one, and two runs on a warehouse would load the same files twice.

The lock belongs to the operating system, which frees it when the last process of its holder is gone: a run that was
killed leaves nothing to clean up. The text in the file is for people only, it says who holds the lock.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from llm_spend.errors import UserError
from llm_spend.log import redact

if TYPE_CHECKING:
    from llm_spend.destinations import Destination

_log = logging.getLogger(__name__)

LOCK_FILE = "writer.lock"
_POLL_SECONDS = 0.25
_LONGEST_COMMAND = 100


class _Held(threading.local):
    """Descriptors of the locks that this thread holds, by lock file."""

    def __init__(self) -> None:
        self.descriptors: dict[Path, int] = {}


_held = _Held()


@contextmanager
def writing(destination: Destination, *, wait: timedelta | float) -> Iterator[None]:
    """Be the only writer of a destination, among the processes of this machine that share its `work_dir`.

    Waits up to `wait` (seconds, if a number) for another one to finish, and says so. A thread that has the lock
    already gets it again at once. Raises UserError, which names the holder, when it does not get it in that time.
    """
    path = destination.work_dir / LOCK_FILE
    if path in _held.descriptors:
        yield
        return
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    lock = _acquired(path, destination.label, seconds)
    try:
        yield
    finally:
        del _held.descriptors[path]
        lock.release()


def descriptors() -> tuple[int, ...]:
    """Of the locks that this thread holds: a child that writes inherits them, so that they outlive its parent."""
    return tuple(_held.descriptors.values())


def _acquired(path: Path, label: str, seconds: float) -> FileLock:
    def introduce(descriptor: int) -> None:
        os.write(descriptor, _who().encode(errors="replace"))
        _held.descriptors[path] = descriptor

    lock = FileLock(path, on_acquired=introduce)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if seconds <= 0:
                raise
            _log.info("%s is being written by %s: waiting up to %.0f s for it.", label, _holder(path), seconds)
            lock.acquire(timeout=seconds, poll_interval=_POLL_SECONDS)
    except Timeout:
        raise UserError(
            f"{label} is being written by {_holder(path)}.",
            "Try again when it has finished; lock_timeout_seconds says how long to wait for it.",
        ) from None
    except OSError as error:
        raise UserError(
            f"The lock {path} can't be had: {error.strerror}.", "It takes a folder where you may write."
        ) from error
    return lock


def _who() -> str:
    program, *arguments = sys.argv
    command = redact(shlex.join([Path(program).name, *arguments]))[:_LONGEST_COMMAND]
    return f"process {os.getpid()} ({command}) since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _holder(path: Path) -> str:
    """Who wrote that it has the lock. One that got it this very moment may not have written yet."""
    return path.read_text(encoding="utf-8", errors="replace") or "another process"
