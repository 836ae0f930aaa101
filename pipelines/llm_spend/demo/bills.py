"""What the providers bill for the demo, and why that is not what the gateways say: every cause with its exact amount.

The causes are planted here and nowhere else: the logs know nothing of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import add
from typing import Any

from llm_spend.demo.chargeback import UNITS_PER_CENT, rounded_cents
from llm_spend.demo.gateways import (
    GENERIC_INSTANCE,
    LITELLM,
    LITELLM_INSTANCE,
    PORTKEY,
    SELF_HOSTED,
    TENANT,
    TRUEFOUNDRY,
    WORKSPACES,
)
from llm_spend.demo.meter import Count, Meter, Slice
from llm_spend.demo.pricing import DEARER_IN_REGION, Tokens, units_by_kind, usd_text
from llm_spend.months import next_month

ACCOUNT = "northwind"
"""The instance of both providers: one account each."""

CAUSES = (
    "outside_gateway", "tier_or_batch", "regional_uplift", "cache", "unmeasured_attempts", "gateway_prices",
    "price_changes", "not_billed", "charges_besides_usage", "late_data",
)  # fmt: skip

DAYS_MISSING = 1
"""Days at the end that the providers have not reported yet."""

_NOT_BILLED_AT = 0.6
_CACHING_WEEKDAYS = frozenset({1, 3})
_CACHED = frozenset({("proj_product", "gpt-4o"), ("proj_product", "gpt-4.1")})
_CENTS_OF_CREDIT = 250


@dataclass(frozen=True)
class Key:
    """A provider's API key, and the gateway that calls with it (None: somebody goes past the gateways)."""

    provider: str
    project_id: str
    api_key_id: str
    gateway: tuple[str, str] | None
    region: str | None = None
    is_batch: bool = False
    owner_team: str | None = None


KEYS = (
    Key("openai", "proj_product", "key_portkey_product", (PORTKEY, WORKSPACES[0])),
    Key("openai", "proj_internal", "key_portkey_internal", (PORTKEY, WORKSPACES[1])),
    Key("openai", "proj_europe", "key_truefoundry", (TRUEFOUNDRY, TENANT), region="eu"),
    Key("openai", "proj_platform", "key_litellm", (LITELLM, LITELLM_INSTANCE)),
    Key("openai", "proj_batch", "key_batch_cluster", (SELF_HOSTED, GENERIC_INSTANCE), is_batch=True),
    Key("openai", "proj_research", "key_notebooks", None, owner_team="data-science"),
    Key("anthropic", "wrkspc_product", "apikey_portkey_product", (PORTKEY, WORKSPACES[0])),
    Key("anthropic", "wrkspc_internal", "apikey_portkey_internal", (PORTKEY, WORKSPACES[1])),
    Key("anthropic", "wrkspc_europe", "apikey_truefoundry", (TRUEFOUNDRY, TENANT)),
    Key("anthropic", "wrkspc_platform", "apikey_litellm", (LITELLM, LITELLM_INSTANCE)),
    Key("anthropic", "wrkspc_agents", "apikey_coding_agents", None, owner_team="platform"),
)
_KEY_OF = {(key.provider, *key.gateway): key for key in KEYS if key.gateway is not None}
_DIRECT = {
    "key_notebooks": ("gpt-5", Tokens(40_000, 4_000)),
    "apikey_coding_agents": ("claude-opus-4-5", Tokens(20_000, 1_500, 12_000)),
}
"""What goes past the gateways on a workday, to models that no gateway offers."""


@dataclass(frozen=True)
class Bucket:
    """Usage of one key and model on one UTC day; `amounts`: what it cost, by kind of tokens, in 1e-12 USD."""

    day: date
    key: Key
    model_id: str
    requests: int
    tokens: Tokens
    amounts: Mapping[str, int]
    is_billed: bool = True


@dataclass(frozen=True)
class Charge:
    """A line of the bill that is no usage."""

    day: date
    provider: str
    category: str
    description: str
    units: int


@dataclass(frozen=True)
class Invoiced(Charge):
    """A charge that only the invoice of a month says; `day` is that of the invoice."""

    month: date


@dataclass(frozen=True)
class Seats:
    """What people pay by head, from a first month up to the one that does not count any more."""

    provider: str
    product: str
    count: int
    cents: int
    team_id: str
    valid_from: date
    valid_to: date


