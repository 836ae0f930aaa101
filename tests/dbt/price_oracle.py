"""What a unit costs, by the rules of docs and seeds, read straight from the CSV files: the price book done another way.

One request at a time, plain loops, no SQL: slow, and simple enough to be believed.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from pathlib import Path

NEVER = datetime(9999, 12, 31)
PARENTS: Mapping[str, tuple[str, ...]] = {
    "cache_read_tokens": ("input_tokens",),
    "cache_write_5m_tokens": ("input_tokens",),
    "cache_write_1h_tokens": ("cache_write_5m_tokens", "input_tokens"),
    "reasoning_tokens": ("output_tokens",),
    "input_audio_tokens": ("input_tokens",),
    "input_image_tokens": ("input_tokens",),
    "input_video_tokens": ("input_tokens",),
    "cache_read_audio_tokens": ("cache_read_tokens", "input_audio_tokens", "input_tokens"),
    "cache_read_image_tokens": ("cache_read_tokens", "input_image_tokens", "input_tokens"),
    "output_audio_tokens": ("output_tokens",),
    "output_image_tokens": ("output_tokens",),
    "output_video_tokens": ("output_tokens",),
    "annotated_pages": ("pages",),
}
"""Whose price a unit without one takes, nearest first."""


def _instant(text: str, empty: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else empty


def _minute(text: str, empty: int) -> int:
    return int(text[:2]) * 60 + int(text[3:]) if text else empty


@dataclass(frozen=True)
class Cell:
    unit: str
    price: Decimal
    threshold: int
    tier: str
    region: str
    minute_from: int
    minute_to: int
    weekdays: str
    calendar: str
    valid_from: datetime
    valid_to: datetime
    is_override: bool

    @property
    def minutes_per_week(self) -> int:
        return len(self.weekdays) * (
            self.minute_to - self.minute_from + (1440 if self.minute_to <= self.minute_from else 0)
        )

    def holds_on_date(self, at: datetime, holidays: frozenset[tuple[str, str]]) -> bool:
        return self.valid_from <= at < self.valid_to and (self.calendar, at.date().isoformat()) not in holidays

    def holds_by_clock(self, at: datetime) -> bool:
        minute = at.hour * 60 + at.minute
        if str(at.isoweekday()) not in self.weekdays:
            return False
        if self.minute_from < self.minute_to:
            return self.minute_from <= minute < self.minute_to
        return minute >= self.minute_from or minute < self.minute_to


@dataclass(frozen=True)
class Multiplier:
    channel: str
    model: str
    unit: str
    tier: str
    region: str
    factor: Decimal
    valid_from: datetime
    valid_to: datetime


@dataclass(frozen=True)
class AliasOverride:
    channel: str
    pattern: str
    match_type: str
    model_id: str
    valid_from: datetime
    valid_to: datetime

    def meant(self, channel: str, name: str, at: datetime) -> bool:
        matches = {
            "equals": name == self.pattern,
            "starts_with": name.startswith(self.pattern),
            "ends_with": name.endswith(self.pattern),
            "contains": self.pattern in name,
        }[self.match_type]
        return channel == self.channel and matches and self.valid_from <= at < self.valid_to


@dataclass(frozen=True)
class UnitPrice:
    """USD for one unit (of audio for an hour)."""

    price: Decimal
    is_override: bool
    is_multiplied: bool


class Oracle:
    def __init__(self, seeds: Path) -> None:
        self.cells: dict[tuple[str, str], list[Cell]] = defaultdict(list)
        for name in ("model_prices", "price_overrides"):
            for row in _rows(seeds / "prices" / f"{name}.csv"):
                if row.get("retracted_at"):
                    continue
                assert row["currency"] == "USD"
                size = Decimal(3600 if row["usage_unit"] == "audio_seconds" else 1) / int(row["unit_size"])
                self.cells[row["channel"], row["model_id"]].append(
                    Cell(
                        unit=row["usage_unit"],
                        price=Decimal(row["unit_price"]) * size,
                        threshold=int(row["input_tokens_gt"] or -1),
                        tier=row["service_tier"] or "standard",
                        region=row["region_scope"] or "*",
                        minute_from=_minute(row["tod_start_utc"], 0),
                        minute_to=_minute(row["tod_end_utc"], 1440),
                        weekdays=row["dow_mask"] or "1234567",
                        calendar=row["holiday_calendar"],
                        valid_from=_instant(row["valid_from"], datetime(2020, 1, 1)),
                        valid_to=_instant(row["valid_to"], NEVER),
                        is_override=name == "price_overrides",
                    )
                )
        self.fallbacks: dict[str, list[str]] = defaultdict(list)
        for row in sorted(_rows(seeds / "prices/channel_fallbacks.csv"), key=lambda row: int(row["fallback_order"])):
            self.fallbacks[row["channel"]].append(row["fallback_channel"])
        self.multipliers = [
            Multiplier(
                *(
                    row[column] or "*"
                    for column in ("channel", "model_pattern", "usage_unit", "service_tier", "region")
                ),
                Decimal(row["multiplier"]),
                _instant(row["valid_from"], datetime(1970, 1, 1)),
                _instant(row["valid_to"], NEVER),
            )
            for row in _rows(seeds / "prices/price_multipliers.csv")
        ]
        self.alias_overrides = [
            AliasOverride(
                row["channel"],
                row["pattern"],
                row["match_type"],
                row["model_id"],
                _instant(row["valid_from"], datetime(1970, 1, 1)),
                _instant(row["valid_to"], NEVER),
            )
            for row in _rows(seeds / "prices/alias_overrides.csv")
        ]
        self.holidays = frozenset(
            (row["holiday_calendar"], row["holiday_date"]) for row in _rows(seeds / "prices/holidays.csv")
        )

    def cells_of(self, channel: str, model_id: str) -> list[Cell]:
        """What a channel's own list says, else the standard prices of the first fallback that has the model."""
        if own := self.cells.get((channel, model_id)):
            return own
        for fallback in self.fallbacks.get(channel, ()):
            if listed := self.cells.get((fallback, model_id)):
                return [cell for cell in listed if cell.tier == "standard"]
        return []

    def changes(self, channel: str, model_id: str) -> list[datetime]:
        """Every instant at which a price of the model may change."""
        instants = {at for cell in self.cells_of(channel, model_id) for at in (cell.valid_from, cell.valid_to)}
        return sorted(at for at in instants if at < NEVER)

    def override_of(self, channel: str, name: str, at: datetime) -> str | None:
        """The model that alias_overrides says a name means, if it says anything."""
        return next((alias.model_id for alias in self.alias_overrides if alias.meant(channel, name, at)), None)

    def unit_prices(
        self, channel: str, model_id: str, at: datetime, tier: str, region: str, input_tokens: int
    ) -> dict[str, UnitPrice]:
        """By usage unit, parents' prices included; a unit that is missing has no price."""
        of_the_day = [cell for cell in self.cells_of(channel, model_id) if cell.holds_on_date(at, self.holidays)]
        if not any(cell.tier == tier for cell in of_the_day):
            tier = "standard"
        best: dict[str, Cell] = {}
        for cell in of_the_day:
            if (
                cell.tier in (tier, "standard")
                and cell.region in (region, "*")
                and input_tokens > cell.threshold
                and cell.holds_by_clock(at)
                and (cell.unit not in best or _rank(cell, tier, region) > _rank(best[cell.unit], tier, region))
            ):
                best[cell.unit] = cell
        prices = {unit: self._multiplied(cell, channel, model_id, at, tier, region) for unit, cell in best.items()}
        for unit, parents in PARENTS.items():
            if unit not in best and (nearest := next((parent for parent in parents if parent in best), None)):
                prices[unit] = prices[nearest]
        return prices

    def _multiplied(self, cell: Cell, channel: str, model_id: str, at: datetime, tier: str, region: str) -> UnitPrice:
        fitting = [
            multiplier
            for multiplier in self.multipliers
            if fnmatchcase(channel, multiplier.channel)
            and fnmatchcase(model_id.lower(), multiplier.model)
            and fnmatchcase(cell.unit, multiplier.unit)
            and fnmatchcase(tier, multiplier.tier)
            and (multiplier.region == "*" or (multiplier.region == region and cell.region == "*"))
            and multiplier.valid_from <= at < multiplier.valid_to
        ]
        if not fitting:
            return UnitPrice(cell.price, cell.is_override, False)
        first = max(fitting, key=lambda one: (one.region != "*", len(one.model), one.unit == cell.unit))
        return UnitPrice(to_12_digits(cell.price * first.factor), cell.is_override, True)


def _rank(cell: Cell, tier: str, region: str) -> tuple[object, ...]:
    return (
        cell.tier == tier,
        cell.region == region,
        cell.threshold,
        cell.is_override,
        -cell.minutes_per_week,
        bool(cell.calendar),
        cell.valid_from,
    )


def to_12_digits(amount: Decimal) -> Decimal:
    """Rounded half-up, as a column of money does."""
    return amount.quantize(Decimal("1e-12"), ROUND_HALF_UP)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
