"""Plans that Northwind thinks about, and what its customers would have paid under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_spend.demo.chargeback import UNITS_PER_CENT
from llm_spend.demo.customers import UNALLOCATED, Charge, Plan, charge
from llm_spend.demo.organisation import write_csv
from llm_spend.demo.pricing import usd_text


@dataclass(frozen=True)
class Design:
    """`assignment`: who gets which plan, `cheapest` or `by_usage`."""

    design_id: str
    name: str
    assignment: str
    plans: tuple[Plan, ...]


DESIGNS = (
    Design(
        "two-tiers", "Standard and Professional", "by_usage",
        (
            Plan("standard", "Standard", Decimal(29), 200_000, ((0, Decimal(20)),)),
            Plan("professional", "Professional", Decimal(99), 1_000_000, ((0, Decimal(15)), (500_000, Decimal(12)))),
        ),
    ),
    Design(
        "by-the-token", "Pay for what you use", "cheapest",
        (
            Plan("metered", "Metered", Decimal(0), 0, ((0, Decimal(60)), (100_000, Decimal("47.5")))),
            Plan("unlimited", "Unlimited", Decimal("149.90"), None, (), "EUR", Decimal("1.0853")),
        ),
    ),
)  # fmt: skip


def _assigned(design: Design, used: int) -> Charge | None:
    charges = [charge(plan, used) for plan in design.plans]
    if design.assignment == "cheapest":
        priced = [each for each in charges if each.total_cents is not None]
        return min(priced, key=lambda each: (each.total_cents or 0, each.plan_id), default=None)
    holding = [plan for plan in design.plans if plan.included is None or used <= plan.included]
    if holding:
        best = min(holding, key=lambda plan: (plan.included is None, plan.included or 0, plan.plan_id))
    else:
        best = min(design.plans, key=lambda plan: (-(plan.included or 0), plan.plan_id))
    return charge(best, used)


def truth(months: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """month -> design -> customer -> plan, what is above it, and what it costs; from the truth about customers."""
    return {
        month: {
            design.design_id: {
                customer: _month(_assigned(design, entry["used_tokens"]))
                for customer, entry in customers.items()
                if customer != UNALLOCATED
            }
            for design in DESIGNS
        }
        for month, customers in months.items()
    }


def _month(paid: Charge | None) -> list[Any]:
    if paid is None:
        return [None, None, None]
    cents = paid.total_cents
    return [paid.plan_id, paid.overage_tokens, None if cents is None else usd_text(cents * UNITS_PER_CENT)]


def write_seed(folder: Path) -> None:
    """`plan_designs.csv`, one row a tier."""
    header = (
        "design_id,design_name,assignment,plan_id,plan_name,monthly_fee,currency,usd_per_unit,included_tokens,"
        "tier_from_tokens,price_per_million_tokens"
    )
    rows = [
        [design.design_id, design.name, design.assignment, plan.plan_id, plan.name, str(plan.fee), plan.currency,
         "" if plan.currency == "USD" else str(plan.rate), "" if plan.included is None else str(plan.included), *tier]
        for design in DESIGNS
        for plan in design.plans
        for tier in [(str(start), str(price)) for start, price in plan.tiers] or [("", "")]
    ]  # fmt: skip
    write_csv(folder / "plan_designs.csv", header.split(","), rows)
