"""What the demo's models cost, written by hand from the providers' price pages.

The truth is computed from this table and from nothing else, so that it checks the price seeds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from functools import cached_property
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

    @cached_property
    def per_token(self) -> dict[str, int]:
        """1e-12 USD per token of every bucket that has a price."""
        return {
            each.name: _per_token(price) for each in fields(self) if (price := getattr(self, each.name)) is not None
        }

    @cached_property
    def inherited(self) -> Rate:
        """The same, where cached tokens that have no price cost what plain input does."""
        write_5m = self.cache_write_5m or self.input
        return Rate(
            self.input, self.output, self.cache_read or self.input, write_5m, self.cache_write_1h or write_5m
        )  # fmt: skip


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
    "gemini-3.1-pro-preview": (Price(_rate("2", "12", "0.2"), long_above=200_000, long=_rate("4", "18", "0.4")),),
    "gemini-3.5-flash": (Price(_rate("1.5", "9", "0.15")),),
}


DEARER_IN_REGION = frozenset({"gpt-5.6-sol"})
"""Models that cost a tenth more in a data residency region."""

SPLIT_BY_MODALITY = frozenset({"gemini-2.5-flash"})
"""Models with other prices for audio. No log of the demo tells audio from text, so it is all priced as text."""


def cost_units(model_id: str, on: date, tokens: Tokens) -> int:
    """Cost in 1e-12 USD. Raises KeyError for a model without price, ValueError for a bucket without price."""
    return _units(_rate_of(model_id, on, tokens.input), tokens)


def units_with_inherited_prices(model_id: str, on: date, tokens: Tokens) -> int:
    """The same, where cached tokens that the provider has no price for cost what plain input does."""
    return _units(_rate_of(model_id, on, tokens.input).inherited, tokens)


def _rate_of(model_id: str, on: date, input_tokens: int) -> Rate:
    price = _price_of(model_id, on)
    if price.long is not None and price.long_above is not None and input_tokens > price.long_above:
        return price.long
    return price.rate


def _price_of(model_id: str, on: date) -> Price:
    history = PRICES[model_id]
    if len(history) == 1:
        return history[0]
    return history[bisect_right(history, on, key=lambda entry: entry.valid_from) - 1]


def _units(rate: Rate, tokens: Tokens) -> int:
    prices = rate.per_token
    cached = tokens.cache_read + tokens.cache_write
    units = (tokens.input - cached) * prices["input"] + tokens.output * prices["output"]
    if cached:
        for kind in _CACHED:
            if count := getattr(tokens, kind):
                units += count * _known(prices, kind)
    return units


def units_by_kind(model_id: str, on: date, tokens: Tokens) -> dict[str, int]:
    """Cost in 1e-12 USD of each kind of tokens that there are, by field of `Rate`: many short requests together."""
    prices = _price_of(model_id, on).rate.per_token
    counts = {
        "input": tokens.input - tokens.cache_read - tokens.cache_write,
        "cache_read": tokens.cache_read,
        "cache_write_5m": tokens.cache_write_5m,
        "cache_write_1h": tokens.cache_write_1h,
        "output": tokens.output,
    }
    return {kind: count * _known(prices, kind) for kind, count in counts.items() if count}


_CACHED = ("cache_read", "cache_write_5m", "cache_write_1h")


def _known(prices: Mapping[str, int], kind: str) -> int:
    if kind not in prices:
        raise ValueError("the demo used tokens of a kind that the model has no price for")
    return prices[kind]


def _per_token(price: Decimal) -> int:
    """1e-12 USD per token from USD per 1M tokens."""
    exact = price * (UNITS_PER_USD // 1_000_000)
    if exact != int(exact):
        raise ValueError(f"{price} USD per 1M tokens is not a whole number of 1e-12 USD per token")
    return int(exact)


def usd_text(units: int) -> str:
    """Plain decimal text of an amount, without exponent and without trailing zeros."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(units, UNITS_PER_USD)
    text = f"{whole}.{fraction:012d}".rstrip("0").rstrip(".")
    return f"{sign}{text}"