@dataclass
class Bill:
    """Both providers' bills of the whole period, and what they should be compared with. Amounts in 1e-12 USD."""

    buckets: list[Bucket] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    invoiced: list[Invoiced] = field(default_factory=list)
    seats: list[Seats] = field(default_factory=list)
    gateway: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(month, provider) -> what the gateways say"""
    causes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(month, provider, cause) -> what it adds to that"""
    charged: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(month, provider) -> what statements charge: bills without taxes and credits, and of days without one the cost"""

    def add(self, bucket: Bucket) -> None:
        """Adds what one key used and, if it is billed, what that costs."""
        self.buckets.append(bucket)
        if bucket.is_billed:
            self.charged[_month(bucket.day), bucket.key.provider] += sum(bucket.amounts.values())


def issue(meter: Meter, days: Sequence[date]) -> Bill:
    """Bills for what was metered on these days, all of them in order."""
    bill = Bill()
    reported = days[: len(days) - DAYS_MISSING]
    free_day = days[int(len(days) * _NOT_BILLED_AT)]
    blurred = {(of.provider, of.day, of.model_id) for of, count in meter.items() if any(count.unmeasured)}
    for of, count in sorted(meter.items()):
        bill.gateway[_month(of.day), of.provider] += count.reported
        if of.day > reported[-1]:
            bill.causes[_month(of.day), of.provider, "late_data"] -= count.reported
            bill.charged[_month(of.day), of.provider] += count.cost
        else:
            _add_usage(bill, of, count, (of.provider, of.day, of.model_id) not in blurred, of.day == free_day)
    _add_direct(bill, reported, scale=max(1, round(sum(count.requests for count in meter.values()) / 14_000)))
    _add_charges(bill, reported)
    return bill


def _add_usage(bill: Bill, of: Slice, count: Count, is_clear: bool, is_free_day: bool) -> None:
    """A bucket, and each step from what the gateway said to what is billed for it.

    `is_clear`: all that the gateways called of the model on that day was measured, so that no other difference lies
    over one in cached tokens, or over what was not billed.
    """
    key = _KEY_OF[of.provider, of.source, of.instance]
    causes = {
        "gateway_prices": count.cost - count.reported + count.at_old_price,
        "price_changes": -count.at_old_price,
        "unmeasured_attempts": _cost(of, Tokens(*count.unmeasured)),
    }
    tokens = Tokens(*map(add, count.measured, count.unmeasured))
    if is_clear and (key.project_id, of.model_id) in _CACHED and of.day.weekday() in _CACHING_WEEKDAYS:
        cached = tokens._replace(cache_read=tokens.input * 3 // 5)
        causes["cache"] = _cost(of, cached) - _cost(of, tokens)
        tokens = cached
    amounts = units_by_kind(of.model_id, of.day, tokens)
    if key.region is not None and of.model_id in DEARER_IN_REGION:
        causes["regional_uplift"] = _change(amounts, 11, 10)
    if key.is_batch:
        causes["tier_or_batch"] = _change(amounts, 1, 2)
    is_billed = not (is_free_day and is_clear and of.provider == "anthropic")
    if not is_billed:
        causes["not_billed"] = -sum(amounts.values())
    for cause, units in causes.items():
        bill.causes[_month(of.day), of.provider, cause] += units
    bill.add(Bucket(of.day, key, of.model_id, count.requests, tokens, amounts, is_billed))


def _cost(of: Slice, tokens: Tokens) -> int:
    return sum(units_by_kind(of.model_id, of.day, tokens).values())


def _change(amounts: dict[str, int], times: int, by: int) -> int:
    """Multiplies the amounts by a fraction, and returns what that adds. Raises ValueError when it is not exact."""
    before = sum(amounts.values())
    for kind, units in amounts.items():
        amounts[kind], rest = divmod(units * times, by)
        if rest:
            raise ValueError(f"{times}/{by} of {usd_text(units)} USD is no whole number of 1e-12 USD")
    return sum(amounts.values()) - before


def _add_direct(bill: Bill, days: Sequence[date], scale: int) -> None:
    """Workdays of those that have a key of their own."""
    for key in KEYS:
        if key.gateway is not None:
            continue
        model_id, tokens = _DIRECT[key.api_key_id]
        for day in days:
            if day.weekday() >= 5:
                continue
            factor = scale * (day.day % 4 + 1)
            used = Tokens(*(count * factor for count in tokens))
            amounts = units_by_kind(model_id, day, used)
            bill.add(Bucket(day, key, model_id, 6 * factor, used, amounts))
            bill.causes[_month(day), key.provider, "outside_gateway"] += sum(amounts.values())


def _add_charges(bill: Bill, days: Sequence[date]) -> None:
    """A credit in the middle of a month, tax on the invoice of the first whole month, and seats from then on."""
    for day in days:
        if day.day == 15:
            credit = Charge(day, "openai", "Credit", "Promotional credit", -_CENTS_OF_CREDIT * UNITS_PER_CENT)
            bill.charges.append(credit)
            bill.causes[_month(day), "openai", "charges_besides_usage"] += credit.units
    months = [day for day in days if day.day == 1]
    if not months:
        return
    tax = Invoiced(next_month(months[0]), "anthropic", "Tax", "Sales tax", 131 * UNITS_PER_CENT, months[0])
    bill.invoiced.append(tax)
    bill.causes[_month(tax.month), "anthropic", "charges_besides_usage"] += tax.units
    seats = Seats("openai", "ChatGPT Business", 3, 500, "marketing", months[0], next_month(months[-1]))
    bill.seats.append(seats)
    for month in months:
        paid = seats.count * seats.cents * UNITS_PER_CENT
        bill.causes[_month(month), seats.provider, "charges_besides_usage"] += paid
        bill.charged[_month(month), seats.provider] += paid


def _month(day: date) -> str:
    return f"{day:%Y-%m}"


def truth(bill: Bill) -> dict[str, Any]:
    """What the reconciliation must say, JSON-ready: month -> provider -> both sides and every cause."""
    months: dict[str, dict[str, Any]] = {}
    for (month, provider), said in sorted(bill.gateway.items()):
        causes = {cause: bill.causes[month, provider, cause] for cause in CAUSES}
        billed = said + sum(causes.values())
        months.setdefault(month, {})[provider] = {
            "gateway_usd": usd_text(said),
            "provider_usd": usd_text(billed),
            "charged_usd": usd_text(rounded_cents(bill.charged[month, provider]) * UNITS_PER_CENT),
            "causes": {cause: usd_text(units) for cause, units in causes.items() if units},
        }
    return months
