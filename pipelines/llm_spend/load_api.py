"""Loads what an API has to offer: its streams window by window, then its lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from llm_spend.destinations import Destination
from llm_spend.errors import UserError
from llm_spend.load import (
    LoadReport,
    Observer,
    count_rows,
    create_missing_tables,
    find_unnoted,
    note_unreadable,
    open_pipeline,
)
from llm_spend.readers.api.source import Listing, NotAllowedError, Stream, listing_url, window_url
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.files import LogFile, below_scheme
from llm_spend.readers.records import LogFormat
from llm_spend.readers.unknown import UnknownFields, keeping, new_fields, said_of, unknown_names
from llm_spend.schema import FILES_TABLE, REQUESTS
from llm_spend.sources import api_source
from llm_spend.sources.shared_tables import observed
from llm_spend.windows import LoadedWindow, Window, in_force, plan


def load_api(
    source: str,
    destination: Destination,
    *,
    instance: str | None = None,
    since: date | None = None,
    until: date | None = None,
    again: bool = False,
    keep_raw_text: bool = False,
    unknown_fields: UnknownFields = "numbers",
    observe: Observer = lambda message: None,
    now: datetime | None = None,
) -> LoadReport:
    """Load what an API has: of its streams what was not loaded yet and what may have changed since, and its lists.

    Each window is a load of its own, so a run that ends early keeps what it loaded. `since`: the first day that is
    wanted, that of the first load if not given; `until`: the last one, now if not given; `again`: also what was loaded
    of them. `unknown_fields`: what is kept of fields that no column is for. `now` is a naive UTC time.

    Raises UserError for a source without an API, without credentials, and when a window can't be had in full.
    """
    name = instance or "default"
    asked, started = api_source(source, name), monotonic()
    with (
        asked.open(name) as api,
        open_pipeline(destination) as pipeline,
        TemporaryDirectory(prefix="llm_spend_") as folder,
    ):
        create_missing_tables(pipeline, destination)
        at = now or datetime.now(UTC).replace(tzinfo=None)
        kept = (keep_raw_text, unknown_fields)
        load = _ApiLoad(source, name, destination, pipeline, api, Path(folder), at, *kept, observe)
        first = [*asked.streams, *asked.listings][0]
        for stream in asked.streams:
            with load.allowed(is_needed=stream is first):
                load.stream(stream, since, until, again=again)
        for listing in asked.listings:
            with load.allowed(is_needed=listing is first):
                load.listing(listing)
    return load.report(monotonic() - started)


@dataclass
class _ApiLoad:
    """One run of `load_api`: what it works with, and what it has done so far."""

    source: str
    instance: str
    destination: Destination
    pipeline: Any
    api: Any
    folder: Path
    now: datetime
    keep_raw_text: bool
    unknown_fields: UnknownFields
    observe: Observer
    rows: int = 0
    quarantined: int = 0
    windows: int = 0
    warnings: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    @contextmanager
    def allowed(self, *, is_needed: bool = False) -> Iterator[None]:
        """What the key or the plan does not allow is a warning, unless it is needed."""
        try:
            yield
        except NotAllowedError as error:
            if is_needed:
                raise
            self.warnings.append(f"{error.problem} {error.remedy}".strip())

    def stream(self, stream: Stream, since: date | None, until: date | None, *, again: bool) -> None:
        self._note_what_was_left(stream.format)
        loaded = in_force(self._loaded_windows(stream.name))
        first_day = since or min((each.window.start for each in loaded), default=self.now - stream.first).date()
        changed = {}
        if stream.changed and loaded:
            changed = dict(stream.changed(self.api, min(each.asked_at for each in loaded)))
        windows = plan(
            loaded,
            datetime.combine(first_day, time()),
            self.now,
            settle=stream.settle,
            look_back=stream.look_back,
            before=datetime.combine(until, time()) + timedelta(days=1) if until else datetime.max,
            again=again,
            whole_days=stream.whole_days,
            forgets=not stream.empty_replaces,
            changed=changed,
        )
        self.windows += len(windows)
        for number, window in enumerate(windows, start=1):
            self.observe(f"{self._name(stream.name)}: {window}, window {number} of {len(windows)}")
            url = window_url(self.source, self.instance, stream.name, window)
            spool = self._spooled(url, lambda spool, of=window: stream.fetch(self.api, of, spool), stream.format)  # type: ignore[misc]
            had_rows = any(old.size_bytes and window.contains(old.window) for old in loaded)
            if not spool.rows and had_rows and not (stream.empty_replaces and spool.is_proof):
                self.warnings.append(
                    f"{_of(stream.name)}{window}: there were rows, and now there are none. Kept as loaded: the log may"
                    " have forgotten them, or the key may see less than before."
                )
                continue
            file = LogFile(url, str(spool.path), spool.size, self.now, window)
            self._load(self._keeping(stream.format_of(window), spool, file), file, stream.name)

    def listing(self, listing: Listing) -> None:
        self.observe(f"{self._name(listing.name)}: asking")
        url = listing_url(self.source, self.instance, listing.name, "asked")
        spool = self._spooled(url, lambda spool: listing.fetch(self.api, spool), listing.format)
        url = listing_url(self.source, self.instance, listing.name, spool.digest())
        last = self._last_listing(listing.name)
        if last is None and not spool.rows:
            return
        if last and not spool.rows:
            self.warnings.append(f"{_of(listing.name)}there were rows, and now there are none. Kept as loaded.")
        elif last != url:
            path = spool.path.rename(spool.path.with_name(Path(url).name))
            file = LogFile(url, str(path), path.stat().st_size, self.now)
            self._load(self._keeping(observed(listing.format, self.now), spool, file), file, listing.name)

    def report(self, seconds: float) -> LoadReport:
        if self.unknown:
            self.warnings.append(said_of(self.unknown, self.unknown_fields))
        counts = (self.rows, self.quarantined, seconds, self.windows)
        return LoadReport(self.source, self.instance, 0, 0, *counts, tuple(dict.fromkeys(self.warnings)))

    def _name(self, entity: str) -> str:
        return f"{self.source} ({self.instance}), {entity}"

    def _spooled(self, url: str, fetch: Callable[[Spool], None], fmt: LogFormat) -> Spool:
        """What the API answers, in a file. Raises UserError."""
        try:
            with Spool(self.folder / below_scheme(url)) as spool:
                fetch(spool)
        except OSError as error:
            raise UserError(
                f"The answer of the API can't be kept in {self.folder}: {error.strerror}.",
                "Make room there, or name another folder in TMPDIR.",
            ) from None
        self.unknown.update(unknown_names(fmt, spool.names))
        self.warnings += spool.warnings
        return spool

    def _keeping(self, fmt: LogFormat, spool: Spool, file: LogFile) -> LogFormat:
        inside = new_fields(fmt, [file]).inside if fmt.inside else {}
        self.unknown.update(inside)
        return keeping(fmt, spool.names, self.unknown_fields, inside)

    def _load(self, fmt: LogFormat, file: LogFile, entity: str) -> None:
        """Load the rows of a file, and delete it."""
        from llm_spend.readers.resources import log_source

        info = self.pipeline.run(log_source(fmt, [file], self.instance, entity=entity))
        written, unreadable = count_rows(self.destination, fmt, info.loads_ids[0])
        if unreadable:
            unnoted = find_unnoted(self.destination, fmt, fmt.source, self.instance)
            note_unreadable(self.pipeline, fmt, fmt.source, self.instance, unnoted, [file], self.keep_raw_text)
        self.rows += written
        self.quarantined += unreadable
        Path(file.local_path).unlink()

    def _note_what_was_left(self, fmt: LogFormat) -> None:
        """Note what a run that was killed could not."""
        unnoted = find_unnoted(self.destination, fmt, self.source, self.instance)
        note_unreadable(self.pipeline, fmt, self.source, self.instance, unnoted, [], self.keep_raw_text)

    def _loaded_windows(self, entity: str) -> list[LoadedWindow]:
        """The windows that the API was asked for, in the order in which they were loaded."""
        found = self._files("window_start, window_end, modified_at, size_bytes", entity, "window_start is not null")
        return [LoadedWindow(Window(start, end), asked_at, size) for start, end, asked_at, size in found]

    def _last_listing(self, entity: str) -> str | None:
        """The place of a list that was loaded last."""
        found = self._files("path", entity, "window_start is null")
        return str(found[-1][0]) if found else None

    def _files(self, columns: str, entity: str, condition: str) -> list[tuple[Any, ...]]:
        raw = self.destination.schemas.raw
        query = (
            f"select {columns} from {raw}.{FILES_TABLE}"
            f" where source = %s and source_instance = %s and coalesce(entity, '{REQUESTS}') = %s and {condition}"
            f" and _dlt_load_id in (select load_id from {raw}._dlt_loads where status = 0) order by _dlt_load_id"
        )
        return self.destination.query(query, [self.source, self.instance, entity])


def _of(entity: str) -> str:
    return "" if entity == REQUESTS else f"{entity}: "
