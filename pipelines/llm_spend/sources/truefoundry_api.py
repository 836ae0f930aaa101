"""TrueFoundry's control plane: spans of model calls, usage as the gateway adds it up, members, limits and their use.

Facts (TrueFoundry's SDK and documentation): everything is asked of the control plane, not of the gateway. What a key
may not see is left out without a word: only a tenant admin's key sees all. Spans exist of requests that were logged.
Usage has rows of virtual models besides those of the models behind them: only the latter are asked for. A user of two
teams counts in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Page, Progress, by_token, list_pages, spool_pages
from llm_spend.readers.api.source import (
    ApiSource,
    Listing,
    NotAllowedError,
    Stream,
    configured,
    configured_list,
    secret,
)
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import amount, iso, number
from llm_spend.rules.limits import limit_rows
from llm_spend.schema import REQUESTS
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format, totals_format
from llm_spend.sources.truefoundry import ATTRIBUTES, METRIC, MODEL_SPAN, QUERIED_SPANS, UNREAD, UNREAD_METRIC
from llm_spend.sources.truefoundry_members import (
    period_usage_rows,
    rule_usage_rows,
    team_row,
    teams_of_members,
    user_row,
    virtual_account_row,
)
from llm_spend.windows import Window

SOURCE = "truefoundry"
SPANS_OF_PAGE = 200
MEMBERS_OF_PAGE = 100
MOST_COUNTERS = 500
"""A budget tells of the 500 that used most."""

_HOUR = timedelta(hours=1)
# Whether the ends of a query are part of it is not said: more is asked for, and every hour keeps its own.
_OVERLAP = timedelta(seconds=1)
_TEAMS = "/api/svc/v1/teams/user"
_RULE_CONFIGS = ("gateway-rate-limiting-config", "gateway-budget-config")
# By dimension: what usage is grouped by, and under which names its answer holds a member.
_DIMENSIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "model": ("modelName", ("modelName",)),
    "user": ("userEmail", ("createdBySubjectSlug", "userEmail")),
    "virtual_account": ("virtualaccount", ("createdBySubjectSlug", "virtualaccount")),
    "team": ("team", ("team",)),
}
_MEASURES = {"costInUSD": "sumCostInUSD", "inputTokens": "sumInputTokens", "outputTokens": "sumOutputTokens"}
_ONLY_ADMINS_SEE_ALL = (
    "Make a virtual account with the role of a tenant admin and take its token: TrueFoundry leaves out what a key may"
    " not see, and does not say so."
)


class TrueFoundry:
    """The control plane of one tenant. `place`: where its spans are kept, as the API wants to be told."""

    def __init__(self, client: ApiClient, key: str, place: Mapping[str, str], metadata_keys: Sequence[str] = ()):
        self._client = client
        self._key = key
        self._place = dict(place)
        self._metadata_keys = tuple(metadata_keys)
        self._told_of_gap = False
        self._known_teams: list[Any] | None = None

    def check(self) -> str:
        now = datetime.now(UTC).replace(tzinfo=None)
        day = Window(now - timedelta(days=1), now)
        spans = self._spans(day, None, limit=1)["data"]
        found = ["spans can be asked for"]
        if not spans and (requests := self._count(day)):
            found.append(f"there are none of the last day's {requests:,} requests: their logging may be off")
        found.append(self._whose_key())
        return ", ".join(found)

    def spans(self, window: Window, spool: Spool) -> None:
        """Write the model spans that began in a window, without what was asked and answered."""
        before = spool.rows
        for hour in hours(window):
            spool_pages(
                spool,
                lambda token, of=hour: self._kept(of, token),  # type: ignore[misc]
                by_token("pagination", "nextPageToken"),
                source=f"TrueFoundry's spans of {hour}",
            )
        self._tell_of_gap(window, spool, spool.rows - before)

    def totals(self, window: Window, spool: Spool) -> None:
        """Write what the gateway counted in a window: in all, and by each dimension."""
        dimensions = dict(_DIMENSIONS)
        for key in self._metadata_keys:
            dimensions[f"metadata:{key}"] = (f"metadata.{key}", (f"metadata.{key}", key))
        spool.add_rows([total_row(window, point) for point in self._usage(window)])
        for dimension, (group, names) in dimensions.items():
            points = self._usage(window, group)
            spool.add_rows([total_row(window, point, dimension, names) for point in points])

    def users(self, spool: Spool) -> None:
        self._needs_admin()
        teams_of = teams_of_members(team for team in self._teams() if isinstance(team, Mapping))
        self._spool_members(spool, "/api/svc/v1/users", lambda user: user_row(user, teams_of), showInvalidUsers="true")

    def teams(self, spool: Spool) -> None:
        spool.add_rows([team_row(team) for team in self._teams()])

    def virtual_accounts(self, spool: Spool) -> None:
        self._spool_members(spool, "/api/svc/v1/virtual-accounts", virtual_account_row)

    def limits(self, spool: Spool) -> None:
        """Write the rules of both configs, and every budget that is a limit of its own."""
        for kind in _RULE_CONFIGS:
            if manifest := _manifest(self._found(f"/api/svc/v1/llm-gateway/config/{kind}")):
                spool.add_rows(limit_rows({"type": kind, **manifest}))
        for budget in self._budgets():
            spool.add_rows(limit_rows({"type": budget.get("type"), "name": budget.get("name"), **_manifest(budget)}))

    def limit_usage(self, spool: Spool) -> None:
        """Write what counts against budgets now."""
        spool.add_rows(rule_usage_rows(self._found("/api/svc/v1/llm-gateway/config/budget/usage") or []))
        for budget in self._budgets():
            if identifier := budget.get("id"):
                path = f"/api/svc/v1/llm-gateway/budgets/{identifier}/leaderboard"
                usage = self._found(path, limit=MOST_COUNTERS)
                spool.add_rows(list(period_usage_rows(usage or {})))

    def _kept(self, hour: Window, token: str | None) -> Page:
        """A page of spans with those of an hour, as they are spooled."""
        around = Window(hour.start - _OVERLAP, hour.end + _OVERLAP)
        page = self._spans(around, token)
        return {**page, "data": [slim(span) for span in page["data"] if is_wanted(span, hour)]}

    def _spans(self, window: Window, token: str | None, limit: int = SPANS_OF_PAGE) -> Mapping[str, Any]:
        body = {
            **self._place,
            "startTime": iso(window.start),
            "endTime": iso(window.end),
            "limit": limit,
            "sortDirection": "asc",
            "filters": [{"spanAttributeKey": "tfy.span_type", "operator": "EQUAL", "value": MODEL_SPAN}],
            "includeFeedbacks": False,
        }
        page = self._ask("POST", "/api/svc/v1/spans/query", body={**body, "pageToken": token} if token else body)
        if not isinstance(page.get("data"), list):
            raise UserError("TrueFoundry's answer has no list of spans.", "Check base_url; it is the control plane's.")
        return page

    def _usage(self, window: Window, group: str | None = None) -> list[Mapping[str, Any]]:
        body = {
            "startTs": iso(window.start),
            "endTs": iso(window.end),
            "datasource": "modelMetrics",
            "type": "distribution",
            "aggregations": [
                {"type": "count", "column": "modelName"},
                *({"type": "sum", "column": column} for column in _MEASURES),
            ],
            "groupBy": [group] if group else [],
            # Without it, a call to a virtual model counts a second time.
            "filters": [{"fieldName": "virtualModelName", "operator": "IS_NULL", "value": True}],
        }
        try:
            found = self._ask("POST", "/api/svc/v1/llm-gateway/metrics/query", body=body)
        except ApiError as error:
            raise _not_allowed(error, "usage") or error from None
        points = found.get("data")
        points = points.get("dataPoints") if isinstance(points, Mapping) else points
        if not isinstance(points, list):
            raise UserError("TrueFoundry's answer has no list of usage.", "Report this as a bug.")
        return [point for point in points if isinstance(point, Mapping)]

    def _count(self, window: Window) -> int | None:
        """How many calls the gateway counted in a window; None when it does not tell."""
        try:
            return sum(int(number(_requests(point)) or 0) for point in self._usage(window))
        except UserError:
            return None

    def _tell_of_gap(self, window: Window, spool: Spool, spans: int) -> None:
        """Say once when the gateway counted more calls than there are spans."""
        if self._told_of_gap:
            return
        counted = self._count(window)
        # A control plane that does not answer is not asked in every window.
        self._told_of_gap = counted is None or counted > spans
        if counted is None or counted <= spans:
            return
        spool.warnings.append(
            f"TrueFoundry counted {counted:,} model calls in {window} and has spans of {spans:,}: the others were not"
            " logged, or the key may not see them. Costs of requests are a lower bound; `totals` has what was counted."
        )

    def _session(self) -> Mapping[str, Any]:
        try:
            return self._found("/api/svc/v1/x/users/info") or {}
        except NotAllowedError:
            return {}

    def _whose_key(self) -> str:
        session = self._session()
        name = session.get("subjectSlug") or session.get("email")
        if not name:
            return "whose key it is can't be told: it must be that of a tenant admin to see all"
        whose = f"the key is that of {session.get('subjectType') or 'user'} {name}"
        match _is_admin(session):
            case True:
                return f"{whose}, a tenant admin"
            case False:
                return f"{whose}, NOT a tenant admin: it sees its own requests and those of its teams only"
            case None:
                return f"{whose}: make sure that it is a tenant admin"

    def _needs_admin(self) -> None:
        session = self._session()
        if _is_admin(session) is False:
            raise NotAllowedError(
                f"The key of {session.get('subjectSlug')} sees its own requests and those of its teams only.",
                _ONLY_ADMINS_SEE_ALL,
            )

    def _teams(self) -> list[Any]:
        """Asked for once: users want to know theirs, too."""
        if self._known_teams is None:
            self._known_teams = list_pages(
                lambda offset: self._members_page(_TEAMS, offset or 0, {}),
                _following,
                source="TrueFoundry's teams/user",
                total_at=("pagination", "total"),
            )
        return self._known_teams

    def _spool_members(self, spool: Spool, path: str, shape: Any, **params: Any) -> None:
        def fetch(offset: int | None) -> Page:
            page = self._members_page(path, offset or 0, params)
            rows = page.get("data")
            return {**page, "data": [shape(row) for row in rows]} if isinstance(rows, list) else page

        what = f"TrueFoundry's {path.removeprefix('/api/svc/v1/')}"
        spool_pages(spool, fetch, _following, source=what, total_at=("pagination", "total"))

    def _members_page(self, path: str, offset: int, params: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self._found(path, limit=MEMBERS_OF_PAGE, offset=offset, **params)
        if not isinstance(found, Mapping):
            raise NotAllowedError(f"TrueFoundry has no {path}.", "Check base_url; it is the control plane's.")
        return found

    def _budgets(self) -> list[Mapping[str, Any]]:
        found = self._found("/api/svc/v1/llm-gateway/budgets") or {}
        return [each for each in found.get("data") or [] if isinstance(each, Mapping)]

    def _found(self, path: str, **params: Any) -> Any:
        """What a GET finds; None for what is not there. Raises NotAllowedError."""
        try:
            return self._client.json("GET", path, params=params or None)
        except ApiError as error:
            if error.status == 404:
                return None
            raise _not_allowed(error, path.removeprefix("/api/svc/v1/")) or self._explained(error) from None

    def _ask(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        try:
            return self._client.json_object(method, path, **options)
        except ApiError as error:
            raise self._explained(error) from None

    def _explained(self, error: ApiError) -> ApiError:
        """One sentence that says what to do about a refusal, without the key in it."""
        match error.status:
            case 401:
                problem, remedy = "the key is wrong or has expired", _ONLY_ADMINS_SEE_ALL
            case 403:
                problem, remedy = "the key may not ask for this", _ONLY_ADMINS_SEE_ALL
            case 404 | 405:
                problem = "there is no such thing at this address"
                remedy = "Check `base_url` in [sources.truefoundry]: it is the control plane's, not the gateway's."
            case _:
                return ApiError(self._safe(error.problem), error.remedy, error.status, self._safe(error.said))
        said = f" It says: {error.said}" if error.said else ""
        return ApiError(self._safe(f"TrueFoundry refused ({error.status}): {problem}.{said}"), remedy, error.status)

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "***")


def hours(window: Window) -> Iterator[Window]:
    """The hours of a window, the first and the last as far as they are in it."""
    start = window.start
    while start < window.end:
        end = min(start.replace(minute=0, second=0, microsecond=0) + _HOUR, window.end)
        yield Window(start, end)
        start = end


def is_wanted(span: Any, hour: Window) -> bool:
    """Whether a span is a model call of an hour. What can't be told is wanted: the reader says what is wrong."""
    if not isinstance(span, Mapping):
        return True
    attributes = span.get("spanAttributes")
    if isinstance(attributes, Mapping) and attributes.get("tfy.span_type", MODEL_SPAN) != MODEL_SPAN:
        return False
    try:
        moment = datetime.fromisoformat(str(span.get("timestamp")))
    except ValueError:
        return True
    if moment.tzinfo:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return hour.start <= moment < hour.end


