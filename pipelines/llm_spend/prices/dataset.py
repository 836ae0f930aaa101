"""The upstream price data set, as plain immutable values.

Everything else in this package works on these classes, so that only `load_catalogues` knows genai-prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any


class PriceDataUnavailable(RuntimeError):
    """The optional package with the price data isn't installed."""


@dataclass(frozen=True)
class Rate:
    """A price in USD per the unit's size, and what it becomes above a threshold of input tokens."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()
    """(input tokens, price): the price of the whole request when its input is strictly larger."""


@dataclass(frozen=True)
class DatedPrices:
    """Prices by upstream price key (`input_mtok`, ...) from a UTC date on; `start` None means always."""

    prices: Mapping[str, Rate]
    start: date | None = None
    by_time_of_day: bool = False


@dataclass(frozen=True)
class Variant:
    """Prices that replace the standard ones, key by key, for requests that match `when`."""

    when: Mapping[str, str]
    prices: DatedPrices


@dataclass(frozen=True)
class Match:
    """One test of a model name; kind is equals, starts_with, ends_with, contains or regex."""

    kind: str
    pattern: str


@dataclass(frozen=True)
class AnyOf:
    clauses: tuple[Clause, ...]


@dataclass(frozen=True)
class AllOf:
    clauses: tuple[Clause, ...]


Clause = Match | AnyOf | AllOf


@dataclass(frozen=True)
class Model:
    model_id: str
    match: Clause
    prices: tuple[DatedPrices, ...]
    """Of those in force, the last wins."""
    variants: tuple[Variant, ...] = ()
    """Of those that name the same price key, the first wins."""


@dataclass(frozen=True)
class Catalogue:
    """What one company sells; a name is looked up in its own models first, then in the fallbacks' models."""

    channel: str
    models: tuple[Model, ...]
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    source: str
    version: str
    catalogues: tuple[Catalogue, ...]


def load_catalogues(channels: Iterable[str]) -> DataSet:
    """Read the catalogues of `channels`, in that order, from the installed genai-prices package. No network.

    Raises PriceDataUnavailable when the package isn't installed.
    """
    try:
        from importlib.metadata import version

        from genai_prices.data import providers
    except ImportError as error:
        raise PriceDataUnavailable("the price data set is not installed: pip install 'llm-spend[prices]'") from error
    by_id = {provider.id: provider for provider in providers}
    wanted = tuple(channels)
    catalogues = tuple(
        Catalogue(
            channel=channel,
            models=tuple(_model(model) for model in by_id[channel].models),
            fallbacks=tuple(name for name in by_id[channel].fallback_model_providers or () if name in wanted),
        )
        for channel in wanted
    )
    return DataSet(source="genai-prices", version=version("genai-prices"), catalogues=catalogues)


def _model(model: Any) -> Model:
    conditional = model.prices if isinstance(model.prices, list) else [None]
    return Model(
        model_id=model.id,
        match=_clause(model.match),
        prices=tuple(
            _dated(model.prices, None) if entry is None else _dated(entry.prices, entry.constraint)
            for entry in conditional
        ),
        variants=tuple(
            Variant(when=dict(variant.when), prices=_dated(variant.prices, variant.constraint))
            for variant in model.price_variants or ()
        ),
    )


def _dated(prices: Any, constraint: Any) -> DatedPrices:
    return DatedPrices(
        prices={key: _rate(value) for key, value in vars(prices).items() if value is not None},
        start=getattr(constraint, "start_date", None),
        by_time_of_day=hasattr(constraint, "start_time"),
    )


def _rate(value: Any) -> Rate:
    if isinstance(value, Decimal):
        return Rate(base=value)
    return Rate(base=value.base, tiers=tuple((tier.start, tier.price) for tier in value.tiers))


def _clause(clause: Any) -> Clause:
    if hasattr(clause, "or_"):
        return AnyOf(tuple(_clause(part) for part in clause.or_))
    if hasattr(clause, "and_"):
        return AllOf(tuple(_clause(part) for part in clause.and_))
    ((kind, pattern),) = vars(clause).items()
    return Match(kind=kind, pattern=pattern)
