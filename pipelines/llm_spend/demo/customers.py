"""What Northwind sells: plans, which customer has which, and what each must pay for a month.

Amounts are whole numbers of 1e-12 USD until they are rounded to cents; the truth is computed here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_spend.demo.chargeback import UNITS_PER_CENT, rounded_cents
from llm_spend.demo.organisation import Customer, write_csv
from llm_spend.demo.pricing import UNITS_PER_USD, usd_text

UNALLOCATED = "(unallocated)"
ALWAYS = date(2025, 1, 1)

_TOTAL_TOKENS, _COST, _PRICED_ROWS = 8, 9, 10
"""Columns of a cell of the ledger."""


@dataclass(frozen=True)
class Plan:
    """A plan from the month `valid_from` until before `valid_to`.

    `included`: tokens, None for no limit. `tiers`: (tokens above the included ones, price of a million that follow);
    none where nobody agreed on a price. `rate`: USD for one unit of the currency.
    """

    plan_id: str
    name: str
    fee: Decimal
    included: int | None
    tiers: tuple[tuple[int, Decimal], ...] = ()
    currency: str = "USD"
    rate: Decimal = Decimal(1)
    is_offered: bool = True
    valid_from: date = ALWAYS
    valid_to: date | None = None

    def holds(self, month: date) -> bool:
        return self.valid_from <= month and (self.valid_to is None or month < self.valid_to)


@dataclass(frozen=True)
class Contract:
    """A customer from the month `valid_from` until before `valid_to`; `plan_id` is empty without a plan."""

    customer_id: str
    name: str
    plan_id: str
    owner: str = ""
    valid_from: date = ALWAYS
    valid_to: date | None = None

    def holds(self, month: date) -> bool:
        return self.valid_from <= month and (self.valid_to is None or month < self.valid_to)


@dataclass(frozen=True)
class Charge:
    """What a month's tokens cost under a plan. `tiers`: (from, tokens, cents), cents None without a price."""

    plan_id: str
    fee_cents: int
    overage_tokens: int
    tiers: tuple[tuple[int, int, int | None], ...]

    @property
    def overage_cents(self) -> int | None:
        cents = [each for _, _, each in self.tiers if each is not None]
        return sum(cents) if len(cents) == len(self.tiers) else None

    @property
    def total_cents(self) -> int | None:
        return None if self.overage_cents is None else self.fee_cents + self.overage_cents


def plans(last_month: date) -> tuple[Plan, ...]:
    """All plans. Professional gets dearer with the last month; Enterprise is sold in euro, to whom it suits."""
    tiers = ((0, Decimal("12.5")), (1_000_000, Decimal("9.333333")))
    return (
        Plan("free", "Free", Decimal(0), 25_000),
        Plan("standard", "Standard", Decimal(29), 200_000, ((0, Decimal(20)), (50_000, Decimal("17.5")))),
        Plan("professional", "Professional", Decimal(99), 1_000_000, tiers, valid_to=last_month),
        Plan("professional", "Professional", Decimal("109.90"), 1_000_000, tiers, valid_from=last_month),
        Plan("enterprise", "Enterprise", Decimal(900), None, (), "EUR", Decimal("1.0853"), is_offered=False),
    )


def contracts(customers: Iterable[Customer], last_month: date) -> tuple[Contract, ...]:
    """Who has which plan: some change it with the last month, some have none, some are in no list."""
    found = [Contract("cust-new", "New and silent", "standard")]
    for index, customer in enumerate(customers):
        name = {3: "O'Neill Legal", 5: "+1 Media", 8: "Müller AG"}.get(index, f"Customer {index:04d}")
        if index % 25 == 24:
            continue
        if index % 25 == 22:
            found.append(Contract(customer.customer_id, name, ""))
        elif customer.plan == "enterprise":
            found.append(Contract(customer.customer_id, name, "enterprise", "sales-ops"))
        elif customer.plan == "free":
            found.append(Contract(customer.customer_id, name, "free"))
        elif index % 5 == 1:
            found.append(Contract(customer.customer_id, name, "professional"))
        elif index % 2:
            found.append(Contract(customer.customer_id, name, "standard", valid_to=last_month))
            found.append(Contract(customer.customer_id, name, "professional", "sales-ops", valid_from=last_month))
        else:
            found.append(Contract(customer.customer_id, name, "standard"))
    return tuple(found)