def slim(span: Any) -> Any:
    """A span without what is not read of it: prompts and answers are among the attributes.

    A metric that is not known is a field of its own, so that the loader tells of it and keeps it.
    """
    if not isinstance(span, Mapping):
        return span
    kept = {key: value for key, value in span.items() if key not in UNREAD}
    if isinstance(attributes := span.get("spanAttributes"), Mapping):
        kept["spanAttributes"] = {name: attributes[name] for name in ATTRIBUTES if name in attributes}
        unknown = attributes.keys() - {*ATTRIBUTES, UNREAD_METRIC}
        kept |= {name: attributes[name] for name in sorted(unknown) if name.startswith(METRIC)}
    return kept


def total_row(
    window: Window, point: Mapping[str, Any], dimension: str = "all", names: Sequence[str] = ()
) -> dict[str, Any]:
    """What the gateway counted for a member of a dimension, as a row of `gateway__totals`."""
    # Under which name a metadata key comes back is not said: it is what is left.
    left = [key for key, value in point.items() if isinstance(value, str) and not key.endswith("imestamp")]
    name = next((name for name in (*names, *left) if name in point), None)
    return {
        "bucket_start": iso(window.start),
        "bucket_end": iso(window.end),
        "dimension": dimension,
        "member": None if dimension == "all" or name is None else point[name],
        "requests": _requests(point),
        "input_tokens": point.get("sumInputTokens"),
        "output_tokens": point.get("sumOutputTokens"),
        "cost_amount": amount(point.get("sumCostInUSD")),
        "cost_unit": "usd",
        "raw": dict(point),
    }


