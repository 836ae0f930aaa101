"""From the data set's prices to price cells, each with the dates and the time of day in which it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.prices.dataset import DatedPrices, Model, Rate, Variant
from llm_spend.prices.units import UNITS, UPSTREAM_KEYS, Unit

# Upstream prices without a date hold from here on: before the first model that anybody was billed for.
EPOCH = date(2020, 1, 1)

# What a variant's condition is called in our rows. Conditions that aren't here aren't service tiers.
SERVICE_TIERS: Mapping[tuple[str, str], str] = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}

NO_THRESHOLD = -1
STANDARD = "standard"
ALL_DAY = ("", "")


@dataclass(frozen=True, order=True)
class CellKey:
    """The natural key of a price: of all rows that count and have it, one holds at any time."""

    channel: str
    model_id: str
    service_tier: str
    usage_unit: str
    input_tokens_gt: int = NO_THRESHOLD
    region_scope: str = "*"
    tod_start_utc: str = ""
    tod_end_utc: str = ""
    dow_mask: str = ""
    holiday_calendar: str = ""

    @property
    def model(self) -> tuple[str, str]:
        return self.channel, self.model_id

    @property
    def family(self) -> tuple[str, ...]:
        """What thresholds and times of day are variations of."""
        return self.channel, self.model_id, self.service_tier, self.usage_unit, self.region_scope


@dataclass(frozen=True)
class Price:
    """So much for `unit_size` units."""

    unit_price: Decimal
    unit_size: int
    currency: str = "USD"


@dataclass(frozen=True)
class Span:
    """A price in [valid_from, valid_to), and why we say that it starts there.

    The basis is `documented` (the provider's date), `dataset` (undated, so since EPOCH) or `first_seen`.
    """

    price: Price
    valid_from: date
    valid_to: date | None
    basis: str


def price_spans(channel: str, model: Model) -> dict[CellKey, tuple[Span, ...]]:
    """All prices of one model: spans in order of time, which never overlap and never repeat the price before."""
    spans: dict[CellKey, list[Span]] = {}
    for tier in (STANDARD, *dict.fromkeys(SERVICE_TIERS.values())):
        for (unit, threshold, window), span in _runs(tier, _timeline(model, tier)):
            key = CellKey(
                channel=channel,
                model_id=model.model_id,
                service_tier=tier,
                usage_unit=unit,
                input_tokens_gt=threshold,
                tod_start_utc=window[0],
                tod_end_utc=window[1],
            )
            spans.setdefault(key, []).append(span)
    return {key: tuple(sorted(found, key=lambda span: span.valid_from)) for key, found in spans.items()}


def left_out(channel: str, model: Model) -> Iterator[str]:
    """A line for each price of a model that our rows leave out, and for each that they round."""
    name = f"{channel} {model.model_id}"
    entries = (*model.prices, *(variant.prices for variant in model.variants))
    for key in sorted({key for entry in entries for key in entry.prices} - UPSTREAM_KEYS):
        yield f"{name}: unit {key}"
    for condition in sorted({_condition(variant) for variant in model.variants if _is_unknown(variant, model)}):
        yield f"{name}: prices for {condition}"
    for price in sorted({price for entry in entries for price in _rounded(entry.prices)}):
        yield f"{name}: {price} is rounded, it has more digits than a column holds"


def _condition(variant: Variant) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(variant.when.items()))


def _is_unknown(variant: Variant, model: Model) -> bool:
    """A condition that is no tier, under which something costs other than the standard price."""
    current = model.prices[-1].prices if model.prices else {}
    return _tier_of(variant) is None and any(current.get(key) != rate for key, rate in variant.prices.prices.items())


def _rounded(prices: Mapping[str, Rate]) -> Iterator[str]:
    for unit in UNITS:
        for key in unit.upstream_keys:
            if rate := prices.get(key):
                for _, price in _steps(rate):
                    if _held(price, unit) != price:
                        yield f"{key} {price}"


_UnitKey = tuple[str, int]  # usage unit, threshold
_SlotKey = tuple[str, int, tuple[str, str]]  # the same and a window
# The prices of an instant: a day, and a minute of it or None.
_InForce = Callable[[tuple[DatedPrices, ...], date, int | None], Mapping[str, Rate]]


def _timeline(model: Model, tier: str) -> list[tuple[date, dict[_SlotKey, Price]]]:
    """The cells of one tier at every date on which one of them may change, oldest first."""
    if tier == STANDARD:
        entries = model.prices
    else:
        entries = tuple(variant.prices for variant in model.variants if _tier_of(variant) == tier)
    if not entries:
        return []
    instants = sorted({EPOCH} | {entry.start for entry in entries if entry.start is not None})
    in_force = _last_in_force if tier == STANDARD else _merged_in_force
    return [(instant, _daily(entries, instant, in_force)) for instant in instants]


def _tier_of(variant: Variant) -> str | None:
    """The service tier that a variant is for; None when its condition is something else."""
    if len(variant.when) != 1:
        return None
    ((key, value),) = variant.when.items()
    return SERVICE_TIERS.get((key, value))


def _is_in_force(entry: DatedPrices, on: date, minute: int | None) -> bool:
    """On a day and in a minute of it; None is any minute, which a price by time of day is not for."""
    if entry.window is not None:
        start, end = entry.window
        if minute is None:
            return False
        if not (start <= minute < end if start <= end else minute >= start or minute < end):
            return False
    return entry.start is None or entry.start <= on


def _last_in_force(entries: tuple[DatedPrices, ...], on: date, minute: int | None) -> Mapping[str, Rate]:
    active = (entry for entry in reversed(entries) if _is_in_force(entry, on, minute))
    return next(active, entries[0]).prices


def _merged_in_force(entries: tuple[DatedPrices, ...], on: date, minute: int | None) -> Mapping[str, Rate]:
    merged: dict[str, Rate] = {}
    for entry in reversed(entries):
        if _is_in_force(entry, on, minute):
            merged.update(entry.prices)
    return merged


def _daily(entries: tuple[DatedPrices, ...], on: date, in_force: _InForce) -> dict[_SlotKey, Price]:
    """The prices of a day: for all of it, and for the times in which another one holds instead."""
    usual = _cells(in_force(entries, on, None))
    edges = sorted({0} | {minute for entry in entries if entry.window for minute in entry.window})
    slots = [_cells(in_force(entries, on, minute)) for minute in edges]
    daily: dict[_SlotKey, Price] = {}
    for key in {key for slot in slots for key in slot}:
        prices = [slot.get(key) for slot in slots]
        # Without a price for every minute there is none for all day: it would fill the gaps.
        all_day = None if None in prices else prices[0] if len(set(prices)) == 1 else usual.get(key)
        if all_day is not None:
            daily[(*key, ALL_DAY)] = all_day
        for window, price in _windows(edges, prices):
            if price not in (None, all_day):
                daily[(*key, window)] = price  # type: ignore[assignment]
    return daily


def _windows(edges: Sequence[int], prices: Sequence[Price | None]) -> Iterator[tuple[tuple[str, str], Price | None]]:
    """Each stretch of a day with one price, as long as it gets, over midnight too."""
    changes = [n for n in range(len(edges)) if prices[n] != prices[n - 1]]
    for n, at in enumerate(changes):
        until = changes[(n + 1) % len(changes)]
        yield (_clock(edges[at]), _clock(edges[until])), prices[at]


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"


def _cells(prices: Mapping[str, Rate]) -> dict[_UnitKey, Price]:
    cells: dict[_UnitKey, Price] = {}
    for unit in UNITS:
        rate = next((prices[key] for key in unit.upstream_keys if key in prices), None)
        if rate is not None:
            for threshold, price in _steps(rate):
                cells[unit.name, threshold] = Price(_held(price, unit), unit.size)
    return cells


def _steps(rate: Rate) -> tuple[tuple[int, Decimal], ...]:
    return ((NO_THRESHOLD, rate.base), *rate.tiers)


def _held(price: Decimal, unit: Unit) -> Decimal:
    """The price as the price book can hold it."""
    return round(price, unit.decimals).normalize()


def _runs(tier: str, timeline: Iterable[tuple[date, Mapping[_SlotKey, Price]]]) -> Iterator[tuple[_SlotKey, Span]]:
    """Join equal neighbours: one span per cell and price, ended by a change or by the cell's disappearance."""
    steps = list(timeline)
    started: dict[_SlotKey, date] = {}
    for index, (instant, cells) in enumerate(steps):
        end, following = steps[index + 1] if index + 1 < len(steps) else (None, {})
        for key, price in cells.items():
            start = started.setdefault(key, instant)
            if following.get(key) != price:
                yield key, Span(price, start, end, _basis(tier, start))
                del started[key]


def _basis(tier: str, start: date) -> str:
    """Why we say that the price starts there. Upstream dates variants by when somebody looked them up."""
    if start == EPOCH:
        return "dataset"
    return "documented" if tier == STANDARD else "first_seen"
