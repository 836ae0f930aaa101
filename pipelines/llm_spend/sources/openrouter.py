"""OpenRouter's daily activity as totals of a gateway: by day and model. It lists no requests.

Facts (OpenRouter's SDK): a row is a day, a model, an endpoint and a workspace. `usage` is what OpenRouter bills, in
USD; with a key of your own at the provider, `byok_usage_inference` is what that provider bills besides. Cached tokens
are part of the prompt, but answers replayed from OpenRouter's own cache can count more of them than the prompt has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from llm_spend.readers.api.values import amount, number
from llm_spend.sources.about import About, Setting

_SUMS = {"requests": "requests", "input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
_COSTS = ("usage", "byok_usage_inference")


def totals_rows(day: date, activity: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of gateway__totals from the activity of a day: one over all, and one for each model.

    A row's `raw` has the two costs apart and the activity by endpoint and provider.
    """
    by_model: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in activity:
        by_model.setdefault(row.get("model_permaslug") or row.get("model"), []).append(row)
    everything = [row for rows in by_model.values() for row in rows]
    if not everything:
        return []
    models = sorted(by_model.items(), key=lambda item: str(item[0]))
    return [_total(day, "all", None, everything), *(_total(day, "model", name, rows) for name, rows in models)]


def _total(day: date, dimension: str, member: str | None, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    costs = {name: _summed(rows, name) for name in _COSTS}
    known = [cost for cost in costs.values() if cost is not None]
    raw: dict[str, Any] = {name: amount(cost) for name, cost in costs.items()}
    if dimension == "model":
        raw["activity"] = [dict(row) for row in rows]
    if any(_beyond_prompt(row) for row in rows):
        raw["has_more_cached_than_prompt_tokens"] = True
    return {
        "bucket_start": f"{day.isoformat()}T00:00:00Z",
        "bucket_end": f"{(day + timedelta(days=1)).isoformat()}T00:00:00Z",
        "dimension": dimension,
        "member": member,
        **{name: amount(_summed(rows, theirs)) for name, theirs in _SUMS.items()},
        "cost_amount": amount(sum(known, Decimal(0))) if known else None,
        "cost_unit": "usd",
        "raw": raw,
    }


def _summed(rows: list[Mapping[str, Any]], name: str) -> Decimal | None:
    """The sum of what is known; None when nothing is."""
    known = [value for row in rows if (value := number(row.get(name))) is not None]
    return sum(known, Decimal(0)) if known else None


def _beyond_prompt(row: Mapping[str, Any]) -> bool:
    cached, prompt = number(row.get("cached_tokens")), number(row.get("prompt_tokens"))
    return cached is not None and prompt is not None and cached > prompt


ABOUT = About(
    title="OpenRouter",
    grain="No requests: usage and costs of each UTC day by key, workspace, model and endpoint (`provider__usage`,"
    " `provider__costs`); and as totals of a gateway, over all calls and for each model.",
    cost="What OpenRouter billed. What other providers billed for calls with a key of your own there"
    " (`byok_usage_inference`) is on their bills: here it is the profile `byok`, which is never added to the bill. In"
    " the totals of a gateway both are one cost, and in `raw` apart.",
    tokens="Tokens as the provider counts them; `prompt_tokens` includes cached tokens.",
    attribution="The key, the workspace (`project_id`), the model; endpoint and provider in `dimensions`. What was done"
    " with keys that are gone is a row without a key.",
    lateness="A day is there when it is over, and is asked for again after three days.",
    cannot_tell="Single requests, users and metadata: use the log of what is in front of OpenRouter for these. Days"
    " that are more than 30 days ago.",
    api="`GET /api/v1/activity`, one question a day and one for each key that was used; and `/keys`, `/workspaces`,"
    " `/organization/members`, `/credits`. With a *management* key (an ordinary key may not).",
    settings=(
        Setting("management_key", "management key of OpenRouter", is_secret=True, is_required=True),
        Setting("base_url", "`https://openrouter.ai` if not given"),
    ),
)
