"""From the data set's prices to rows: one row per price cell, each with the dates in which it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.prices.dataset import DatedPrices, Model, Rate, Variant
from llm_spend.prices.makers import maker

# Upstream prices without a date hold from here on: before the first model that anybody was billed for.
EPOCH = date(2020, 1, 1)

# The upstream price keys that the fact can price today -> (usage unit, units that the price is for).
# More units (audio tokens, searches, ...) are more lines here, and a column in int_price_book.
PRICED_UNITS: Mapping[str, tuple[str, int]] = {
    "input_mtok": ("input_tokens", 1_000_000),
    "cache_read_mtok": ("cache_read_tokens", 1_000_000),
    # A write without a stated lifetime is a 5-minute one; the exact key after it replaces it.
    "cache_write_mtok": ("cache_write_5m_tokens", 1_000_000),
    "cache_write_5m_mtok": ("cache_write_5m_tokens", 1_000_000),
    "cache_write_1h_mtok": ("cache_write_1h_tokens", 1_000_000),
    "output_mtok": ("output_tokens", 1_000_000),
    "requests_kcount": ("requests", 1_000),
}

# What a variant's condition is called in our rows. Conditions that aren't here aren't service tiers.
SERVICE_TIERS: Mapping[tuple[str, str], str] = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}

NO_THRESHOLD = -1
_PRICE_DECIMALS = 12


@dataclass(frozen=True)
class PriceCell:
    """One price of a unit, above an input threshold, at a service tier, in [valid_from, valid_to)."""

    provider: str
    channel: str
    model_id: str
    usage_unit: str
    unit_size: int
    unit_price: Decimal
    input_tokens_gt: int
    service_tier: str
    valid_from: date
    valid_to: date | None
    valid_from_basis: str
    source: str
    source_version: str
    currency: str = "USD"
    region_scope: str = "*"

    @property
    def price_id(self) -> str:
        key = (
            self.channel,
            self.model_id,
            self.usage_unit,
            str(self.input_tokens_gt),
            self.service_tier,
            self.region_scope,
            self.valid_from.isoformat(),
        )
        return hashlib.sha256("|".join(key).encode()).hexdigest()[:16]


def depends_on_time_of_day(model: Model) -> bool:
    """Such a model is left out: one price for the whole day would be wrong for a part of it."""
    return any(entry.by_time_of_day for entry in model.prices) or any(
        variant.prices.by_time_of_day for variant in model.variants
    )


def price_cells(channel: str, model: Model, *, source: str, source_version: str) -> list[PriceCell]:
    """All cells of one model. Empty when its price depends on the time of day."""
    if depends_on_time_of_day(model):
        return []
    cells: list[PriceCell] = []
    for tier in ("standard", *dict.fromkeys(SERVICE_TIERS.values())):
        for run in _runs(_timeline(model, tier)):
            cells.append(
                PriceCell(
                    provider=maker(channel, model.model_id),
                    channel=channel,
                    model_id=model.model_id,
                    usage_unit=run.unit,
                    unit_size=run.unit_size,
                    unit_price=run.price,
                    input_tokens_gt=run.threshold,
                    service_tier=tier,
                    valid_from=run.start,
                    valid_to=run.end,
                    valid_from_basis=_basis(tier, run.start),
                    source=source,
                    source_version=source_version,
                )
            )
    return cells


def _basis(tier: str, start: date) -> str:
    """Why we say that the price starts there. Upstream dates variants by when somebody looked them up."""
    if start == EPOCH:
        return "dataset"
    return "documented" if tier == "standard" else "first_seen"


_CellKey = tuple[str, int, int]  # usage unit, unit size, threshold


@dataclass(frozen=True)
class _Run:
    unit: str
    unit_size: int
    threshold: int
    price: Decimal
    start: date
    end: date | None


def _timeline(model: Model, tier: str) -> list[tuple[date, dict[_CellKey, Decimal]]]:
    """The cells of one tier at every date on which one of them may change, oldest first."""
    if tier == "standard":
        entries = model.prices
    else:
        entries = tuple(variant.prices for variant in model.variants if _tier_of(variant) == tier)
    instants = sorted({EPOCH} | {entry.start for entry in entries if entry.start is not None})
    in_force = _last_in_force if tier == "standard" else _merged_in_force
    return [(instant, _cells(in_force(entries, instant))) for instant in instants]


def _tier_of(variant: Variant) -> str | None:
    """The service tier that a variant is for; None when its condition is something else."""
    if len(variant.when) != 1:
        return None
    ((key, value),) = variant.when.items()
    return SERVICE_TIERS.get((key, value))


def _is_in_force(entry: DatedPrices, on: date) -> bool:
    return entry.start is None or entry.start <= on


def _last_in_force(entries: tuple[DatedPrices, ...], on: date) -> Mapping[str, Rate]:
    return next((entry.prices for entry in reversed(entries) if _is_in_force(entry, on)), {})


def _merged_in_force(entries: tuple[DatedPrices, ...], on: date) -> Mapping[str, Rate]:
    merged: dict[str, Rate] = {}
    for entry in reversed([entry for entry in entries if _is_in_force(entry, on)]):
        merged.update(entry.prices)
    return merged


def _cells(prices: Mapping[str, Rate]) -> dict[_CellKey, Decimal]:
    cells: dict[_CellKey, Decimal] = {}
    for price_key, (unit, unit_size) in PRICED_UNITS.items():
        rate = prices.get(price_key)
        if rate is None:
            continue
        cells = {key: price for key, price in cells.items() if key[0] != unit}
        for threshold, price in ((NO_THRESHOLD, rate.base), *rate.tiers):
            cells[unit, unit_size, threshold] = _exact(price, unit_size)
    return cells


def _exact(price: Decimal, unit_size: int) -> Decimal:
    """The price itself; ValueError when the price of one unit needs more decimals than a column holds."""
    single = price / unit_size
    if single != round(single, _PRICE_DECIMALS):
        raise ValueError(f"{price} per {unit_size} needs more than {_PRICE_DECIMALS} decimals per unit")
    return price


def _runs(timeline: list[tuple[date, dict[_CellKey, Decimal]]]) -> Iterator[_Run]:
    """Join equal neighbours: one run per cell and price, ended by a change or by the cell's disappearance."""
    started: dict[_CellKey, date] = {}
    for index, (instant, cells) in enumerate(timeline):
        end, following = timeline[index + 1] if index + 1 < len(timeline) else (None, {})
        for key, price in cells.items():
            start = started.setdefault(key, instant)
            if following.get(key) != price:
                unit, unit_size, threshold = key
                yield _Run(unit, unit_size, threshold, price, start, end)
                del started[key]
