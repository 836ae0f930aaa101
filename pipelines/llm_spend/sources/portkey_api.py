"""What Portkey's API is asked for: logs, what its analytics add up, members, limits and what counts against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import (
    ApiSource,
    NotAllowedError,
    Stream,
    configured,
    configured_flag,
    configured_list,
    secret,
)
from llm_spend.readers.api.spool import Spool
from llm_spend.schema import REQUESTS
from llm_spend.sources.portkey import LOGS
from llm_spend.sources.portkey_analytics import PortkeyAnalytics
from llm_spend.sources.portkey_client import PortkeyClient, Workspace
from llm_spend.sources.portkey_exports import PortkeyExports
from llm_spend.sources.portkey_feedback import PortkeyFeedback
from llm_spend.sources.portkey_lists import LISTINGS, PortkeyLists, key_kind
from llm_spend.sources.shared_tables import feedback_format, totals_format
from llm_spend.windows import Window

BASE_URL = "https://api.portkey.ai/v1"

_OF_A_USER = "workspace-user"
_OF_AN_ORGANISATION = "organisation-service"


class Portkey:
    """One workspace: that of the key, or the one that is configured. `has_logs`: whether its logs are asked for."""

    def __init__(
        self, client: PortkeyClient, key: str = "", metadata_keys: Sequence[str] = (), *, has_logs: bool = True
    ) -> None:
        self.exports = PortkeyExports(client)
        self.analytics = PortkeyAnalytics(client, metadata_keys)
        self.lists = PortkeyLists(client)
        self._feedback = PortkeyFeedback(self.exports, self.analytics)
        self._workspace = client.workspace
        self._key = key
        self._has_logs = has_logs
        self._compares = True

    def requests(self, window: Window, spool: Spool) -> None:
        """Write the logs of a window, and tell when the gateway counted more."""
        before = spool.rows
        self.exports.fetch(window, spool)
        self._compare(window, spool, spool.rows - before)

    def totals(self, window: Window, spool: Spool) -> None:
        """Write what the analytics of a day add up."""
        self.analytics.fetch(window, spool)

    def feedback(self, window: Window, spool: Spool) -> None:
        """Write the feedback that was given to the traces of a day."""
        self._feedback.fetch(window, spool)

    def check(self) -> str:
        found = [self.exports.check()] if self._has_logs else []
        try:
            found.append(self.analytics.check())
        except NotAllowedError as error:
            if not self._has_logs:
                raise
            found.append(error.problem)
        if doubt := self._doubt():
            found.append(doubt)
        return "; ".join(found)

    def _compare(self, window: Window, spool: Spool, rows: int) -> None:
        """A key that may not see all logs gets the others left out, and nothing says so: the counts do."""
        if not self._compares:
            return
        try:
            counted = self.analytics.requests(window)
        except UserError:
            self._compares = False
            return
        # Some arrive between the two questions.
        if counted > rows + rows // 100:
            self._compares = False
            spool.warnings.append(
                f"Portkey counted {counted:,} requests in {window} and exported {rows:,}: the key may see some logs"
                " only, or logs are gone after their retention. Take a service key; `totals` has what was counted."
            )

    def _doubt(self) -> str | None:
        """What the kind of the key keeps it from seeing, as far as Portkey tells."""
        try:
            kind = key_kind(self.lists.api_keys(), self._key)
        except UserError:
            return None
        if kind == _OF_A_USER:
            return "the key is a user's, and some logs may be left out: take a service key"
        if kind == _OF_AN_ORGANISATION and not self._workspace.slug:
            return "the key is the organisation's, and only its default workspace is read: give `workspace_id`"
        return None


REQUEST_LOGS = Stream(REQUESTS, LOGS, "created_at", Portkey.requests)
TOTALS = Stream("totals", totals_format("portkey"), "bucket_start", Portkey.totals, whole_days=True)
# Who rates an answer may do so days later.
FEEDBACK = Stream(
    "feedback",
    feedback_format("portkey"),
    "given_at",
    Portkey.feedback,
    look_back=(timedelta(days=1), timedelta(days=7)),
    whole_days=True,
)


@dataclass(frozen=True)
class _Settings:
    """What is configured for an instance."""

    has_logs: bool
    has_feedback: bool
    metadata_keys: tuple[str, ...]
    workspace: Workspace

    @classmethod
    def of(cls, instance: str) -> _Settings:
        has_logs = configured_flag("portkey", instance, "requests", default=True)
        has_feedback = configured_flag("portkey", instance, "feedback_by_trace")
        identifier = configured("portkey", instance, "workspace_id")
        slug = configured("portkey", instance, "workspace_slug") or identifier
        keys = configured_list("portkey", instance, "metadata_keys")
        return cls(has_logs, has_logs and has_feedback, keys, Workspace(identifier, slug))


@contextmanager
def _opened(instance: str) -> Iterator[Portkey]:
    key = secret("portkey", instance, "api_key", "API key of Portkey")
    settings = _Settings.of(instance)
    address = configured("portkey", instance, "base_url") or BASE_URL
    with ApiClient("Portkey", address, {"x-portkey-api-key": key}) as http:
        client = PortkeyClient(http, settings.workspace)
        yield Portkey(client, key, settings.metadata_keys, has_logs=settings.has_logs)


def api_source(instance: str) -> ApiSource:
    """What is asked of Portkey for a workspace; where the plan exports no logs, only what analytics add up."""
    settings = _Settings.of(instance)
    wanted = ((REQUEST_LOGS, settings.has_logs), (TOTALS, True), (FEEDBACK, settings.has_feedback))
    return ApiSource("portkey", _opened, tuple(stream for stream, is_wanted in wanted if is_wanted), LISTINGS)
