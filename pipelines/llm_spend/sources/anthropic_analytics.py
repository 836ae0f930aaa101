"""Anthropic's Usage and Cost Analytics API (beta, since 2026-10-29): usage and costs by key or person.

Facts (types of Anthropic's SDK): at most five dimensions besides cost_type and token_type; cost_type and token_type
only together tell all money; two rows may have the same dimensions, for identities that can't be named read null. Rows
are sorted by a measure unless time is asked for. Days before 2026 or more than 365 days ago are refused. What names an
Enterprise organisation's usage differs from what names a Console organisation's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from llm_spend.errors import UserError
from llm_spend.readers.api.values import iso
from llm_spend.sources.anthropic import (
    Question,
    amount_columns,
    bucket_columns,
    part,
    token_columns,
)
from llm_spend.sources.anthropic_client import AnthropicClient, Report, Right
from llm_spend.sources.provider_rows import numbered
from llm_spend.windows import Window

BETA = "analytics-usage-cost-2026-08-24"
LOOK_BACK = tuple(timedelta(days=days) for days in (1, 3, 7, 30))
LONGEST_DAYS = 31
DAYS_KEPT = 365

Kind = Literal["usage", "cost"]

CONSOLE = ("api_key_id", "context_window", "model", "service_tier", "workspace_id")
ENTERPRISE = ("actor", "context_window", "inference_geo", "model", "product")
PROFILES: Mapping[str, tuple[str, ...]] = {
    "people": ("actor", "model", "product", "service_tier", "workspace_id"),
    "customers": ("api_key_id", "model", "service_tier", "user_profile_id", "workspace_id"),
}
"""Further views of a Console organisation's usage and costs, by name."""

RIGHTS: Mapping[Kind, Right] = {
    "usage": Right("read usage analytics", "Give the key the right read:analytics, or take an Admin key."),
    "cost": Right("read cost analytics", "Give the key the right read:analytics, or take an Admin key."),
}

_MOST_DIMENSIONS = 5
_COST_TYPES = ("cost_type", "token_type")
_KNOWN = frozenset(
    {
        *("actor", "actor_type", "agent_id", "api_key_id", "claude_tag_category", "claude_tag_user_id"),
        *("context_window", "deployment_id", "environment_id", "inference_geo", "model", "organization_id", "product"),
        *("service_tier", "session_id", "slack_channel_id", "speed", "user_profile_id", "workspace_id"),
    }
)


def checked_dimensions(names: Iterable[str]) -> tuple[str, ...]:
    """Dimensions that a report can be asked for. Raises UserError that says which it can't be."""
    found = tuple(dict.fromkeys(names))
    problem = ""
    if "rbac_group_id" in found:
        problem = "a person in two groups would be counted twice by rbac_group_id"
    elif implied := [name for name in _COST_TYPES if name in found]:
        problem = f"{' and '.join(implied)} are asked for anyway, and don't count"
    elif unknown := sorted(set(found) - _KNOWN):
        problem = f"Anthropic knows no {', '.join(unknown)}"
    elif len(found) > _MOST_DIMENSIONS:
        problem = f"these are {len(found)}, and Anthropic takes {_MOST_DIMENSIONS} at most"
    if problem:
        raise UserError(
            f"`dimensions` in [sources.anthropic] can't be asked for: {problem}.",
            f"Name up to {_MOST_DIMENSIONS} of: {', '.join(sorted(_KNOWN))}.",
        )
    return found


def question(profile: str, dimensions: Iterable[str], kind: Kind) -> Question:
    """A question for usage or costs; costs come by their types unless nothing is asked to be told apart."""
    asked = tuple(dimensions)
    return Question(profile, (*asked, *_COST_TYPES) if asked and kind == "cost" else asked, LOOK_BACK[-1])


def asked_report(client: AnthropicClient, kind: Kind, asked: Question, span: Window, limit: int = 1000) -> Report:
    """All rows of a span of whole days."""
    params = {
        "starting_at": iso(span.start),
        "ending_at": iso(span.end),
        "time_bucket_width": "1d",
        "group_by[]": list(asked.dimensions),
        "order_by": "time",
        "order": "asc",
        "limit": limit,
    }
    return client.report(RIGHTS[kind], f"/v1/organizations/analytics/{kind}", params)


def report_rows(kind: Kind, asked: Question, report: Report) -> list[dict[str, Any]]:
    """Rows of provider__usage or provider__costs. Raises UserError for rows of another shape."""
    columns = _usage if kind == "usage" else _cost
    return numbered(
        {
            **bucket_columns(asked, item.get("starting_at"), item.get("ending_at"), group := part(item, "group")),
            **columns(item, group),
            "data_refreshed_at": report.refreshed_at,
            "raw": item,
        }
        for item in report.rows
    )


def _usage(item: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    usage = part(item, "usage")
    return {"usage_type": "messages", "requests": usage.get("requests"), **token_columns(usage)}


def _cost(item: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    cost = part(item, "cost")
    return {
        "cost_type": group.get("cost_type"),
        "token_type": group.get("token_type"),
        "requests": cost.get("requests"),
        **amount_columns(cost),
    }
