"""The upstream price data set, as plain immutable values.

Everything else in this package works on these classes, so that only `load_catalogues` knows genai-prices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from llm_spend.errors import UserError


class PriceDataUnavailable(UserError):
    """The optional package with the price data isn't installed."""


@dataclass(frozen=True)
class Rate:
    """A price in USD per the unit's size, and what it becomes above a threshold of input tokens."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()
    """(input tokens, price): the price of the whole request when its input is strictly larger."""


@dataclass(frozen=True)
class DatedPrices:
    """Prices by upstream price key (`input_mtok`, ...), from a UTC date on or at some time of every day."""

    prices: Mapping[str, Rate]
    start: date | None = None
    window: tuple[int, int] | None = None
    """Half-open minutes of the UTC day; an end before the start is on the next day."""


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
    """Of those in force, the last wins; the first, when none is."""
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


def load_catalogues(channels: Collection[str] | None = None) -> DataSet:
    """Read the catalogues of `channels`, all if None, from the installed genai-prices package. No network.

    Raises PriceDataUnavailable when the package isn't installed, UserError for a channel that it doesn't have.
    """
    try:
        from importlib.metadata import version

        from genai_prices.data import providers
    except ImportError as error:
        raise PriceDataUnavailable(
            "The price data set is not installed.", "Install it: pip install 'llm-spend[prices]'"
        ) from error
    by_id = {provider.id: provider for provider in providers}
    wanted = sorted(by_id if channels is None else set(channels))
    unknown = [name for name in wanted if name not in by_id]
    if unknown:
        raise UserError(
            f"The price data set has no provider {', '.join(unknown)}.", f"It has {', '.join(sorted(by_id))}."
        )
    catalogues = tuple(
        Catalogue(
            channel=channel,
            models=tuple(_model(model) for model in by_id[channel].models),
            fallbacks=tuple(by_id[channel].fallback_model_providers or ()),
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
        window=(_minute(constraint.start_time), _minute(constraint.end_time))
        if hasattr(constraint, "start_time")
        else None,
    )


def _minute(moment: time) -> int:
    """Minute of the UTC day; a time without zone is UTC. ValueError for one between two minutes."""
    if moment.tzinfo is not None:
        moment = datetime.combine(date(2000, 1, 1), moment).astimezone(UTC).time()
    if moment.second or moment.microsecond:
        raise ValueError(f"a price begins or ends at {moment}, which is no whole minute")
    return moment.hour * 60 + moment.minute


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
