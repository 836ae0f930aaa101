"""What the demo's models cost, written by hand from the providers' price pages.

The truth is computed from this table and from nothing else, so that it checks the price seeds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

UNITS_PER_USD = 10**12
"""All amounts of the demo are integers of 1e-12 USD: exact, fast, and nothing is ever rounded."""

_LONG_AGO = date(2000, 1, 1)


@dataclass(frozen=True)
class Rate:
    """USD per 1M tokens of every bucket; None: the provider has no such price."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None


class Tokens(NamedTuple):
    """Tokens of one attempt. `input` includes cache reads and writes, `output` includes reasoning."""

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True)
class Price:
    """The rate from `valid_from` on; `long` replaces it when all input is more than `long_above` tokens."""

    rate: Rate
    valid_from: date = _LONG_AGO
    long_above: int | None = None
    long: Rate | None = None


def _rate(input_: str, output: str, *cache: str) -> Rate:
    return Rate(Decimal(input_), Decimal(output), *(Decimal(price) for price in cache))


PRICES: dict[str, tuple[Price, ...]] = {
    "gpt-4o": (Price(_rate("2.5", "10", "1.25")),),
    "gpt-4o-mini": (Price(_rate("0.15", "0.60", "0.075")),),
    "gpt-4.1": (Price(_rate("2", "8", "0.5")),),
    "gpt-5": (Price(_rate("1.25", "10", "0.125")),),
    "gpt-5-mini": (Price(_rate("0.25", "2", "0.025")),),
    "gpt-5.6-sol": (Price(_rate("5", "30")), Price(_rate("4", "20"), valid_from=date(2026, 8, 21))),
    "o4-mini": (Price(_rate("1.1", "4.4", "0.275")),),
    "text-embedding-3-small": (Price(_rate("0.02", "0")),),
    "claude-opus-4-5": (Price(_rate("5", "25", "0.5", "6.25", "10")),),
    "claude-sonnet-4-5": (Price(_rate("3", "15", "0.3", "3.75", "6")),),
    "claude-haiku-4-5": (Price(_rate("1", "5", "0.1", "1.25", "2")),),
    "gemini-2.5-pro": (Price(_rate("1.25", "10", "0.125"), long_above=200_000, long=_rate("2.5", "15", "0.25")),),
    "gemini-2.5-flash": (Price(_rate("0.30", "2.50", "0.03")),),
}


DEARER_IN_REGION = frozenset({"gpt-5.6-sol"})
"""Models that cost a tenth more in a data residency region."""

SPLIT_BY_MODALITY = frozenset({"gemini-2.5-flash"})
"""Models with other prices for audio. No log of the demo tells audio from text, so it is all priced as text."""


def cost_units(model_id: str, on: date, tokens: Tokens) -> int:
    """Cost in 1e-12 USD. Raises KeyError for a model without price, ValueError for a bucket without price."""
    history = PRICES[model_id]
    price = history[bisect_right(history, on, key=lambda entry: entry.valid_from) - 1]
    rate = price.rate
    if price.long is not None and price.long_above is not None and tokens.input > price.long_above:
        rate = price.long
    uncached = tokens.input - tokens.cache_read - tokens.cache_write
    units = uncached * _per_token(rate.input) + tokens.output * _per_token(rate.output)
    for count, cache_price in (
        (tokens.cache_read, rate.cache_read),
        (tokens.cache_write_5m, rate.cache_write_5m),
        (tokens.cache_write_1h, rate.cache_write_1h),
    ):
        if count:
            units += count * _per_token(cache_price)
    return units


def units_by_kind(model_id: str, on: date, tokens: Tokens) -> dict[str, int]:
    """Cost in 1e-12 USD of each kind of tokens that there are, by field of `Rate`: many short requests together."""
    history = PRICES[model_id]
    rate = history[bisect_right(history, on, key=lambda entry: entry.valid_from) - 1].rate
    counts = {
        "input": tokens.input - tokens.cache_read - tokens.cache_write,
        "cache_read": tokens.cache_read,
        "cache_write_5m": tokens.cache_write_5m,
        "cache_write_1h": tokens.cache_write_1h,
        "output": tokens.output,
    }
    return {kind: count * _per_token(getattr(rate, kind)) for kind, count in counts.items() if count}


_CACHE: dict[Decimal, int] = {}


def _per_token(price: Decimal | None) -> int:
    """1e-12 USD per token from USD per 1M tokens."""
    if price is None:
        raise ValueError("the demo used tokens of a kind that the model has no price for")
    found = _CACHE.get(price)
    if found is None:
        exact = price * (UNITS_PER_USD // 1_000_000)
        found = int(exact)
        if found != exact:
            raise ValueError(f"{price} USD per 1M tokens is not a whole number of 1e-12 USD per token")
        _CACHE[price] = found
    return found


def usd_text(units: int) -> str:
    """Plain decimal text of an amount, without exponent and without trailing zeros."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(units, UNITS_PER_USD)
    text = f"{whole}.{fraction:012d}".rstrip("0").rstrip(".")
    return f"{sign}{text}"
