"""How anomalies, candidates, findings and KPIs are called, for people."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from llm_spend.answers.formats import UNKNOWN, count, percent, quantity, usd

ANOMALY_KINDS: Mapping[str, str] = {
    "cost_spike": "cost above usual",
    "cost_drop": "cost below usual",
    "new_model": "new model",
    "new_api_key": "new API key",
    "error_rate": "failing calls",
    "cache_miss_rate": "cache not read",
    "blended_price": "price per million tokens",
}
CANDIDATE_KINDS: Mapping[str, str] = {
    "low_feedback_spend": "Dear and disliked",
    "low_engagement_spend": "Dear and little used",
    "heavy_prompt": "Heavy prompts",
    "low_cache_share": "Prompts hardly cached",
    "oversized_max_tokens": "max_tokens far above the output",
    "paid_failures": "Failed calls that were paid",
    "paid_retries": "Retries that were paid",
    "paid_fallbacks": "Fallbacks that were paid",
    "duplicate_prompts": "The same prompt again",
    "batchable_night_traffic": "Night traffic that a batch could do",
}
FINDINGS: Mapping[str, str] = {
    "unregistered": "not registered",
    "misspelt": "misspelt key",
    "retired": "retired, still sent",
    "stale": "registered, not sent",
    "bad_value": "value not allowed",
    "bad_key": "badly written key",
    "truncated": "cut off",
    "high_cardinality": "too many values",
    "missing_required": "missing",
    "near_duplicate_value": "values that look alike",
}
LEAST_COVERAGE = Decimal("0.9")
"""Of a KPI that is shown without a word about it."""

_MEMBER_TYPES = {"api_key": "API key"}


def member_words(member_type: str, member_id: str) -> str:
    """`team search`, `API key sk-1`; `everything`."""
    return "everything" if member_type == "total" else f"{_MEMBER_TYPES.get(member_type, member_type)} {member_id}"


def value_words(value: Decimal | None, unit: str | None) -> str:
    """A value of an anomaly or a KPI by its unit: `$12.30` of USD, `12.3%` of a ratio or share, else a number."""
    if value is None:
        return UNKNOWN
    unit = (unit or "").casefold()
    if unit.startswith("usd"):
        return usd(value)
    return percent(value) if unit.startswith(("ratio", "share")) else quantity(value)


def kpi_words(value: Decimal | None, unit: str | None, coverage: Decimal | None) -> str:
    """A KPI, with how much of the cost it knows events for when that is little: `$0.16 (21.0% known)`."""
    words = value_words(value, unit)
    is_little = value is not None and coverage is not None and coverage < LEAST_COVERAGE
    # One word to whoever breaks lines.
    return f"{words} ({percent(coverage)}\u00a0known)" if is_little else words


def saving_words(saving: Decimal | None, low: Decimal | None, high: Decimal | None) -> str:
    """`$12.30`, `$8.10 to $12.30`, `up to $12.30`; `-` when nobody can say."""
    if high is None or low == high:
        return usd(saving if high is None else high)
    return f"{usd(low)} to {usd(high)}" if low else f"up to {usd(high)}"


def interval_words(lower: Decimal | None, upper: Decimal | None) -> str:
    """`$45.29 to $85.71`; `no interval` when nothing says how sure a forecast is."""
    return "no interval" if lower is None or upper is None else f"{usd(lower)} to {usd(upper)}"


def tag_words(tag_key: str, *, is_owner: bool) -> str:
    """`plan`; `team, by any key` of `(team)`."""
    return f"{tag_key.strip('()')}, by any key" if is_owner else tag_key


def plan_words(plan_id: str | None, plan_name: str | None) -> str:
    """The name of a plan; `(no plan)` of usage that names no customer, and of customers that fit none."""
    return "(no plan)" if plan_id in (None, "(none)") else plan_name or str(plan_id)


def unpriced_plans(tokens: int) -> str:
    """What tokens without a price mean for what customers cost."""
    return f"{count(tokens)} tokens of the month have no price: costs are at least, margins at most what stands here."
