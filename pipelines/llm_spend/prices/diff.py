"""What changes next, what the installed data set would change, and what that would do to months that are open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from llm_spend.prices.book import Book, ListPrice, Model, Use, is_simple
from llm_spend.prices.cells import CellKey, Price
from llm_spend.prices.ledger import Change, LedgerRow

NOT_COVERED = "units other than tokens and requests, regional multipliers, free allowances and contract prices"


@dataclass(frozen=True)
class Upcoming:
    """A price that is written down and does not hold yet. `before` is what holds until then, None when nothing does."""

    on: date
    key: CellKey
    before: Price | None
    after: Price
    seed: str


@dataclass(frozen=True)
class Effect:
    """What the usage of a month costs by the ledger, and by the ledger as it would be; only usage whose cost changes.

    Costs are sums of what has a price; the tokens of what has none are beside them.
    """

    month: date
    channel: str
    model_id: str
    tokens: Decimal
    before_usd: Decimal
    after_usd: Decimal
    unpriced_tokens_before: Decimal
    unpriced_tokens_after: Decimal

    @property
    def difference_usd(self) -> Decimal:
        return self.after_usd - self.before_usd


@dataclass(frozen=True)
class PriceDiff:
    """The answer of `llm-spend prices diff`."""

    as_of: date
    source: str
    source_version: str
    upcoming: tuple[Upcoming, ...]
    changes: tuple[Change, ...]
    names_changed: int
    """Rows of the alias table that the data set would add or change."""
    effects: tuple[Effect, ...] | None
    """None when there was no warehouse to ask."""
    not_covered: tuple[str, ...] = ()
    without_effects_because: str | None = None


def upcoming(ledger: Iterable[LedgerRow], overrides: Iterable[ListPrice], today: date) -> list[Upcoming]:
    """Prices that begin after `today`, the next one first."""
    found = []
    for seed, prices in (("model_prices", listed(ledger)), ("price_overrides", list(overrides))):
        for price in prices:
            if price.valid_from > today:
                eve = price.valid_from - timedelta(days=1)
                before = next((other.price for other in prices if other.key == price.key and other.holds(eve)), None)
                found.append(Upcoming(price.valid_from, price.key, before, price.price, seed))
    return sorted(found, key=lambda change: (change.on, change.key, change.seed))


def listed(ledger: Iterable[LedgerRow]) -> list[ListPrice]:
    """The prices of a ledger that count."""
    return [ListPrice(row.key, row.span.price, row.span.valid_from, row.span.valid_to) for row in ledger if row.is_live]


def changed_models(changes: Iterable[Change], book: Book, used: Iterable[Model]) -> list[Model]:
    """Of the models that were used, those whose price list is to change."""
    changed = {change.row.key.model for change in changes}
    return sorted(model for model in used if model in changed or book.seller(model) in changed)


def uncovered(models: Iterable[Model], *books: Book) -> Iterator[Model]:
    """Those of the models that have prices which the usage of a whole day can't be multiplied by."""
    for model in models:
        if not all(is_simple(price) for book in books for price in book.prices(model)):
            yield model


def effects(before: Book, after: Book, usage: Iterable[Use], closed: Collection[date]) -> list[Effect]:
    """What each open month would cost more or less, by model. `closed` holds the first days of closed months."""
    changed: dict[tuple[date, str, str], list[tuple[Use, Decimal | None, Decimal | None]]] = {}
    for use in usage:
        month = use.day.replace(day=1)
        costs = before.cost(use), after.cost(use)
        if month not in closed and costs[0] != costs[1]:
            changed.setdefault((month, use.channel, use.model_id), []).append((use, *costs))
    return [_effect(month, channel, model_id, uses) for (month, channel, model_id), uses in sorted(changed.items())]


def _effect(
    month: date, channel: str, model_id: str, uses: Sequence[tuple[Use, Decimal | None, Decimal | None]]
) -> Effect:
    def total(amounts: Iterable[Decimal | None]) -> Decimal:
        return sum((amount for amount in amounts if amount is not None), Decimal(0))

    return Effect(
        month=month,
        channel=channel,
        model_id=model_id,
        tokens=total(use.tokens for use, _, _ in uses),
        before_usd=total(was for _, was, _ in uses),
        after_usd=total(becomes for _, _, becomes in uses),
        unpriced_tokens_before=total(use.tokens for use, was, _ in uses if was is None),
        unpriced_tokens_after=total(use.tokens for use, _, becomes in uses if becomes is None),
    )
