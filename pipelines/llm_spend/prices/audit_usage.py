"""How much of every price was used in the last full month: what a difference between two prices is worth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from llm_spend.answers.marts import MARTS, open_marts
from llm_spend.destinations import Destination
from llm_spend.months import back, month_of
from llm_spend.prices.audit import TierUsage, Usage
from llm_spend.prices.cells import NO_THRESHOLD, STANDARD
from llm_spend.prices.units import UNITS

_FACT = "fct_llm_requests"
# Every threshold that a price of either data set has is one of these, or lies a token below.
_CLASSES = (100_000, 128_000, 200_000, 256_000, 272_000, 512_000)
_COLUMNS = {unit.name: unit.usage_column for unit in UNITS if unit.usage_column}


def last_full_month(today: date) -> tuple[date, date]:
    """The half-open range of the calendar month before the one of `today`."""
    end = month_of(today)
    return back(end, 1), end


def month_usage(destination: Destination, today: date) -> Usage:
    """Usage of the last full month by channel and model.

    Raises UserError when the destination can't be read or its tables were not built.
    """
    start, end = last_full_month(today)
    with open_marts(destination, frozenset({_FACT})) as marts:
        units = _counted_units(destination)
        return usage_of(units, marts.rows(_query(units), start, end))


def usage_of(units: Sequence[str], rows: Sequence[Sequence[Any]]) -> Usage:
    """Rows (channel, model id, tier, size class, one sum a unit) by model; a sum that is NULL counts as nothing."""
    usage: dict[tuple[str, str], list[TierUsage]] = {}
    for channel, model_id, tier, above, *sums in rows:
        quantities = {unit: Decimal(value) for unit, value in zip(units, sums, strict=True) if value is not None}
        usage.setdefault((channel, model_id), []).append(TierUsage(tier, int(above), quantities))
    return usage


def _counted_units(destination: Destination) -> list[str]:
    """The units that the fact counts: one that an older version built has fewer columns."""
    with destination.reading() as connection:
        table = f"{destination.schemas.public}.{_FACT}"
        columns, _ = connection.table(f"select * from {table} where usage_date = %s", (date.min,))
    return [unit for unit, column in _COLUMNS.items() if column in columns]


def _query(units: Sequence[str]) -> str:
    classes = " ".join(f"when input_tokens > {size} then {size}" for size in sorted(_CLASSES, reverse=True))
    sums = ", ".join(f"sum({_COLUMNS[unit]}) as {unit}" for unit in units)
    return (
        f"select channel, model_id, coalesce(service_tier, '{STANDARD}') as tier,"
        f" case {classes} else {NO_THRESHOLD} end as size_class, {sums}"
        f" from {MARTS}.{_FACT}"
        " where usage_date >= ? and usage_date < ? and is_of_record and channel is not null and model_id is not null"
        " group by 1, 2, 3, 4"
    )
