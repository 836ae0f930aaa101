"""What the codes of the tables mean, for people who never saw the tables."""

from __future__ import annotations

from collections.abc import Mapping

LINE_TYPES: Mapping[str, str] = {
    "direct": "Direct usage",
    "shared": "Shared costs",
    "unallocated": "Unallocated usage",
    "true_up": "True-up to the bill",
    "commitment": "Commitments and seats",
    "credit": "Credits",
    "restatement": "Restatements",
}
"""Titles of line types, in the order in which they are read."""

ALLOCATION_METHODS: Mapping[str, str] = {
    "own_usage": "own usage",
    "bill_by_day_model_and_class": "part of the bill, by day, model and kind of tokens",
    "bill_by_day_and_model": "part of the bill, by day and model",
    "bill_by_day": "part of the bill, by day",
    "bill_by_month_model_and_class": "part of the bill, by model and kind of tokens",
    "bill_by_month_and_model": "part of the bill, by model",
    "bill_by_month": "part of the bill, by month",
    "owner_of_key": "billed outside the gateways, owner of the key",
    "owner_of_seat": "seat, to the one who has it",
    "unused_commitment": "unused part of a commitment",
    "proportional_by_cost": "share of a common cost, by cost",
    "proportional_by_tokens": "share of a common cost, by tokens",
    "proportional_by_requests": "share of a common cost, by requests",
    "even": "share of a common cost, the same for each",
    "fixed_weights": "share of a common cost, by agreed weights",
    "headcount": "share of a common cost, by people",
    "unallocated": "a bill without an owner",
}

REASONS: Mapping[str, str] = {
    "price_correction": "a price was corrected",
    "bill_correction": "the provider's bill changed or came late",
    "late_data": "usage came late or was corrected",
    "shared_correction": "common costs are shared otherwise",
    "reattribution": "the usage has other owners or models",
}
"""Why a closed month is restated."""


def in_words(code: str | None, known: Mapping[str, str]) -> str:
    """The meaning of a code; of one that is not known, the code itself as words."""
    return known.get(code, code.replace("_", " ")) if code else ""


def line_type_place(line_type: str) -> tuple[int, str]:
    """Where lines of this type stand; those that are not known come last."""
    known = list(LINE_TYPES)
    return (known.index(line_type) if line_type in known else len(known), line_type)


def zone_words(zone: str) -> str:
    """When the months of statements begin and end, by the setting `billing_timezone`; nothing where they are UTC's."""
    if zone == "UTC":
        return ""
    return f"Months begin and end at midnight in {zone}; one that was closed in another time zone keeps its own."
