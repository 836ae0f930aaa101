"""What Anthropic's reports say, as rows of provider__usage and provider__costs: what all of its reports share.

Facts (types of Anthropic's SDK, its documentation): token classes are disjoint, so all input is the sum of uncached
input, cache reads and cache writes. Amounts are fractional US cents as text. A dimension is null when it was not asked
for, and when there is nobody to name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.onward import moment_of
from llm_spend.readers.api.values import amount, number
from llm_spend.sources.about import About, Setting
from llm_spend.sources.provider_rows import bucket

PROVIDER = "anthropic"

_COLUMNS = {
    "workspace_id": "project_id",
    "api_key_id": "api_key_id",
    "user_profile_id": "customer_id",
    "model": "model",
    "service_tier": "service_tier",
    "inference_geo": "region",
    "context_window": "context_window",
}
"""Dimensions that are columns; all others are keys of `dimensions`."""

_COST_DIMENSIONS = ("cost_type", "token_type", "description")
_NOT_TOLD = ("", "not_available")


@dataclass(frozen=True)
class Question:
    """What is asked of a report. `revised_for`: how long after a bucket's end its rows may change."""

    profile: str
    dimensions: tuple[str, ...]
    revised_for: timedelta

    @property
    def grouping(self) -> str:
        return ",".join(sorted(self.dimensions))


def bucket_columns(question: Question, start: Any, end: Any, group: Mapping[str, Any]) -> dict[str, Any]:
    """Where a row belongs: its bucket and its dimensions. Raises UserError for a bucket without times."""
    begins, ends = (_moment(each) for each in (start, end))
    asked = question.dimensions
    actor = _actor(group.get("actor")) if "actor" in asked else {}
    others = {name: group.get(name) for name in asked if name not in (*_COLUMNS, *_COST_DIMENSIONS, "actor")}
    others |= {name: value for name, value in actor.items() if name != "user_id"}
    is_asked_for_others = bool(others) or "actor" in asked
    return {
        "provider": PROVIDER,
        **bucket(begins, ends, question.revised_for),
        "profile": question.profile,
        "grouping": question.grouping,
        "user_id": actor.get("user_id"),
        **{column: _told(group.get(name)) for name, column in _COLUMNS.items()},
        "dimensions": {name: value for name, value in others.items() if value is not None}
        if is_asked_for_others
        else None,
    }


