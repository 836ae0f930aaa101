"""Anthropic's older reports, called Legacy: usage by key, costs by workspace and description only.

Facts (Anthropic's documentation, and what users of the API report): buckets of days, each with its results; costs have
their model, tier and kind of token only when they are asked for by description; the default workspace is null. A range
must begin and end at midnight. A page of costs holds up to 31 days; so many days of usage by five dimensions are too
much for one answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from llm_spend.readers.api.pages import incomplete
from llm_spend.readers.api.values import iso
from llm_spend.sources.anthropic import Question, amount_columns, bucket_columns, part, token_columns
from llm_spend.sources.anthropic_analytics import Kind
from llm_spend.sources.anthropic_client import AnthropicClient, Report, Right
from llm_spend.sources.provider_rows import assert_distinct, numbered
from llm_spend.windows import Window

REVISED_FOR = timedelta(days=3)
COST_DIMENSIONS = ("description", "workspace_id")

PATHS: Mapping[Kind, str] = {
    "usage": "/v1/organizations/usage_report/messages",
    "cost": "/v1/organizations/cost_report",
}
RIGHTS: Mapping[Kind, Right] = {
    "usage": Right("read the usage report", "Take an Admin key (sk-ant-admin…) of the organisation."),
    "cost": Right("read the cost report", "Take an Admin key (sk-ant-admin…) of the organisation."),
}

_DAYS_A_PAGE: Mapping[Kind, int] = {"usage": 7, "cost": 31}
_USAGE_DIMENSIONS = ("api_key_id", "context_window", "inference_geo", "model", "service_tier", "workspace_id")


def question(profile: str, dimensions: tuple[str, ...], kind: Kind) -> Question:
    """A question for usage or costs; of the dimensions those that these reports know."""
    if not dimensions:
        return Question(profile, (), REVISED_FOR)
    known = tuple(name for name in dimensions if name in _USAGE_DIMENSIONS)
    return Question(profile, known if kind == "usage" else COST_DIMENSIONS, REVISED_FOR)


def asked_report(client: AnthropicClient, kind: Kind, asked: Question, span: Window) -> Report:
    """All buckets of a span of whole days."""
    params = {
        "starting_at": iso(span.start),
        "ending_at": iso(span.end),
        "bucket_width": "1d",
        "group_by[]": list(asked.dimensions),
        "limit": _DAYS_A_PAGE[kind],
    }
    return client.report(RIGHTS[kind], PATHS[kind], params)


def report_rows(kind: Kind, asked: Question, report: Report) -> list[dict[str, Any]]:
    """Rows of provider__usage or provider__costs.

    Raises UserError for rows of another shape, and for two with the same dimensions.
    """
    columns = _usage if kind == "usage" else _cost
    rows = [
        {
            **bucket_columns(asked, bucket.get("starting_at"), bucket.get("ending_at"), result),
            **columns(result),
            "raw": result,
        }
        for bucket, result in _results(report, kind)
    ]
    # As they came: what is not told has several names, which are one in the columns.
    as_told = [{**row, "dimensions": [row["raw"].get(name) for name in asked.dimensions]} for row in rows]
    assert_distinct(as_told, f"Anthropic's {PATHS[kind]}")
    return numbered(rows)


def _results(report: Report, kind: Kind) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for bucket in report.rows:
        results = bucket.get("results")
        if not isinstance(results, list):
            raise incomplete(f"Anthropic's {PATHS[kind]}", "a bucket has no list of results")
        for result in results:
            yield bucket, part({"result": result}, "result")


def _usage(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"usage_type": "messages", "requests": None, **token_columns(result)}


def _cost(result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "line_item": result.get("description"),
        "cost_type": result.get("cost_type"),
        "token_type": result.get("token_type"),
        "requests": None,
        **amount_columns(result),
    }
