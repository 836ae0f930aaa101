"""The comparison of prices for people (Rich, 100 columns) and for programs (JSON)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llm_spend.answers.formats import count, month_name, usd
from llm_spend.prices.cells import CellKey, Price
from llm_spend.prices.diff import Effect, PriceDiff, Upcoming
from llm_spend.prices.files import plain
from llm_spend.prices.ledger import Change

_MOST = 25
_KINDS = ("corrected", "closed", "tombstoned", "reopened", "added")
_SIZES = {1_000_000: "1M", 1_000: "1K", 3_600: "hour", 1: "1"}


def render(found: PriceDiff) -> RenderableType:
    """What changes next, what the data set would change, what that would cost."""
    return Group(
        Text("What changes next?", style="bold"),
        _upcoming_table(found.upcoming) if found.upcoming else Text("No price is written down for a later day."),
        Text(),
        Text(f"What would {found.source} {found.source_version} change?", style="bold"),
        *_changes(found),
        Text(),
        Text("What would that do to months that are open?", style="bold"),
        *_effects(found),
    )


def to_json(found: PriceDiff) -> dict[str, Any]:
    """Amounts and prices as exact strings, days as ISO dates."""
    return {
        "as_of": found.as_of.isoformat(),
        "source": found.source,
        "source_version": found.source_version,
        "upcoming": [
            {
                "on": change.on.isoformat(),
                **_cell(change.key),
                "before": _amount(change.before),
                "after": _amount(change.after),
                "unit_size": change.after.unit_size,
                "currency": change.after.currency,
                "seed": change.seed,
            }
            for change in found.upcoming
        ],
        "changes": [
            {
                "kind": change.kind,
                "price_id": change.row.price_id,
                **_cell(change.row.key),
                "unit_price": _amount(change.row.span.price),
                "unit_size": change.row.span.price.unit_size,
                "currency": change.row.span.price.currency,
                "valid_from": change.row.span.valid_from.isoformat(),
                "valid_to": change.row.span.valid_to.isoformat() if change.row.span.valid_to else None,
            }
            for change in found.changes
        ],
        "names_changed": found.names_changed,
        "effects": None
        if found.effects is None
        else [
            {
                "month": f"{effect.month:%Y-%m}",
                "channel": effect.channel,
                "model_id": effect.model_id,
                "tokens": int(effect.tokens),
                "before_usd": plain(effect.before_usd),
                "after_usd": plain(effect.after_usd),
                "difference_usd": plain(effect.difference_usd),
                "unpriced_tokens_before": int(effect.unpriced_tokens_before),
                "unpriced_tokens_after": int(effect.unpriced_tokens_after),
            }
            for effect in found.effects
        ],
        "not_covered": list(found.not_covered),
        "without_effects_because": found.without_effects_because,
    }


def _cell(key: CellKey) -> dict[str, Any]:
    return {
        "channel": key.channel,
        "model_id": key.model_id,
        "usage_unit": key.usage_unit,
        "service_tier": key.service_tier,
        "input_tokens_gt": key.input_tokens_gt,
        "region_scope": key.region_scope,
        "tod_start_utc": key.tod_start_utc,
        "tod_end_utc": key.tod_end_utc,
        "dow_mask": key.dow_mask,
        "holiday_calendar": key.holiday_calendar,
    }


def _amount(price: Price | None) -> str | None:
    return plain(price.unit_price) if price else None


def _upcoming_table(changes: Sequence[Upcoming]) -> RenderableType:
    table = _table("On", "Model", "Price of", "Now", "Then")
    for change in changes[:_MOST]:
        before = _per(change.before) if change.before else "-"
        table.add_row(str(change.on), _model(change.key), _what(change.key), before, _per(change.after))
    return _with_rest(table, len(changes))


def _changes(found: PriceDiff) -> list[RenderableType]:
    names = (
        f"{found.names_changed:,} names of models would be added or mean another model." if found.names_changed else ""
    )
    if not found.changes:
        return [Text("No price."), *([Text(names)] if names else [])]
    kinds = Counter(change.kind for change in found.changes)
    parts: list[RenderableType] = [
        Text(", ".join(f"{kinds[kind]:,} {kind}" for kind in _KINDS if kinds[kind]) + "."),
        _changes_table(found.changes),
    ]
    if names:
        parts.append(Text(names))
    parts.append(Text("To write it: llm-spend prices generate", style="dim"))
    return parts


def _changes_table(changes: Sequence[Change]) -> RenderableType:
    table = _table("", "Model", "Price of", "Price", "From", "To")
    for change in sorted(changes, key=lambda change: _KINDS.index(change.kind))[:_MOST]:
        key, span = change.row.key, change.row.span
        table.add_row(
            change.kind, _model(key), _what(key), _per(span.price), str(span.valid_from), str(span.valid_to or "")
        )
    return _with_rest(table, len(changes))


def _effects(found: PriceDiff) -> list[RenderableType]:
    if found.effects is None:
        return [Text(f"Not known: {found.without_effects_because}")]
    parts: list[RenderableType] = []
    if found.effects:
        parts.append(_effects_table(found.effects))
    else:
        parts.append(Text("Nothing."))
    if found.not_covered:
        parts.append(Text(f"Not looked at: {'; '.join(found.not_covered)}.", style="dim"))
    return parts


def _effects_table(effects: Sequence[Effect]) -> RenderableType:
    is_unpriced = any(effect.unpriced_tokens_before or effect.unpriced_tokens_after for effect in effects)
    unpriced = ("Unpriced now", "Unpriced then") if is_unpriced else ()
    table = _table("Month", "Model", "Tokens", "Now", "Then", "Difference", *unpriced, numbers_from=2)
    largest = sorted(effects, key=lambda effect: -abs(effect.difference_usd))[:_MOST]
    for effect in sorted(largest, key=lambda effect: (effect.month, effect.channel, effect.model_id)):
        without_price = (effect.unpriced_tokens_before, effect.unpriced_tokens_after) if is_unpriced else ()
        table.add_row(
            month_name(effect.month),
            f"{effect.channel} {effect.model_id}",
            count(int(effect.tokens)),
            usd(effect.before_usd),
            usd(effect.after_usd),
            usd(effect.difference_usd),
            *(count(int(tokens)) for tokens in without_price),
        )
    return _with_rest(table, len(effects))


def _table(*columns: str, numbers_from: int | None = None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        if numbers_from is not None and number >= numbers_from:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table


def _with_rest(table: Table, rows: int) -> RenderableType:
    if rows <= _MOST:
        return table
    return Group(table, Text(f"… and {rows - _MOST:,} more: --json has all.", style="dim"))


def _model(key: CellKey) -> str:
    return f"{key.channel} {key.model_id}"


def _what(key: CellKey) -> str:
    parts = [key.usage_unit]
    if key.service_tier != "standard":
        parts.append(key.service_tier)
    if key.input_tokens_gt > 0:
        parts.append(f"above {key.input_tokens_gt:,}")
    if key.region_scope != "*":
        parts.append(key.region_scope)
    if key.tod_start_utc:
        parts.append(f"{key.tod_start_utc}–{key.tod_end_utc}")
    if key.dow_mask:
        parts.append(f"days {key.dow_mask}")
    return ", ".join(parts)


def _per(price: Price) -> str:
    currency = "$" if price.currency == "USD" else f"{price.currency} "
    return f"{currency}{plain(price.unit_price)}/{_SIZES.get(price.unit_size, price.unit_size)}"