def token_columns(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The token columns of a usage: input is all of it. Cache writes of a kind that is not known count as 5 minutes."""
    writes = dict(part(usage, "cache_creation"))
    write_1h = writes.pop("ephemeral_1h_input_tokens", None)
    write_5m = total(writes.values())
    uncached, read = usage.get("uncached_input_tokens"), usage.get("cache_read_input_tokens")
    return {
        "input_tokens": amount(total((uncached, read, write_5m, write_1h))),
        "cache_read_tokens": read,
        "cache_write_5m_tokens": amount(write_5m),
        "cache_write_1h_tokens": write_1h,
        "output_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "other_usage": _other_usage(usage.get("server_tool_use")),
    }


def amount_columns(cost: Mapping[str, Any]) -> dict[str, Any]:
    """The money of a cost in cents, as it is written. Raises UserError when it has no currency."""
    currency = cost.get("currency")
    if not isinstance(currency, str) or not currency.strip():
        raise UserError(
            "A cost in Anthropic's answer has no currency, and none is assumed.",
            "Nothing of these days was loaded. Run it again; if that does not help, report it as a bug.",
        )
    told = number(cost.get("amount"))
    return {
        "amount": amount(cost.get("amount")),
        "list_amount": amount(cost.get("list_amount")),
        "cost_unit": "cent",
        "currency": currency.strip().upper(),
        "charge_category": "Adjustment" if told is not None and told < 0 else None,
    }


def part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that a row must have. Raises UserError when it has another shape than Anthropic documents."""
    found = row.get(name)
    if not isinstance(found, Mapping):
        raise UserError(
            f"A row of Anthropic's answer has no object {name!r}.",
            "Anthropic may have changed its report: nothing of these days was loaded. Report it as a bug.",
        )
    return found


def total(values: Iterable[Any]) -> Decimal | None:
    """The sum of numbers; None when one of them is not known."""
    numbers = [number(value) for value in values]
    return None if None in numbers else sum((each for each in numbers if each is not None), Decimal(0))


def _moment(text: Any) -> datetime:
    moment = moment_of(text)
    if moment is None:
        raise UserError(f"A bucket in Anthropic's answer has no time: {text!r}.", "Report this as a bug.")
    return moment


def _told(value: Any) -> Any:
    return None if value in _NOT_TOLD else value


def _actor(actor: Any) -> dict[str, Any]:
    """Who an actor is: `user_id` of a person, else the kind and the id of what is none."""
    if not isinstance(actor, Mapping):
        return {}
    kind, provider = actor.get("type"), actor.get("provider")
    match kind:
        case "user_actor":
            return {"user_id": actor.get("user_id"), "actor_type": kind}
        case "federated_actor":
            names = provider if isinstance(provider, Mapping) else {}
            return {"actor_type": kind, "actor_id": actor.get("subject"), "actor_provider": names.get("type")}
        case _:
            return {"actor_type": kind, "actor_id": actor.get("service_account_id") or actor.get("api_key_id")}


def _other_usage(tools: Any) -> dict[str, int] | None:
    searches = number(tools.get("web_search_requests")) if isinstance(tools, Mapping) else None
    if searches is None:
        return None
    return {"web_searches": int(searches)} if searches > 0 else {}


ABOUT = About(
    title="Anthropic",
    grain=(
        "No requests: usage and costs of each UTC day, by API key, workspace, model, service tier and context window"
        " (`primary`), and without any of them (`control`). In a Claude Enterprise organisation by actor, product,"
        " model, context window and region. At most five dimensions: `dimensions` chooses others."
    ),
    cost=(
        "What Anthropic charges after discounts and before credits, and the list price beside it, in fractional US"
        " cents as text, by kind of cost and kind of token. Claude Code's amounts are an estimate at list price, and"
        " never added. The Legacy cost report knows no API key and leaves Priority Tier out."
    ),
    tokens="The kinds of tokens are disjoint: input is uncached input, cache reads and both kinds of cache writes.",
    attribution=(
        "The API key and the workspace, whose tags are loaded; with `people` the person, with `customers` the user"
        " profile that a request named, which is a customer of yours. Views of the same money: never add them up."
    ),
    lateness=(
        "A day is there some hours after its end, and may be revised for 30 days: it is asked for again after 1, 3, 7"
        " and 30 days."
    ),
    cannot_tell=(
        "Requests, features, and what is left out of five dimensions: costs are not told apart by region unless it is"
        " one of them. Days before 2026, and those more than a year ago, are in the Legacy reports only. Claude on"
        " Bedrock, Vertex AI and Foundry is billed there."
    ),
    api=(
        "The Usage and Cost Analytics API (beta), else the Legacy usage and cost reports; Claude Code analytics; API"
        " keys, workspaces, users, service accounts and spend limits. It takes an *Admin* key (`sk-ant-admin…`) or one"
        " with `read:analytics`. User profiles take an ordinary key of their workspace."
    ),
    settings=(
        Setting("admin_key", "Admin key of the organisation", is_secret=True, is_required=True),
        Setting("user_profiles_key", "an ordinary API key, to list user profiles with", is_secret=True),
        Setting("api", "`analytics` or `legacy`, to ask one of them only; `auto` if not given"),
        Setting("organization_type", "`enterprise` for Claude Enterprise; `console` if not given"),
        Setting(
            "dimensions",
            'up to five, instead of those of `primary`: `["api_key_id", "workspace_id", "model", "service_tier",'
            ' "inference_geo"]` to see the regions that cost more',
        ),
        Setting("profiles", 'further views: `["people", "customers"]`'),
        Setting("claude_code", "`false` to leave Claude Code's estimates out"),
        Setting("base_url", "`https://api.anthropic.com` if not given"),
    ),
)
