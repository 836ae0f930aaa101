"""A LiteLLM proxy: over its database when `database_url` is configured, else over its HTTP API.

Facts of the API: the spend log takes times in whole seconds and includes both; it counts to 10,000 rows and sorts by a
time that rows share, so pages may repeat some rows and lack others. A key that is not an administrator's gets its own
rows and no word about the rest. Totals of a day come in pages of the rows that they are made of.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import orjson

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Progress, list_pages
from llm_spend.readers.api.source import ApiSource, Listing, NotAllowedError, Stream, configured, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.schema import REQUESTS
from llm_spend.sources import litellm_lists as lists
from llm_spend.sources.expressions import PROMPT_HASH
from llm_spend.sources.litellm import SPEND_LOGS
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format, totals_format
from llm_spend.windows import Window

LOG_PATH = "/spend/logs/v2"
PAGE_SIZE, LIST_PAGE_SIZE = 1000, 100
MOST_COUNTED = 10_000
_TRIES = 3
_SECOND = timedelta(seconds=1)

_T = TypeVar("_T")

_BODIES = ("messages", "response", "proxy_server_request")
_NOT_NEEDED = (
    "requester_ip_address", "mcp_namespaced_tool_name", "agent_id", "billing_agent_id", "created_at",
)  # fmt: skip
_METADATA_NOT_NEEDED = (
    "error_information", "guardrail_information", "proxy_server_request", "vector_store_request_metadata",
    "mcp_tool_call_metadata", "model_map_information",
)  # fmt: skip
_ERROR_TEXTS = ("error_message", "traceback")

# By path of totals: the dimensions that are made of it, and where an answer has their members; None: all of it.
_TOTALS: Mapping[str, Mapping[str, str | None]] = {
    "/user/daily/activity": {"all": None, "user": "entities", "model": "models", "api_key": "api_keys"},
    "/team/daily/activity": {"team": "entities"},
}
_COUNTS: Mapping[str, str] = {
    "requests": "api_requests",
    "errors": "failed_requests",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "total_tokens": "total_tokens",
}
_OWNERS = (lists.KEY, lists.TEAM, lists.USER, lists.END_USER, lists.ORGANIZATION)


class _NotOfferedError(NotAllowedError):
    """The proxy does not know an address, or a way to ask for it."""


class LiteLLMProxy:
    """Asks one proxy. `clock` gives naive UTC times."""

    def __init__(
        self, client: ApiClient, clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None)
    ) -> None:
        self._client = client
        self._clock = clock
        self._sees_all = False
        self._lists: dict[str, list[lists.Row]] = {}

    def check(self) -> str:
        self._assert_sees_all()
        now = self._clock()
        found = self._log_page(Window(now - timedelta(days=1), now), 1, size=1)
        total = _whole(found, "total")
        return f"the spend log can be read, {'10,000 or more' if total >= MOST_COUNTED else total} calls in 24 hours"

    def fetch_requests(self, window: Window, spool: Spool) -> None:
        """Write the rows of the spend log that started in a window. Raises UserError when they are not all there."""
        self._assert_sees_all()
        waiting = [whole_seconds(window)]
        while waiting:
            part = waiting.pop()
            if not self._fetched(part, spool):
                waiting += reversed(_halves(part))

    def fetch_totals(self, window: Window, spool: Spool) -> None:
        """Write what the proxy itself added up for the day of a window. Raises NotAllowedError."""
        day = window.start.date().isoformat()
        for path, results in _allowed_of(_TOTALS, lambda path: self._activity(path, day), spool):
            for dimension, place in _TOTALS[path].items():
                spool.add_rows(totals_of_day(results, day, dimension, place))

    def fetch_members(self, spool: Spool) -> None:
        """Write the keys, teams, users and other members, deleted ones where the proxy lists them."""
        for owner, rows in _allowed_of(_OWNERS, self._owners, spool):
            spool.add_rows(list(lists.members(owner, rows)))
        for owner in (lists.KEY, lists.TEAM):
            with _warned(spool):
                spool.add_rows(list(lists.members(owner, self._deleted(owner), are_deleted=True)))

    def fetch_limits(self, spool: Spool) -> None:
        """Write the budgets and rate limits of all members."""
        spool.add_rows(lists.limit_rows(self._limits(spool)))

    def fetch_limit_usage(self, spool: Spool) -> None:
        """Write what the proxy has counted against its budgets."""
        spool.add_rows(lists.usage_rows(self._limits(spool)))

    def _limits(self, spool: Spool) -> list[lists.Limit]:
        budgets: list[lists.Row] = []
        with _warned(spool):
            budgets = self._listed("/budget/list")
        counters = lists.Counters.of(budgets)
        return [
            limit
            for owner, rows in _allowed_of(_OWNERS, self._owners, spool)
            for limit in lists.limits_of(owner, rows, counters, self._clock())
        ]

    def _assert_sees_all(self) -> None:
        """Raises UserError for a key that would get its own rows only: just administrators may list budgets."""
        if self._sees_all:
            return
        try:
            self._client.json("GET", "/budget/list")
        except ApiError as error:
            if error.status in (400, 403):
                raise NotAllowedError(
                    f"The key of LiteLLM is no administrator's, so it sees some of the calls only ({error.status}).",
                    "Give the master key, or a key of a user with the role proxy_admin_viewer.",
                ) from None
            if error.status != 404:
                raise _explained(error) from None
        self._sees_all = True

    def _fetched(self, part: Window, spool: Spool) -> bool:
        """Write the rows of a window of whole seconds; False when it must be halved for that."""
        can_be_halved = part.end - part.start > _SECOND
        for _ in range(1 if can_be_halved else _TRIES):
            rows, size = spool.rows, spool.size
            seen, announced = self._spool_pages(part, spool)
            if seen >= announced and not (can_be_halved and announced >= MOST_COUNTED):
                return True
            spool.taken_back(rows, size)
            if can_be_halved:
                return False
        raise UserError(
            f"The pages of LiteLLM's spend log are not complete: {announced:,} rows were announced for {part} and"
            f" {seen:,} came.",
            "Nothing of this window was loaded. Run it again; if that does not help, load from the database.",
        )

    def _spool_pages(self, part: Window, spool: Spool) -> tuple[int, int]:
        """Write the rows of all pages; how many different ones there were, and how many were announced."""
        seen: set[str] = set()
        number = 1
        while True:
            page = self._log_page(part, number)
            rows, announced = page["data"], _whole(page, "total")
            if announced >= MOST_COUNTED and part.end - part.start > _SECOND:
                return 0, announced
            new = [row for row in rows if str(row.get("request_id")) not in seen]
            seen.update(str(row.get("request_id")) for row in new)
            spool.add_rows([without_bodies(row) for row in new if is_within(row, part)])
            if not new or len(rows) < PAGE_SIZE or len(seen) == announced < MOST_COUNTED:
                return len(seen), announced
            number += 1

    def _log_page(self, part: Window, number: int, size: int | None = None) -> Mapping[str, Any]:
        parameters = {
            "start_date": f"{part.start:%Y-%m-%d %H:%M:%S}",
            "end_date": f"{part.end:%Y-%m-%d %H:%M:%S}",
            "page": number,
            "page_size": size or PAGE_SIZE,
            "sort_by": "startTime",
            "sort_order": "asc",
        }
        found = self._asked(LOG_PATH, parameters)
        if not isinstance(found, Mapping) or not isinstance(found.get("data"), list):
            raise UserError("LiteLLM answered with something else than a page of its spend log.", "Check `base_url`.")
        return found

    def _activity(self, path: str, day: str) -> list[Any]:
        """The totals of a day, of all pages. Raises UserError when a page comes for another one."""

        def fetch(number: int | None) -> Mapping[str, Any]:
            asked = number or 1
            found = self._allowed(path, {"start_date": day, "end_date": day, "page": asked, "page_size": PAGE_SIZE})
            about = found.get("metadata") if isinstance(found, Mapping) else None
            if not isinstance(found, Mapping) or not isinstance(about, Mapping):
                raise UserError(f"LiteLLM answered {path} with something else than totals.", "Check `base_url`.")
            # A page without a number is the only one, or nobody knows which.
            if (given := about.get("page", 1)) != asked:
                raise UserError(f"LiteLLM gave page {given} of {path} for page {asked}.", "Run it again.")
            return found

        def following(page: Mapping[str, Any], progress: Progress) -> int | None:
            if not page["metadata"].get("has_more"):
                return None
            if not progress.rows_of_page:
                raise UserError(
                    f"LiteLLM gave an empty page {progress.pages} of {path} that is not the last.", "Run it again."
                )
            return progress.pages + 1

        return list_pages(fetch, following, source=f"LiteLLM's {path}", rows_at=("results",))

    def _owners(self, owner: lists.Owner) -> list[lists.Row]:
        match owner:
            case lists.KEY:
                return self._paged("/key/list", "keys", owner, "total_count", size="size", return_full_object="true")
            case lists.TEAM:
                return self._paged("/v2/team/list", "teams", owner, "total", older="/team/list")
            case lists.USER:
                return self._paged("/user/list", "users", owner, "total")
            case lists.END_USER:
                return [_with_budget(row) for row in self._paged("/customer/list", None, owner)]
            case _:
                return self._listed("/organization/list")

    def _deleted(self, owner: lists.Owner) -> list[lists.Row]:
        """What was deleted; nothing of a proxy that does not list it."""
        try:
            if owner is lists.KEY:
                options = {"return_full_object": "true", "status": "deleted"}
                return self._paged("/key/list", "keys", owner, "total_count", size="size", **options)
            return self._paged("/v2/team/list", "teams", owner, "total", status="deleted")
        except _NotOfferedError:
            return []
        except ApiError as error:
            if error.status == 400:
                return []
            raise

    def _listed(self, path: str) -> list[lists.Row]:
        """A list that comes as a whole."""
        if path not in self._lists:
            found = self._allowed(path, {})
            if not isinstance(found, list):
                raise UserError(f"LiteLLM answered {path} with something else than a list.", "Check `base_url`.")
            self._lists[path] = [row for row in found if isinstance(row, Mapping)]
        return self._lists[path]

    def _paged(
        self,
        path: str,
        rows_at: str | None,
        owner: lists.Owner,
        total_at: str = "",
        *,
        size: str = "page_size",
        older: str = "",
        **options: str,
    ) -> list[lists.Row]:
        """A list that comes in pages. Raises UserError when it lacks rows that were announced."""
        known = f"{path} {sorted(options.items())}"
        if known in self._lists:
            return self._lists[known]
        rows: dict[str, lists.Row] = {}
        number = 1
        while True:
            try:
                found = self._allowed(path, {"page": number, size: LIST_PAGE_SIZE, **options})
            except _NotOfferedError:
                if not older:
                    raise
                return self._listed(older)
            page = found.get(rows_at) if rows_at and isinstance(found, Mapping) else found
            if not isinstance(page, list):
                raise UserError(f"LiteLLM answered {path} with something else than a list.", "Check `base_url`.")
            before = len(rows)
            rows |= {owner.identify(row): row for row in page if isinstance(row, Mapping)}
            total = found.get(total_at) if isinstance(found, Mapping) else None
            # Older proxies give everything at once, whatever page is asked for.
            if len(rows) == before or len(page) < LIST_PAGE_SIZE:
                break
            number += 1
        if isinstance(total, int) and len(rows) < total:
            raise UserError(
                f"The pages of LiteLLM's {path} are not complete: {total:,} rows were announced, {len(rows):,} came.",
                "Run it again: the list may have changed meanwhile.",
            )
        self._lists[known] = list(rows.values())
        return self._lists[known]

    def _allowed(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """An answer that a key may have no right to, and an older proxy not know. Raises NotAllowedError, ApiError."""
        try:
            return self._client.json("GET", path, params=parameters)
        except ApiError as error:
            if error.status in (404, 405, 422):
                raise _NotOfferedError(
                    f"This version of LiteLLM does not offer {path} ({error.status}).",
                    "What it would tell is left out: update the proxy, or load from its database, with `database_url`.",
                ) from None
            if error.status in (401, 403):
                raise NotAllowedError(
                    f"The key of LiteLLM may not ask for {path} ({error.status}).",
                    "Give a key of a user with the role proxy_admin_viewer.",
                ) from None
            raise

    def _asked(self, path: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return self._client.json("GET", path, params=parameters)
        except ApiError as error:
            raise _explained(error) from None


@contextmanager
def _warned(spool: Spool) -> Iterator[None]:
    """What is not allowed is a warning."""
    try:
        yield
    except NotAllowedError as error:
        spool.warnings.append(f"{error.problem} {error.remedy}")


def _allowed_of(parts: Iterable[_T], ask: Callable[[_T], list[Any]], spool: Spool) -> Iterator[tuple[_T, list[Any]]]:
    """What is answered to each part that is allowed; the others are warnings. Raises NotAllowedError when all are."""
    refused: list[NotAllowedError] = []
    is_any_allowed = False
    for part in parts:
        try:
            rows = ask(part)
        except NotAllowedError as error:
            refused.append(error)
            continue
        is_any_allowed = True
        yield part, rows
    if refused and not is_any_allowed:
        raise refused[0]
    spool.warnings += [f"{error.problem} {error.remedy}" for error in refused]


def whole_seconds(window: Window) -> Window:
    """The smallest window of whole seconds around another one."""
    start, end = window.start.replace(microsecond=0), window.end.replace(microsecond=0)
    return Window(start, end if end == window.end else end + _SECOND)


def _halves(window: Window) -> tuple[Window, Window]:
    middle = whole_seconds(Window(window.start, window.start + (window.end - window.start) / 2)).end
    return Window(window.start, middle), Window(middle, window.end)


def is_within(row: Mapping[str, Any], window: Window) -> bool:
    """Whether a row started in a window; one without a readable time is left to those who read it."""
    try:
        moment = datetime.fromisoformat(str(row.get("startTime")))
    except ValueError:
        return True
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return window.start <= moment < window.end


def without_bodies(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the spend log without prompts, answers, and what may repeat them."""
    kept = {name: value for name, value in row.items() if name not in (*_BODIES, *_NOT_NEEDED)}
    # A key that somebody made himself may repeat the prompt.
    if key := kept.pop("cache_key", None):
        hashed = re.search(PROMPT_HASH, str(key).strip().lower())
        kept["cache_key"] = hashed.group(2) if hashed else None
    metadata = kept.get("metadata")
    if isinstance(metadata, str):
        try:
            metadata = orjson.loads(metadata)
        except orjson.JSONDecodeError:
            metadata = None
    if not isinstance(metadata, dict):
        return {**kept, "metadata": None}
    error, guardrails = metadata.get("error_information"), metadata.get("guardrail_information")
    narrow = {name: value for name, value in metadata.items() if name not in _METADATA_NOT_NEEDED}
    if isinstance(error, dict):
        narrow["error_information"] = {name: value for name, value in error.items() if name not in _ERROR_TEXTS}
    statuses = [each.get("guardrail_status") for each in guardrails or [] if isinstance(each, dict)]
    narrow["guardrail_status"] = "guardrail_intervened" if "guardrail_intervened" in statuses else None
    return {**kept, "metadata": narrow}


