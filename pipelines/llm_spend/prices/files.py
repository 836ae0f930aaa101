"""The price seeds as files: rows to CSV text, and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from llm_spend.build import project_dir
from llm_spend.close_ledger import closed_periods, read_ledger
from llm_spend.prices.aliases import Alias
from llm_spend.prices.book import PRICE_SEEDS, ListPrice
from llm_spend.prices.cells import EPOCH, NO_THRESHOLD, CellKey, Price, Span
from llm_spend.prices.ledger import LedgerRow
from llm_spend.seeds import parsed_rows, seed_place

PRICES, ALIASES, FALLBACKS = "model_prices.csv", "model_aliases.csv", "channel_fallbacks.csv"
HAND_WRITTEN = tuple(f"{seed}.csv" for seed in PRICE_SEEDS[1:])
CLOSED_PERIODS = "period_close.csv"

PRICE_COLUMNS = (
    "price_id",
    "provider",
    "channel",
    "model_id",
    "usage_unit",
    "unit_size",
    "unit_price",
    "currency",
    "input_tokens_gt",
    "service_tier",
    "region_scope",
    "tod_start_utc",
    "tod_end_utc",
    "dow_mask",
    "holiday_calendar",
    "valid_from",
    "valid_to",
    "valid_from_basis",
    "source",
    "source_version",
    "recorded_at",
    "retracted_at",
)
ALIAS_COLUMNS = (
    "provider",
    "channel",
    "model_id",
    "match_type",
    "pattern",
    "excluded_pattern",
    "catalogue_order",
    "valid_from",
    "valid_to",
)
FALLBACK_COLUMNS = ("channel", "fallback_channel", "fallback_order")
HAND_WRITTEN_COLUMNS = (*PRICE_COLUMNS[: PRICE_COLUMNS.index("recorded_at")], "reason", "source_url")

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Fallback:
    """Names that a channel does not list are looked up in another channel's catalogue."""

    channel: str
    fallback_channel: str
    fallback_order: int


def seed_file(folder: Path | None, name: str) -> Path:
    """The seed file that a build would read: the one in the user's folder, else the one that came with the package."""
    own = seed_place(folder, "prices", name) if folder else None
    return own if own and own.is_file() else next((project_dir() / "seeds").rglob(name))


def price_text(rows: Iterable[LedgerRow]) -> str:
    """The CSV of the ledger, in the order of `rows`; prices are plain decimal text."""
    return _csv(PRICE_COLUMNS, map(_price_values, rows))


def alias_text(rows: Iterable[Alias]) -> str:
    """The CSV of the alias table, in the order of `rows`."""
    return _csv(ALIAS_COLUMNS, map(_alias_values, rows))


def fallback_text(rows: Iterable[Fallback]) -> str:
    """The CSV of the fallbacks, in the order of `rows`."""
    return _csv(FALLBACK_COLUMNS, ((row.channel, row.fallback_channel, str(row.fallback_order)) for row in rows))


def read_prices(path: Path) -> list[LedgerRow]:
    """The rows of a ledger. Raises UserError that names file and line."""
    return _read(path, PRICE_COLUMNS, _price_row)


def read_aliases(path: Path) -> list[Alias]:
    """The rows of an alias table. Raises UserError that names file and line."""
    return _read(path, ALIAS_COLUMNS, _alias_row)


def read_fallbacks(path: Path) -> list[Fallback]:
    """The rows of the fallbacks. Raises UserError that names file and line."""
    return _read(
        path,
        FALLBACK_COLUMNS,
        lambda row: Fallback(row["channel"], row["fallback_channel"], int(row["fallback_order"])),
    )


def read_hand_written(path: Path) -> list[ListPrice]:
    """Corrections or overrides, by the file's name. An instant counts from its day.

    Raises UserError that names file and line.
    """
    return _read(path, HAND_WRITTEN_COLUMNS, lambda row: _hand_written(row, seed=path.stem))


def read_closed_periods(path: Path) -> list[date]:
    """The first days of closed months. Raises UserError that names file and line."""
    return sorted(closed_periods(read_ledger(path)))


def plain(price: Decimal) -> str:
    """Decimal text without exponent or trailing zeros: 2.5, 0.003625, 100."""
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _price_values(row: LedgerRow) -> Sequence[str]:
    key, span = row.key, row.span
    return (
        row.price_id,
        row.provider,
        key.channel,
        key.model_id,
        key.usage_unit,
        str(span.price.unit_size),
        plain(span.price.unit_price),
        span.price.currency,
        str(key.input_tokens_gt),
        key.service_tier,
        key.region_scope,
        key.tod_start_utc,
        key.tod_end_utc,
        key.dow_mask,
        key.holiday_calendar,
        _text(span.valid_from),
        _text(span.valid_to),
        span.basis,
        row.source,
        row.source_version,
        _text(row.recorded_at),
        _text(row.retracted_at),
    )


def _price_row(row: dict[str, str]) -> LedgerRow:
    return LedgerRow(
        price_id=row["price_id"],
        provider=row["provider"],
        key=_key(row),
        span=Span(
            price=_price(row),
            valid_from=date.fromisoformat(row["valid_from"]),
            valid_to=_day(row["valid_to"]),
            basis=row["valid_from_basis"],
        ),
        source=row["source"],
        source_version=row["source_version"],
        recorded_at=date.fromisoformat(row["recorded_at"]),
        retracted_at=_day(row["retracted_at"]),
    )


def _hand_written(row: dict[str, str], seed: str) -> ListPrice:
    return ListPrice(
        key=_key(row),
        price=_price(row),
        valid_from=_instant(row["valid_from"]).date() if row["valid_from"] else EPOCH,
        valid_to=_instant(row["valid_to"]).date() if row["valid_to"] else None,
        seed=seed,
    )


def _key(row: dict[str, str]) -> CellKey:
    return CellKey(
        channel=row["channel"],
        model_id=row["model_id"],
        service_tier=row["service_tier"] or "standard",
        usage_unit=row["usage_unit"],
        input_tokens_gt=int(row["input_tokens_gt"] or NO_THRESHOLD),
        region_scope=row["region_scope"] or "*",
        tod_start_utc=row["tod_start_utc"],
        tod_end_utc=row["tod_end_utc"],
        dow_mask=row["dow_mask"],
        holiday_calendar=row["holiday_calendar"],
    )


def _price(row: dict[str, str]) -> Price:
    return Price(Decimal(row["unit_price"]), int(row["unit_size"]), row["currency"] or "USD")


def _alias_values(row: Alias) -> Sequence[str]:
    return (
        row.provider,
        row.channel,
        row.model_id,
        row.match_type,
        row.pattern,
        row.excluded_pattern,
        str(row.catalogue_order),
        _text(row.valid_from),
        _text(row.valid_to),
    )


def _alias_row(row: dict[str, str]) -> Alias:
    return Alias(
        provider=row["provider"],
        channel=row["channel"],
        model_id=row["model_id"],
        match_type=row["match_type"],
        pattern=row["pattern"],
        excluded_pattern=row["excluded_pattern"],
        catalogue_order=int(row["catalogue_order"]),
        valid_from=_day(row["valid_from"]),
        valid_to=_day(row["valid_to"]),
    )


def _text(day: date | None) -> str:
    return day.isoformat() if day else ""


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def _read(path: Path, columns: Sequence[str], parse: Callable[[dict[str, str]], _Row]) -> list[_Row]:
    remedy = "Correct that line, or restore the file if `llm-spend prices generate` writes it."
    return parsed_rows(path, columns, parse, remedy=remedy)
