"""OpenRouter's activity as usage and as costs of a provider: by key, and as a control in total.

`usage` is what OpenRouter bills, in USD. `byok_usage_inference` is what another provider bills for calls with a key of
one's own there: it is on that provider's bill, so here it is a second view and never part of the bill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from llm_spend.readers.api.values import amount, number
from llm_spend.sources.provider_rows import Row, assert_distinct, day_bucket, is_exceeded, rests, summed

LOOK_BACK = (timedelta(days=3),)
_BYOK = "byok_usage_inference"
_COUNTS = ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
_SUMS = (*_COUNTS, "usage", _BYOK)
_GROUP = ("model_permaslug", "model", "endpoint_id", "provider_name", "workspace_id")
_ASKED = ("endpoint_id", "model", "provider_name")
_OTHER_DIMENSIONS = {"endpoint_id": "endpoint_id", "provider_name": "provider_name", "model_slug": "model"}


@dataclass(frozen=True)
class Activity:
    """What OpenRouter tells of a day: its activity without any grouping, and the same in parts.

    `parts` have the field `api_key_hash`, None for what belongs to no key that is known. `asked`: what these were asked
    by, besides what every row has.
    """

    day: date
    whole: Sequence[Row]
    parts: Sequence[Row]
    asked: tuple[str, ...]

    @property
    def grouping(self) -> str:
        return ",".join(sorted((*_ASKED, *self.asked)))


def left_of(whole: Sequence[Row], parts: Sequence[Row]) -> list[dict[str, Any]]:
    """What of the activity of a day no key that was asked about has: by model, endpoint and workspace."""
    return rests(whole, parts, _GROUP, _SUMS)


def are_too_many(left: Sequence[Row]) -> bool:
    """Whether keys have more than the total, of which `left_of` says what is left."""
    return is_exceeded(left, _SUMS)


def usage_rows(activity: Activity) -> list[dict[str, Any]]:
    """Rows of provider__usage: one of the total, which is there on a day without activity too, and one of each part."""
    parts = [_usage(row) for row in activity.parts if any(number(row.get(name)) for name in _COUNTS)]
    control = _usage({name: summed(activity.whole, name) for name in _COUNTS})
    return _placed(activity, [("control", control), *(("primary", row) for row in parts)])


def cost_rows(activity: Activity) -> list[dict[str, Any]]:
    """Rows of provider__costs: one of the total, one of each part, and one where another provider bills besides."""
    total = {name: summed(activity.whole, name) for name in ("requests", "usage")}
    return _placed(
        activity,
        [
            ("control", _cost(total, "usage")),
            *(("primary", _cost(row, "usage")) for row in activity.parts),
            *(("byok", _cost(row, _BYOK) | {"is_cash": False}) for row in activity.parts if number(row.get(_BYOK))),
        ],
    )


def _placed(activity: Activity, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    bucket = day_bucket(activity.day, LOOK_BACK[-1])
    common = {"provider": "openrouter", **bucket, "occurrence": 0}
    placed = [
        {**common, "profile": profile, "grouping": "" if profile == "control" else activity.grouping, **row}
        for profile, row in rows
    ]
    assert_distinct(placed, f"OpenRouter's activity of {activity.day}")
    return placed


def _usage(row: Row) -> dict[str, Any]:
    prompt, cached = number(row.get("prompt_tokens")), number(row.get("cached_tokens"))
    # Answers that OpenRouter replays can have more cached tokens than the prompt has.
    inside = cached if cached is None or prompt is None else min(cached, prompt)
    return {
        **_dimensions(row),
        "usage_type": "activity",
        "requests": amount(row.get("requests")),
        "input_tokens": amount(row.get("prompt_tokens")),
        "cache_read_tokens": amount(inside),
        "output_tokens": amount(row.get("completion_tokens")),
        "reasoning_tokens": amount(row.get("reasoning_tokens")),
        "raw": dict(row),
    }


def _cost(row: Row, field: str) -> dict[str, Any]:
    return {
        **_dimensions(row),
        "requests": amount(row.get("requests")),
        "amount": amount(row.get(field)),
        "cost_unit": "unit",
        "currency": "USD",
        "raw": dict(row),
    }


def _dimensions(row: Row) -> dict[str, Any]:
    others = {ours: row[name] for ours, name in _OTHER_DIMENSIONS.items() if row.get(name)}
    return {
        "project_id": row.get("workspace_id"),
        "api_key_id": row.get("api_key_hash"),
        "model": row.get("model_permaslug") or row.get("model"),
        "dimensions": others or None,
    }
