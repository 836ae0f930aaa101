"""Load one source as it is configured: its files, or its API."""

from __future__ import annotations

from datetime import date
from itertools import chain

from llm_spend.destinations import Destination
from llm_spend.load import LoadReport, Observer, load_logs
from llm_spend.load_api import load_api
from llm_spend.readers.unknown import UnknownFields
from llm_spend.settings import SourceSettings
from llm_spend.sources import api_source, file_format
from llm_spend.sources.generic import read_mapping


def load_source(
    source: SourceSettings,
    destination: Destination,
    *,
    until: date | None = None,
    again: bool = False,
    keep_raw_text: bool = False,
    unknown_fields: UnknownFields = "numbers",
    observe: Observer = lambda message: None,
) -> LoadReport:
    """What is new of a source. `until` and `again` are for an API, see `load_api`. Raises UserError."""
    if source.path is None:
        return load_api(
            source.source,
            destination,
            instance=source.instance,
            since=source.since,
            until=until,
            again=again,
            keep_raw_text=keep_raw_text,
            unknown_fields=unknown_fields,
            observe=observe,
        )
    return load_logs(
        source.source,
        source.path,
        destination,
        instance=source.instance,
        mapping=read_mapping(source.mapping) if source.mapping else None,
        keep_raw_text=keep_raw_text,
        unknown_fields=unknown_fields,
        observe=observe,
    )


def raw_tables(source: SourceSettings) -> tuple[str, ...]:
    """The raw tables that a load of a source writes into, its own first. Raises UserError for an unknown source."""
    if source.path is None:
        asked = api_source(source.source, source.instance or "default")
        streams, listings = (each.format for each in asked.streams), (each.format for each in asked.listings)
        return tuple(dict.fromkeys(fmt.table for fmt in chain(streams, listings)))
    mapping = read_mapping(source.mapping) if source.mapping else None
    return (file_format(source.source, mapping).table,)