def _requests(point: Mapping[str, Any]) -> str | None:
    """`total` counts rows; older control planes count only what was asked for."""
    return amount(point.get("total", point.get("countModelName")))


def _is_admin(session: Mapping[str, Any]) -> bool | None:
    """None when it can't be told: roles of a virtual account may not be listed here."""
    roles = [str(role).lower() for role in session.get("roles") or []]
    if any(role in ("admin", "tenant-admin", "tenant_admin") for role in roles):
        return True
    return False if roles else None


def _manifest(config: Any) -> Mapping[str, Any]:
    """The manifest of a config, however deep the answer has it."""
    for key in ("data", "manifest"):
        if isinstance(config, Mapping) and isinstance(config.get(key), Mapping):
            config = config[key]
    return config if isinstance(config, Mapping) else {}


def _following(page: Page, progress: Progress) -> int | None:
    """The offset of the next page of members: there is one until all have come, or none comes any more."""
    total = (page.get("pagination") or {}).get("total")
    is_last = not progress.rows_of_page or (isinstance(total, int) and progress.rows >= total)
    return None if is_last else progress.rows


def _not_allowed(error: ApiError, what: str) -> NotAllowedError | None:
    if error.status not in (402, 403):
        return None
    return NotAllowedError(f"The key may not ask TrueFoundry for {what}.", _ONLY_ADMINS_SEE_ALL)


