"""What all assets share: where the tables live, and how a step of Dagster behaves there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from llm_spend.destinations import Destination, destination_of
from llm_spend.errors import UserError
from llm_spend.lock import writing
from llm_spend.log import redact
from llm_spend.settings import Settings

POOL = "llm_spend_writer"
"""One step at a time: see dagster.yaml. Without that limit a second step waits for the lock of the first."""

RETRIES = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL)

# Once a day; the next run may take its time.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))


@dataclass(frozen=True)
class Place:
    """The settings of the command, and the destination that they name."""

    settings: Settings

    @property
    def destination(self) -> Destination:
        """A new one: nothing of a step shall outlive it."""
        return destination_of(self.settings)

    def writing(self) -> AbstractContextManager[None]:
        """The right to write, as every command has it."""
        return writing(self.destination, wait=self.settings.lock_timeout_seconds)


@contextmanager
def told() -> Iterator[None]:
    """What a user can act on fails a step with its two lines, not with a stack trace."""
    try:
        yield
    except UserError as error:
        raise dg.Failure(redact(f"{error.problem} {error.remedy}".strip())) from None
