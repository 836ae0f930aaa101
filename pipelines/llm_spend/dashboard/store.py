"""Where the numbers come from, and when to read them anew."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from llm_spend.answers.marts import Query, open_marts
from llm_spend.destinations import Destination, DuckDb, destination_of
from llm_spend.destinations.base import Row
from llm_spend.errors import UserError
from llm_spend.publish import Publication, PublishedFile
from llm_spend.settings import read_settings

_WAREHOUSE_SECONDS = 600
"""How long answers of a warehouse are kept: asking it costs money."""


@dataclass(frozen=True)
class Store:
    """A published file or a warehouse, in a state: answers are remembered as long as the state is the same."""

    dialect: str
    label: str
    state: str
    publication: Publication | None

    def ask(self, *queries: Query) -> list[list[Row]]:
        """The rows of each query, over one connection. Raises UserError when they can't be read."""
        return _answers(self.state, queries)


def open_store() -> Store:
    """The store as it is now. Raises UserError when the settings are wrong, or a file is none that was published."""
    destination = _destination()
    if not isinstance(destination, PublishedFile):
        slot = str(int(time.time() // _WAREHOUSE_SECONDS))
        return Store(destination.name, destination.label, slot, None)
    state = file_state(destination)
    publication = _publication(state)
    if publication is None:
        raise UserError(
            f"{destination.label} is no published file.", "Start the dashboard by the command `llm-spend dashboard`."
        )
    return Store(destination.name, destination.label, state, publication)


def file_state(file: DuckDb) -> str:
    """Which file is there: one that is published takes the place of the one before. Raises UserError for none."""
    try:
        found = file.database.stat()
    except FileNotFoundError as error:
        raise UserError(f"{file.label} is gone.", "Publish it again: `llm-spend publish`.") from error
    return f"{found.st_ino} {found.st_mtime_ns} {found.st_size}"


@st.cache_resource(show_spinner=False)
def _destination() -> Destination:
    settings = read_settings()
    if settings.destination == "duckdb":
        return PublishedFile(settings.database, settings.memory_limit)
    return destination_of(settings)


@st.cache_data(max_entries=1, show_spinner=False)
def _publication(state: str) -> Publication | None:
    destination = _destination()
    return destination.publication() if isinstance(destination, PublishedFile) else None


@st.cache_data(max_entries=500, show_spinner="Reading…")
def _answers(state: str, queries: tuple[Query, ...]) -> list[list[Row]]:
    tables = frozenset[str]().union(*(query.tables for query in queries))
    with open_marts(_destination(), tables) as marts:
        return [marts.ask(query) for query in queries]