def charge(plan: Plan, used: int) -> Charge:
    """What `used` tokens cost: each tier its price, the sum rounded once, and its cents shared by largest remainder."""
    overage = 0 if plan.included is None else max(used - plan.included, 0)
    fee_cents = rounded_cents(_units(plan.fee * plan.rate))
    if not overage:
        return Charge(plan.plan_id, fee_cents, 0, ())
    if not plan.tiers:
        return Charge(plan.plan_id, fee_cents, overage, ((0, overage, None),))
    bounds = [*(start for start, _ in plan.tiers[1:]), overage]
    tokens = [max(min(end, overage) - start, 0) for (start, _), end in zip(plan.tiers, bounds, strict=True)]
    units = [
        count * _units(price * plan.rate) // 1_000_000
        for (_, price), count in zip(plan.tiers, tokens, strict=True)
    ]  # fmt: skip
    cents = [each // UNITS_PER_CENT for each in units]
    by_fraction = sorted(range(len(units)), key=lambda tier: (-(units[tier] % UNITS_PER_CENT), tier))
    for tier in by_fraction[: rounded_cents(sum(units)) - sum(cents)]:
        cents[tier] += 1
    return Charge(
        plan.plan_id,
        fee_cents,
        overage,
        tuple(
            (start, count, each)
            for (start, _), count, each in zip(plan.tiers, tokens, cents, strict=True)
            if count
        ),
    )  # fmt: skip


def recommended(known: Iterable[Plan], own: str, month: date, used: int) -> Charge | None:
    """The plan that the month would have cost least under; of equal ones the customer's own, else the first by name."""
    charges = [charge(plan, used) for plan in known if plan.holds(month) and (plan.is_offered or plan.plan_id == own)]
    priced = [each for each in charges if each.total_cents is not None]
    return min(priced, key=lambda each: (each.total_cents or 0, each.plan_id != own, each.plan_id), default=None)


def truth(
    cells: Mapping[tuple[str, str], list[int]], known: tuple[Plan, ...], signed: tuple[Contract, ...]
) -> dict[str, dict[str, Any]]:
    """month -> customer -> its plan, usage and amounts, from the ledger's cells by (date, customer)."""
    used: dict[tuple[str, str], list[int]] = {}
    for (day, customer), cell in cells.items():
        one = used.setdefault((day[:7], customer), [0, 0, 0])
        for place, column in enumerate((_TOTAL_TOKENS, _COST, _PRICED_ROWS)):
            one[place] += cell[column]
    for month in {month for month, _ in used}:
        for contract in signed:
            if contract.plan_id and contract.holds(_first_of(month)):
                # Who used nothing cost nothing, which is known.
                used.setdefault((month, contract.customer_id), [0, 0, 1])
    found: dict[str, dict[str, Any]] = {}
    for (month, customer), (tokens, cost, priced) in sorted(used.items()):
        plan_ids = [each.plan_id for each in signed if each.customer_id == customer and each.holds(_first_of(month))]
        own = next(iter(plan_ids), "")
        found.setdefault(month, {})[customer] = {
            "used_tokens": tokens,
            "cost_usd": usd_text(cost) if priced else None,
            **_amounts(known, customer, own, _first_of(month), tokens),
        }
    return found


def _amounts(known: tuple[Plan, ...], customer: str, own: str, month: date, tokens: int) -> dict[str, Any]:
    best = None if customer == UNALLOCATED else recommended(known, own, month, tokens)
    now = next((charge(plan, tokens) for plan in known if plan.plan_id == own and plan.holds(month)), None)
    amounts: dict[str, Any] = {
        "plan_id": own or None,
        "recommended_plan": None if best is None else best.plan_id,
        "overage_tokens": None,
        "fee_usd": None,
        "overage_usd": None,
        "revenue_usd": None,
        "recommended_saving_usd": None,
        "tiers": [],
    }
    if now is None:
        return amounts
    paid, least = now.total_cents, None if best is None else best.total_cents
    return amounts | {
        "overage_tokens": now.overage_tokens,
        "fee_usd": _cents(now.fee_cents),
        "overage_usd": _cents(now.overage_cents),
        "revenue_usd": _cents(paid),
        "recommended_saving_usd": None if paid is None or least is None else _cents(paid - least),
        "tiers": [[start, count, _cents(cents)] for start, count, cents in now.tiers],
    }


def write_seeds(known: Iterable[Plan], signed: Iterable[Contract], folder: Path) -> None:
    """`customer_plans.csv` and `customers.csv`, as a user of the package would keep them."""
    header = (
        "plan_id,plan_name,monthly_fee,currency,usd_per_unit,included_tokens,tier_from_tokens,"
        "price_per_million_tokens,is_offered,valid_from,valid_to"
    )
    rows = [
        [plan.plan_id, plan.name, str(plan.fee), plan.currency, "" if plan.currency == "USD" else str(plan.rate),
         "" if plan.included is None else str(plan.included), *tier, "" if plan.is_offered else "false",
         plan.valid_from.isoformat(), _until(plan.valid_to)]
        for plan in known
        for tier in [(str(start), str(price)) for start, price in plan.tiers] or [("", "")]
    ]  # fmt: skip
    write_csv(folder / "customer_plans.csv", header.split(","), rows)
    write_csv(
        folder / "customers.csv",
        ("customer_id", "customer_name", "plan_id", "account_owner", "valid_from", "valid_to"),
        [
            [each.customer_id, each.name, each.plan_id, each.owner, each.valid_from.isoformat(), _until(each.valid_to)]
            for each in signed
        ],
    )


def _until(month: date | None) -> str:
    return "" if month is None else month.isoformat()


def _first_of(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


def _units(amount: Decimal) -> int:
    """1e-12 USD from USD that are a whole number of them."""
    return int(amount * UNITS_PER_USD)


def _cents(cents: int | None) -> str | None:
    return None if cents is None else usd_text(cents * UNITS_PER_CENT)