@contextmanager
def _opened(instance: str) -> Iterator[TrueFoundry]:
    key = secret(SOURCE, instance, "api_key", "token of TrueFoundry")
    address = configured(SOURCE, instance, "base_url")
    if not address:
        raise UserError(
            "There is no address of TrueFoundry's control plane.",
            "Give it as `base_url` in [sources.truefoundry] of .dlt/config.toml, such as https://acme.truefoundry.cloud.",
        )
    project = configured(SOURCE, instance, "tracing_project_fqn")
    destination = configured(SOURCE, instance, "data_routing_destination") or "default"
    place = {"tracingProjectFqn": project} if project else {"dataRoutingDestination": destination}
    keys = configured_list(SOURCE, instance, "totals_metadata_keys")
    with ApiClient("TrueFoundry", address, {"Authorization": f"Bearer {key}"}) as client:
        yield TrueFoundry(client, key, place, keys)


STREAMS = (
    Stream(REQUESTS, QUERIED_SPANS, "timestamp", TrueFoundry.spans),
    Stream("totals", totals_format(SOURCE), "bucket_start", TrueFoundry.totals, whole_days=True),
)
LISTINGS = (
    Listing("users", members_format(SOURCE), TrueFoundry.users),
    Listing("teams", members_format(SOURCE), TrueFoundry.teams),
    Listing("virtual_accounts", members_format(SOURCE), TrueFoundry.virtual_accounts),
    Listing("limits", limits_format(SOURCE), TrueFoundry.limits),
    Listing("limit_usage", limit_usage_format(SOURCE), TrueFoundry.limit_usage),
)


def api_source(instance: str) -> ApiSource:
    """What is asked of TrueFoundry for a tenant."""
    return ApiSource(SOURCE, _opened, STREAMS, LISTINGS)
