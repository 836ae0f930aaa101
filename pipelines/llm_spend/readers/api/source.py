"""What an API source has to offer: how it is opened, how a window of it becomes JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from llm_spend.errors import UserError
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, quote, utc_timestamp
from llm_spend.schema import REQUESTS
from llm_spend.windows import Window


class Api(Protocol):
    """An open connection to an API."""

    def check(self) -> str:
        """What can be reached with the key, in a few words. Raises UserError when it is not enough to load."""


class NotAllowedError(UserError):
    """The key or the plan does not allow one of the things that an API offers."""


def readable(asked: Mapping[str, Callable[[], Any]], said: Callable[[str, Any], str]) -> list[str]:
    """For `check`: of each thing that one can do without what is `said` of it, or why it can't be read."""
    found = []
    for name, ask in asked.items():
        try:
            found.append(said(name, ask()))
        except UserError as error:
            found.append(f"{name} can't be read: {error.problem}")
    return found


@dataclass(frozen=True)
class Stream:
    """Rows in time: asked for window by window.

    `fetch` writes every row of a window into the spool; rows outside of it do no harm. `time_field`: the field of a
    row that says in which window it is. `settle`: how long rows are waited for before a window is asked for;
    `look_back`: at which ages it is asked for again, since rows may still arrive or change. `first`: how far the first
    load goes back. `whole_days`: a window ends with its day. `empty_replaces`: of a source that forgets nothing, an
    answer without rows is proof that there are none any more, and no window is too old to be asked for again; of
    others, rows that were loaded before stay. `changed`: by UTC day, when a row of it was last changed, for days with a
    change since a moment; for a source that can tell.
    """

    name: str
    format: LogFormat
    time_field: str
    fetch: Callable[[Any, Window, Spool], None]
    settle: timedelta = timedelta(minutes=15)
    look_back: tuple[timedelta, ...] = (timedelta(hours=24),)
    first: timedelta = timedelta(days=30)
    whole_days: bool = False
    empty_replaces: bool = False
    changed: Callable[[Any, datetime], Mapping[date, datetime]] | None = None

    def format_of(self, window: Window) -> LogFormat:
        """The format of rows that are in a window; a row on its end belongs to the next one."""
        moment = utc_timestamp(field(self.time_field))
        start, end = (f"TIMESTAMP {quote(_text(each))}" for each in (window.start, window.end))
        is_inside = f"{moment} >= {start} AND {moment} < {end}"
        return _kept_if(is_inside, self.format)


@dataclass(frozen=True)
class Listing:
    """A list that is asked for as a whole, and loaded when it is not what was loaded last."""

    name: str
    format: LogFormat
    fetch: Callable[[Any, Spool], None]

    @classmethod
    def of_rows(cls, name: str, fmt: LogFormat, rows: Callable[[Any], Iterable[Any]]) -> Listing:
        """A list of the rows that `rows` makes of what the API tells."""
        return cls(name, fmt, lambda api, spool: _add(spool, rows(api)))


@dataclass(frozen=True)
class ApiSource:
    """What an API offers. Its first stream, or list if it has none, is needed; the others may be not allowed."""

    name: str
    open: Callable[[str], AbstractContextManager[Any]]
    streams: tuple[Stream, ...]
    listings: tuple[Listing, ...] = ()


def _kept_if(condition: str, fmt: LogFormat) -> LogFormat:
    """The format of those records for which a further condition holds."""
    keep = f"({fmt.keep}) AND {condition}" if fmt.keep else condition
    return replace(fmt, keep=keep, fuller=fmt.fuller and _kept_if(condition, fmt.fuller))


def _add(spool: Spool, rows: Iterable[Any]) -> None:
    spool.add_rows(list(rows))


def window_url(source: str, instance: str, entity: str, window: Window) -> str:
    """What the raw table calls the place that rows of a window came from."""
    moments = "--".join(re.sub(r"[-:]", "", _text(each)).replace(" ", "T") + "Z" for each in (window.start, window.end))
    return f"{_place(source, instance, entity)}/{moments}.jsonl"


def listing_url(source: str, instance: str, entity: str, digest: str) -> str:
    """What the raw table calls the place that a list with this content came from."""
    return f"{_place(source, instance, entity)}/{digest}.jsonl"


def _place(source: str, instance: str, entity: str) -> str:
    place = re.sub(r"[^\w.-]", "_", instance)
    return f"{source}-api://{place}" if entity == REQUESTS else f"{source}-api://{place}/{entity}"


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="milliseconds")


def configured(source: str, instance: str, name: str, *, is_secret: bool = False) -> str | None:
    """A value of dlt's configuration: of `[sources.<source>.<instance>]`, else of `[sources.<source>]`."""
    value = _value(source, instance, name, str, is_secret=is_secret)
    return None if value is None else str(value).strip()


def configured_choice(source: str, instance: str, name: str, values: Sequence[str]) -> str | None:
    """One of some words of dlt's configuration, in lower case; None if it is not given. Raises UserError for others."""
    said = configured(source, instance, name)
    if said is not None and said.lower() not in values:
        raise UserError(f"`{name}` in [sources.{source}] is {said!r}.", f"It is one of: {', '.join(values)}.")
    return said and said.lower()


def configured_flag(source: str, instance: str, name: str, *, default: bool = False) -> bool:
    """Whether something is switched on in dlt's configuration. Raises UserError for anything but true and false."""
    said = configured_choice(source, instance, name, ("true", "false"))
    return default if said is None else said == "true"


def configured_list(source: str, instance: str, name: str) -> tuple[str, ...]:
    """Names of dlt's configuration: a list of a TOML file, or a text that is a JSON list or has commas between names.

    Each name once, without blank ones. Raises UserError for anything else.
    """
    value = _value(source, instance, name)
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text) if text[:1] in ("[", "{") else text.split(",")
        except json.JSONDecodeError:
            value = text
    names = [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise UserError(
            f"`{name}` in [sources.{source}] is no list of names: {value!r}.",
            f'Write {name} = ["one", "two"] in .dlt/config.toml, or names with commas between them in'
            f" SOURCES__{source.upper()}__{name.upper()}.",
        )
    return tuple(dict.fromkeys(each.strip() for each in names if each.strip()))


def _value(source: str, instance: str, name: str, kind: type[Any] | None = None, *, is_secret: bool = False) -> Any:
    import dlt  # takes seconds: loads of files that find nothing new do without it

    place = dlt.secrets if is_secret else dlt.config
    own_section = re.sub(r"\W", "_", instance)
    for section in (f"{source}.{own_section}", source):
        value: Any = place.get(f"sources.{section}.{name}", kind)  # type: ignore[arg-type]
        if value:
            return value
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
