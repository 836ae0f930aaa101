"""What a request costs by the seeds, as far as `prices diff` needs it: tokens and requests, at a day's list price.

The same rules as int_price_book: the request's own service tier before the standard one, the highest threshold that its
input exceeds, the user's price before a correction and that before what was generated; a unit without a price takes its
parent's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.prices.cells import STANDARD, CellKey, Price
from llm_spend.prices.units import PARENTS

UNITS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "requests",
)

PRICE_SEEDS = ("model_prices", "price_corrections", "price_overrides")
"""Each wins over those before it."""

Model = tuple[str, str]
"""(channel, model id)."""


@dataclass(frozen=True)
class ListPrice:
    """A price of the seeds, in [valid_from, valid_to)."""

    key: CellKey
    price: Price
    valid_from: date
    valid_to: date | None
    seed: str = PRICE_SEEDS[0]

    @property
    def rank(self) -> int:
        """Of two prices of a cell, the one with the higher rank wins."""
        return PRICE_SEEDS.index(self.seed)

    def holds(self, on: date) -> bool:
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


@dataclass(frozen=True)
class Use:
    """How much was used of a model on a day, by requests of one service tier and size."""

    day: date
    channel: str
    model_id: str
    service_tier: str
    input_tokens: int
    """Of one of the requests: the same thresholds lie below all of them."""
    quantities: Mapping[str, Decimal]

    @property
    def model(self) -> Model:
        return self.channel, self.model_id

    @property
    def tokens(self) -> Decimal:
        return sum((number for unit, number in self.quantities.items() if unit != "requests"), Decimal(0))


class Book:
    """The list prices of the seeds, to look up."""

    def __init__(self, prices: Iterable[ListPrice], fallbacks: Mapping[str, Sequence[str]]) -> None:
        self._prices: dict[Model, list[ListPrice]] = {}
        for price in prices:
            self._prices.setdefault(price.key.model, []).append(price)
        self._fallbacks = fallbacks

    def seller(self, model: Model) -> Model | None:
        """Whose price list a model of a channel is on; None when it is on none."""
        channel, model_id = model
        lists = ((name, model_id) for name in (channel, *self._fallbacks.get(channel, ())))
        return next((listed for listed in lists if listed in self._prices), None)

    def prices(self, model: Model) -> Sequence[ListPrice]:
        """All prices of the list that a model is on."""
        seller = self.seller(model)
        return self._prices[seller] if seller else ()

    def cost(self, use: Use) -> Decimal | None:
        """In USD; None when something that was used has no price."""
        total = Decimal(0)
        for unit, number in use.quantities.items():
            price = self._price(use, unit)
            if price is None:
                if number and unit != "requests":
                    return None
                continue
            total += number * price.unit_price / price.unit_size
        return total

    def _price(self, use: Use, unit: str) -> Price | None:
        is_own_list = self.seller(use.model) == use.model
        found = [
            listed
            for listed in self.prices(use.model)
            if listed.key.usage_unit == unit
            and listed.key.service_tier in (STANDARD, use.service_tier if is_own_list else STANDARD)
            and listed.key.input_tokens_gt < use.input_tokens
            and listed.holds(use.day)
        ]
        if found:
            best = max(
                found,
                key=lambda listed: (
                    listed.key.service_tier == use.service_tier,
                    listed.key.input_tokens_gt,
                    listed.rank,
                    listed.valid_from,
                ),
            )
            return best.price
        return self._price(use, PARENTS[unit]) if unit in PARENTS else None


def is_simple(listed: ListPrice) -> bool:
    """Whether the price holds all week, everywhere, and is in dollars: the others are not looked up here."""
    key = listed.key
    is_always = not (key.tod_start_utc or key.dow_mask or key.holiday_calendar)
    return is_always and key.region_scope == "*" and listed.price.currency == "USD"
