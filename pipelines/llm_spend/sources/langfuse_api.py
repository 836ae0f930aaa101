"""Langfuse's public API: observations, scores and daily totals of one project.

Facts (Langfuse OpenAPI): only the field groups that are asked for come, and without `usage` there are neither tokens
nor costs; inputs and outputs are a group of their own, never asked for. An observation is asked for by its type, one
at a time. Cursors lead from page to page. On Langfuse Cloud and from version 4 on the endpoints of v1 are gone; servers
before that have nothing else. v1 has numbered pages, and no user.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.pages import Page, by_number, by_token, spool_pages
from llm_spend.readers.api.source import ApiSource, NotAllowedError, Stream, configured, configured_list, secret
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.api.values import iso
from llm_spend.schema import REQUESTS
from llm_spend.sources.langfuse import METADATA_CUT, OBSERVATIONS, TYPES
from llm_spend.sources.shared_tables import feedback_format, totals_format
from llm_spend.windows import Window

BASE_URL = "https://cloud.langfuse.com"
GROUPS = "core,basic,time,metadata,model,usage,prompt,trace_context"
PAGE_SIZE, V1_PAGE_SIZE, SCORES_PAGE_SIZE = 1000, 100, 100
MOST_MODELS = 1000
CUT_AT = 200

_V2, _V1 = "/api/public/v2/observations", "/api/public/observations"
_SCORES, _METRICS = "/api/public/v3/scores", "/api/public/v2/metrics"
_GONE = (404, 405, 410)

# By field of the API its name in an export. Of fields that have none here, those below are known and left out.
_NAMES = {
    "id": "id",
    "traceId": "trace_id",
    "type": "type",
    "name": "name",
    "startTime": "start_time",
    "endTime": "end_time",
    "completionStartTime": "completion_start_time",
    "updatedAt": "updated_at",
    "level": "level",
    "statusMessage": "status_message",
    "version": "version",
    "environment": "environment",
    "userId": "user_id",
    "metadata": "metadata",
    "model": "provided_model_name",
    "providedModelName": "provided_model_name",
    "modelParameters": "model_parameters",
    "usageDetails": "usage_details",
    "costDetails": "cost_details",
    "totalCost": "total_cost",
    "promptId": "prompt_id",
    "promptName": "prompt_name",
    "promptVersion": "prompt_version",
    "tags": "tags",
    "release": "release",
    "traceName": "trace_name",
}
_LEFT_OUT = frozenset(
    {
        *("input", "output", "projectId", "parentObservationId", "isRootObservation", "bookmarked", "public"),
        *("sessionId", "createdAt", "internalModelId", "modelId", "usagePricingTierName", "usagePricingTierId"),
        *("inputPrice", "outputPrice", "totalPrice", "latency", "timeToFirstToken", "usage", "unit"),
        *("inputUsage", "outputUsage", "totalUsage", "inputCost", "outputCost", "promptTokens", "completionTokens"),
        *("totalTokens", "calculatedInputCost", "calculatedOutputCost", "calculatedTotalCost"),
        *("toolCalls", "toolCallNames", "toolDefinitions"),
    }
)
_SCORE_KEPT = ("id", "name", "dataType", "source", "value", "environment", "configId")
_MEASURES = {
    "requests": ("count", "count"),
    "input_tokens": ("inputTokens", "sum"),
    "output_tokens": ("outputTokens", "sum"),
    "total_tokens": ("totalTokens", "sum"),
    "cost_amount": ("totalCost", "sum"),
}


class Langfuse:
    """The API of one project. `expanded`: metadata keys that are wanted in full. `score_names`: none for all."""

    def __init__(
        self,
        client: ApiClient,
        version: str = "v2",
        expanded: tuple[str, ...] = (),
        score_names: tuple[str, ...] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None),
    ) -> None:
        self._client = client
        self._version = version
        self._expanded = expanded
        self._score_names = score_names
        self._now = now

    def check(self) -> str:
        window = Window(self._now() - timedelta(days=1), self._now())
        self._ask(_V1 if self._version == "v1" else _V2, {**_between(window), "limit": 1})
        return f"observations can be read ({self._version})"

    def observations(self, window: Window, spool: Spool) -> None:
        for kind in TYPES:
            if self._version == "v1":
                self._numbered(kind, window, spool)
            else:
                self._by_cursor(kind, window, spool)

    def scores(self, window: Window, spool: Spool) -> None:
        wanted = {
            "fromTimestamp": iso(window.start),
            "toTimestamp": iso(window.end),
            # The others are words, and may be what somebody wrote.
            "dataType": "NUMERIC,BOOLEAN",
            "fields": "subject",
            "limit": SCORES_PAGE_SIZE,
            **({"name": ",".join(self._score_names)} if self._score_names else {}),
        }

        def fetch(cursor: Any) -> Page:
            page = self._ask(_SCORES, wanted | ({"cursor": cursor} if cursor else {}))
            return _shaped(page, feedback_row)

        spool_pages(spool, fetch, by_token("meta", "cursor"), source="Langfuse's scores")

    def totals(self, window: Window, spool: Spool) -> None:
        for dimension in ("all", "model"):
            query = orjson.dumps(totals_query(dimension, window)).decode()
            found = self._ask(_METRICS, {"query": query}).get("data")
            if not isinstance(found, list):
                raise UserError("Langfuse's answer to a question for totals has no data.", "Report this as a bug.")
            if len(found) >= MOST_MODELS:
                raise UserError(
                    f"Langfuse has {MOST_MODELS:,} names of models or more in {window}, and does not tell all of them.",
                    "The name of a model should not hold what differs from call to call.",
                )
            spool.add_rows([totals_row(row, dimension, window) for row in found])

    def _by_cursor(self, kind: str, window: Window, spool: Spool) -> None:
        wanted = {**_between(window), "type": kind, "fields": GROUPS, "limit": PAGE_SIZE}
        if self._expanded:
            wanted["expandMetadata"] = ",".join(self._expanded)

        def fetch(cursor: Any) -> Page:
            page = self._ask(_V2, wanted | ({"cursor": cursor} if cursor else {}))
            return _shaped(page, lambda row: with_cut_keys(as_exported(row), self._expanded))

        spool_pages(spool, fetch, by_token("meta", "cursor"), source="Langfuse's observations")

    def _numbered(self, kind: str, window: Window, spool: Spool) -> None:
        def fetch(number: Any) -> Page:
            wanted = {**_between(window), "type": kind, "limit": V1_PAGE_SIZE, "page": number or 1}
            return _shaped(self._ask(_V1, wanted), as_exported)

        total = ("meta", "totalItems")
        paging = by_number(V1_PAGE_SIZE, first=1, total_at=total)
        spool_pages(spool, fetch, paging, source="Langfuse's observations (v1)", total_at=total)

    def _ask(self, path: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._client.json_object("GET", path, params=params)
        except ApiError as error:
            raise _explained(error, path) from None


def as_exported(row: Mapping[str, Any]) -> dict[str, Any]:
    """An observation of the API, v2 or v1, as the blob storage export has it."""
    shaped = {_NAMES.get(name, name): value for name, value in row.items() if name not in _LEFT_OUT}
    if not shaped.get("usage_details") and (usage := _legacy_usage(row.get("usage"))):
        shaped["usage_details"] = usage
    costs = shaped.get("cost_details")
    if "total_cost" not in shaped and (cost := _legacy_cost(row, costs if isinstance(costs, Mapping) else {})):
        shaped["total_cost"] = cost
    return shaped


def _legacy_usage(usage: Any) -> dict[str, Any]:
    """Buckets from the usage object of v1, when it counts tokens."""
    if not isinstance(usage, Mapping) or usage.get("unit") not in ("TOKENS", None):
        return {}
    return {name: usage[name] for name in ("input", "output", "total") if usage.get(name)}


def _legacy_cost(row: Mapping[str, Any], costs: Mapping[str, Any]) -> Any:
    return costs.get("total") or row.get("calculatedTotalCost")


def with_cut_keys(row: dict[str, Any], expanded: tuple[str, ...]) -> dict[str, Any]:
    """The row, with the keys of its metadata whose values may have been cut off noted in it."""
    metadata = row.get("metadata")
    if not isinstance(metadata, dict):
        return row
    cut = [
        name
        for name, value in metadata.items()
        if isinstance(value, str) and len(value) >= CUT_AT and name not in expanded
    ]
    return {**row, "metadata": {**metadata, METADATA_CUT: ", ".join(sorted(cut))}} if cut else row


def feedback_row(score: Mapping[str, Any]) -> dict[str, Any]:
    """A score as a row of gateway__feedback."""
    subject, value = score.get("subject"), score.get("value")
    subject = subject if isinstance(subject, Mapping) else {}
    kind, identifier = subject.get("kind"), subject.get("id")
    return {
        "given_at": score.get("timestamp"),
        "record_id": identifier if kind == "observation" else None,
        "trace_id": identifier if kind == "trace" else subject.get("traceId"),
        "value": int(value) if isinstance(value, bool) else value if isinstance(value, int | float) else None,
        "weight": None,
        "raw": {name: score[name] for name in _SCORE_KEPT if score.get(name) is not None},
    }


def totals_row(row: Mapping[str, Any], dimension: str, window: Window) -> dict[str, Any]:
    """What Langfuse added up for all or one model on a day, as a row of gateway__totals."""
    return {
        "bucket_start": iso(window.start),
        "bucket_end": iso(window.end),
        "dimension": dimension,
        "member": row.get("providedModelName"),
        **{name: row.get(f"{how}_{measure}") for name, (measure, how) in _MEASURES.items()},
        "cost_unit": "usd",
        "raw": dict(row),
    }


def totals_query(dimension: str, window: Window) -> dict[str, Any]:
    """The question for what Langfuse adds up of a day: over all calls, or by model."""
    kinds = {"column": "type", "operator": "any of", "value": list(TYPES), "type": "stringOptions"}
    return {
        "view": "observations",
        "dimensions": [{"field": "providedModelName"}] if dimension == "model" else [],
        "metrics": [{"measure": measure, "aggregation": how} for measure, how in _MEASURES.values()],
        "filters": [kinds],
        "fromTimestamp": iso(window.start),
        "toTimestamp": iso(window.end),
        "config": {"row_limit": MOST_MODELS},
    }


def _shaped(page: Mapping[str, Any], shape: Callable[[Mapping[str, Any]], Any]) -> Page:
    """The page with its rows shaped; a page without rows is left as it is, to be refused."""
    rows = page.get("data")
    return {**page, "data": [shape(row) for row in rows]} if isinstance(rows, list) else page


def _explained(error: ApiError, path: str) -> UserError:
    """One sentence that says what to do about a refusal."""
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason = "the keys are wrong, were withdrawn, or belong to another region"
            remedy = "Take both keys of the project (Settings, API Keys), and its region's address as `base_url`."
        case 403 if path in (_SCORES, _METRICS):
            return NotAllowedError(f"Langfuse does not let this key read {path} (403).{said}", "Take a project's key.")
        case 403:
            reason = "the key may not read observations"
            remedy = "Take a key pair of the project: those of an organisation read no observations."
        case status if status in _GONE and path in (_SCORES, _METRICS):
            return NotAllowedError(f"This Langfuse has no {path} ({status}).", "Upgrade it to version 4 for that.")
        case status if status in _GONE and path == _V1:
            reason = "the endpoints of v1 are gone, as on Langfuse Cloud and from version 4 on"
            remedy = 'Take `api_version = "v1"` out of [sources.langfuse].'
        case status if status in _GONE:
            reason = "there is no v2 endpoint at this address"
            remedy = 'Check `base_url`; for a server before Langfuse 4 say `api_version = "v1"` in [sources.langfuse].'
        case _:
            return error
    return ApiError(f"Langfuse refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def _between(window: Window) -> dict[str, Any]:
    return {"fromStartTime": iso(window.start), "toStartTime": iso(window.end)}


@contextmanager
def _opened(instance: str) -> Iterator[Langfuse]:
    public = configured("langfuse", instance, "public_key") or secret(
        "langfuse", instance, "public_key", "public key of Langfuse"
    )
    pair = f"{public}:{secret('langfuse', instance, 'secret_key', 'secret key of Langfuse')}"
    headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    address = configured("langfuse", instance, "base_url") or BASE_URL
    expanded = configured_list("langfuse", instance, "expand_metadata")
    names = configured_list("langfuse", instance, "score_names")
    with ApiClient("Langfuse", address, headers) as client:
        yield Langfuse(client, _version(instance), expanded, names)


def _version(instance: str) -> str:
    version = configured("langfuse", instance, "api_version") or "v2"
    if version not in ("v1", "v2"):
        raise UserError(f"{version!r} is no version of Langfuse's API.", "`api_version` is v1 or v2.")
    return version


GENERATIONS = Stream(REQUESTS, OBSERVATIONS, "start_time", Langfuse.observations)
FEEDBACK = Stream("feedback", feedback_format("langfuse"), "given_at", Langfuse.scores)
TOTALS = Stream("totals", totals_format("langfuse"), "bucket_start", Langfuse.totals, whole_days=True)


def api_source(instance: str) -> ApiSource:
    """What is asked of Langfuse for a project: servers of v1 have observations only."""
    streams = (GENERATIONS,) if _version(instance) == "v1" else (GENERATIONS, FEEDBACK, TOTALS)
    return ApiSource("langfuse", _opened, streams)