def totals_of_day(
    results: Iterable[Mapping[str, Any]], day: str, dimension: str, place: str | None
) -> list[dict[str, Any]]:
    """Rows of `gateway__totals`: what the results of a day say of each member of a dimension, added up."""
    counts: dict[str | None, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    costs: dict[str | None, Decimal] = defaultdict(Decimal)
    for result in results:
        breakdown = (result.get("breakdown") or {}).get(place) or {} if place else {None: result}
        for member, values in breakdown.items():
            metrics = values.get("metrics") or {}
            costs[member] += Decimal(str(metrics.get("spend") or 0))
            for name, column in _COUNTS.items():
                counts[member][name] += metrics.get(column) or 0
    start = datetime.fromisoformat(day)
    return [
        {
            "bucket_start": f"{start.isoformat()}Z",
            "bucket_end": f"{(start + timedelta(days=1)).isoformat()}Z",
            "dimension": dimension,
            "member": member or None,
            **counts[member],
            "cost_amount": format(cost, "f"),
            "cost_unit": "usd",
        }
        for member, cost in costs.items()
    ]


def _with_budget(row: lists.Row) -> lists.Row:
    budget = row.get("litellm_budget_table")
    return {"budget_id": budget.get("budget_id"), **row} if isinstance(budget, Mapping) else row


def _whole(document: Mapping[str, Any], key: str) -> int:
    found = document.get(key)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UserError(f"LiteLLM's answer has no {key}.", "Check `base_url`; if it is right, report this as a bug.")
    return found


def _explained(error: ApiError) -> ApiError:
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401 | 403:
            reason, remedy = "the key is wrong or has no right", "Give the master key, or a key of an administrator."
        case 404:
            reason = "it has no such address"
            remedy = (
                "Check `base_url` of [sources.litellm]; older proxies have no /spend/logs/v2: load from their database,"
                " with `database_url`."
            )
        case _:
            return error
    return ApiError(f"LiteLLM refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


@contextmanager
def _opened(instance: str) -> Iterator[LiteLLMProxy]:
    address = configured("litellm", instance, "base_url")
    if not address:
        raise UserError(
            "There is no address of LiteLLM.",
            "Give `database_url`, or `base_url` and `api_key`, in [sources.litellm] of a .dlt file.",
        )
    key = secret("litellm", instance, "api_key", "API key of LiteLLM")
    with ApiClient("LiteLLM", address, {"Authorization": f"Bearer {key}"}) as client:
        yield LiteLLMProxy(client)


STREAMS = (
    Stream(REQUESTS, SPEND_LOGS, "startTime", LiteLLMProxy.fetch_requests),
    Stream("totals", totals_format("litellm"), "bucket_start", LiteLLMProxy.fetch_totals, whole_days=True),
)
LISTINGS = (
    Listing("members", members_format("litellm"), LiteLLMProxy.fetch_members),
    Listing("limits", limits_format("litellm"), LiteLLMProxy.fetch_limits),
    Listing("limit_usage", limit_usage_format("litellm"), LiteLLMProxy.fetch_limit_usage),
)
PROXY = ApiSource("litellm", _opened, STREAMS, LISTINGS)


def api_source(instance: str) -> ApiSource:
    """What is asked of a proxy: its database when that is configured, else its API."""
    if not configured("litellm", instance, "database_url", is_secret=True):
        return PROXY
    try:
        from llm_spend.sources.litellm_database import DATABASE
    except ImportError:
        raise UserError(
            "The driver of PostgreSQL is not installed.", "Install it with pip install 'llm-spend[litellm]'."
        ) from None
    return DATABASE
