"""What a page gets: the store, the filters, and the days that there are."""

from __future__ import annotations

from dataclasses import dataclass

from llm_spend.answers.known import Known
from llm_spend.answers.marts import Query
from llm_spend.dashboard.filters import DIMENSIONS, Days, Filters
from llm_spend.dashboard.store import Store
from llm_spend.destinations.base import Row


@dataclass(frozen=True)
class View:
    """`extent`: from the first to the last day with usage; `known`: up to when it is known."""

    store: Store
    filters: Filters
    extent: Days
    known: Known

    @property
    def dialect(self) -> str:
        """Of the place that is asked."""
        return self.store.dialect

    def ask(self, *queries: Query) -> list[list[Row]]:
        """The rows of each query."""
        return self.store.ask(*queries)

    def in_words(self) -> str:
        """What the numbers of a page are of."""
        days, filters = self.filters.days, self.filters
        said = [f"{days.first} to {days.last}, UTC"]
        said += [f"{DIMENSIONS[name].lower()} {' or '.join(values)}" for name, values in filters.members]
        if filters.tag_key and filters.tag_values:
            said.append(f"tag {filters.tag_key} {' or '.join(filters.tag_values)}")
        return "; ".join(said)
