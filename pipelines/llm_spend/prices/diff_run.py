"""The comparison as the command runs it: seeds, the installed data set, and usage when there is a warehouse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_spend.answers.marts import MARTS, open_marts
from llm_spend.destinations import Destination
from llm_spend.errors import UserError
from llm_spend.prices import book, files
from llm_spend.prices.aliases import Alias
from llm_spend.prices.book import Book, ListPrice, Model, Use
from llm_spend.prices.diff import NOT_COVERED, Effect, PriceDiff, changed_models, effects, listed, uncovered, upcoming
from llm_spend.prices.generate import Plan, make_plan
from llm_spend.prices.units import UNITS_BY_NAME

_FACT = "fct_llm_requests"
# Rows whose cost is their usage times list prices, or would be if there were some.
_PRICED = ("priced", "assumed_standard", "parent_unit", "free", "unpriced")
_STANDARD_TIERS = ("standard", "default", "auto")
_COLUMNS = {unit: UNITS_BY_NAME[unit].usage_column for unit in book.UNITS}


def run(
    seeds: Path,
    *,
    providers: Collection[str] | None,
    destination: Callable[[], Destination],
    as_of: date | None = None,
    must_have_usage: bool = False,
) -> PriceDiff:
    """Compare the seeds in a folder, which need not exist, with the installed data set.

    Without a warehouse that was built, the report says why it has no effects, unless `must_have_usage`: then, and for
    files that can't be read, UserError is raised.
    """
    plan = make_plan(seeds, providers=providers, as_of=as_of)
    by_hand = [price for name in files.HAND_WRITTEN for price in files.read_hand_written(files.seed_file(seeds, name))]
    closed = files.read_closed_periods(files.seed_file(seeds, files.CLOSED_PERIODS))
    found: list[Effect] | None = None
    not_covered: list[str] = []
    reason = None
    try:
        found, not_covered = _effects(plan, by_hand, closed, destination())
    except UserError as error:
        if must_have_usage:
            raise
        reason = error.problem
    return PriceDiff(
        as_of=plan.as_of,
        source=plan.source,
        source_version=plan.source_version,
        upcoming=tuple(upcoming(plan.before, by_hand, plan.as_of)),
        changes=tuple(plan.changes),
        names_changed=len(_meanings(plan.aliases) - _meanings(plan.aliases_before)),
        effects=None if found is None else tuple(found),
        not_covered=tuple(not_covered),
        without_effects_because=reason,
    )


def _effects(
    plan: Plan, by_hand: Sequence[ListPrice], closed: Sequence[date], destination: Destination
) -> tuple[list[Effect], list[str]]:
    """Effects on open months, and what they leave out."""
    fallbacks: dict[str, list[str]] = {}
    for row in plan.fallbacks:
        fallbacks.setdefault(row.channel, []).append(row.fallback_channel)
    before = Book([*listed(plan.before), *by_hand], fallbacks)
    after = Book([*listed(plan.after), *by_hand], fallbacks)
    with open_marts(destination, frozenset({_FACT})) as marts:
        if not plan.changes:
            return [], []
        used: list[Model] = [
            (channel, model_id)
            for channel, model_id in marts.rows(
                f"select distinct channel, model_id from {MARTS}.{_FACT}"
                " where channel is not null and model_id is not null"
            )
        ]
        changed = changed_models(plan.changes, after, used)
        left_out = list(uncovered(changed, before, after))
        models = [model for model in changed if model not in left_out]
        sizes = {price.key.input_tokens_gt for each in (before, after) for m in models for price in each.prices(m)}
        rows = marts.rows(_query(len(models), sorted(sizes)), *(m for _, m in models), *_PRICED) if models else []
    usage = [use for use in map(_use, rows) if use.model in models]
    lines = [
        NOT_COVERED,
        *(f"{channel} {model_id}: its price is not the same all week" for channel, model_id in left_out),
    ]
    return effects(before, after, usage, closed), lines


def _meanings(aliases: Sequence[Alias]) -> set[tuple[object, ...]]:
    return {(alias.key, alias.meaning, alias.valid_from, alias.valid_to) for alias in aliases}


def _query(models: int, thresholds: Sequence[int]) -> str:
    """Quantities by day, channel, model, tier and size; a size is one more token than the threshold that it exceeds."""
    sizes = " ".join(f"when input_tokens > {size} then {size + 1}" for size in reversed(thresholds) if size > 0)
    size = f"case {sizes} else 0 end" if sizes else "0"
    sums = ", ".join("count(*)" if column is None else f"sum({column})" for column in _COLUMNS.values())
    return (
        f"select usage_date, channel, model_id, lower(service_tier) as tier, {size} as size, {sums}"
        f" from {MARTS}.{_FACT}"
        f" where model_id in ({', '.join('?' * models)}) and price_status in ({', '.join('?' * len(_PRICED))})"
        " and is_of_record"
        " group by 1, 2, 3, 4, 5"
    )


def _use(row: Sequence[Any]) -> Use:
    day, channel, model_id, tier, size, *sums = row
    return Use(
        day=day,
        channel=channel,
        model_id=model_id,
        service_tier="standard" if tier is None or tier in _STANDARD_TIERS else tier,
        input_tokens=int(size),
        quantities={unit: Decimal(number or 0) for unit, number in zip(_COLUMNS, sums, strict=True)},
    )
