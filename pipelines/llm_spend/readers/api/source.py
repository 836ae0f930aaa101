"""What an API source has to offer: how it is opened, how a window of it becomes JSON lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from llm_spend.errors import UserError
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, quote, utc_timestamp
from llm_spend.windows import Window


class Api(Protocol):
    """An open connection to an API."""

    def fetch(self, window: Window, spool: Spool) -> None:
        """Write every row of a window into the spool. Rows outside of it do no harm. Raises UserError."""

    def check(self) -> str:
        """What can be reached with the key, in a few words. Raises UserError when it is not enough to load."""


@dataclass(frozen=True)
class ApiSource:
    """An API whose rows have a log format.

    `time_field`: the field of a row that says in which window it is. `settle`: how long rows are waited for before a
    window is asked for; `look_back`: how long they may still arrive or change. `first`: how far the first load goes
    back.
    """

    format: LogFormat
    open: Callable[[str], AbstractContextManager[Api]]
    time_field: str
    settle: timedelta = timedelta(minutes=15)
    look_back: timedelta = timedelta(hours=24)
    first: timedelta = timedelta(days=30)

    def format_of(self, window: Window) -> LogFormat:
        """The format of rows that are in a window; a row on its end belongs to the next one."""
        moment = utc_timestamp(field(self.time_field))
        start, end = (f"TIMESTAMP {quote(_text(each))}" for each in (window.start, window.end))
        return replace(self.format, keep=f"{moment} >= {start} AND {moment} < {end}")


def url_of(source: str, instance: str, window: Window) -> str:
    """What the raw table calls the place that rows of a window came from."""
    moments = "--".join(re.sub(r"[-:]", "", _text(each)).replace(" ", "T") + "Z" for each in (window.start, window.end))
    place = re.sub(r"[^\w.-]", "_", instance)
    return f"{source}-api://{place}/{moments}.jsonl"


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="milliseconds")


def configured(source: str, instance: str, name: str, *, is_secret: bool = False) -> str | None:
    """A value of dlt's configuration: of `[sources.<source>.<instance>]`, else of `[sources.<source>]`."""
    import dlt  # takes seconds: loads of files that find nothing new do without it

    place = dlt.secrets if is_secret else dlt.config
    own_section = re.sub(r"\W", "_", instance)
    for section in (f"{source}.{own_section}", source):
        if value := place.get(f"sources.{section}.{name}", str):
            return str(value).strip()
    return None


def secret(source: str, instance: str, name: str, what: str) -> str:
    """A secret of dlt's configuration. Raises UserError that says where to put it."""
    if found := configured(source, instance, name, is_secret=True):
        return found
    raise UserError(
        f"There is no {what}.",
        f"Give it as SOURCES__{source.upper()}__{name.upper()} in the environment, or as `{name}` in"
        f" [sources.{source}] of .dlt/secrets.toml.",
    )
