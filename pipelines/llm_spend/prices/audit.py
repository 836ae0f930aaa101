"""Our prices against a second data set, cell by cell: what differs, what that is worth, and whether it is explained.

Pure functions on two tables of prices. Where they come from: audit_seeds (ours), audit_litellm (theirs), audit_usage
(tokens of a month); how they are shown: audit_report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from llm_spend.prices.cells import NO_THRESHOLD, STANDARD
from llm_spend.prices.units import PARENTS, UNITS

TOLERANCE = Decimal("0.005")
"""Two prices are the same when they differ by no more than this part of theirs: data sets round."""


class Kind(StrEnum):
    """What became of a cell, in the order in which people look at it; the text is what they read."""

    VALUE = "value differs"
    VARIANT = "variant missing"
    TIER = "tier differs"
    NOT_OURS = "missing in ours"
    NOT_THEIRS = "missing in theirs"
    EQUAL = "equal"


class Cell(NamedTuple):
    """One price of a model. `is_window`: it holds in some hours of the week only; which hours is not compared."""

    usage_unit: str
    service_tier: str = STANDARD
    input_tokens_gt: int = NO_THRESHOLD
    is_window: bool = False

    @property
    def is_base(self) -> bool:
        return self.service_tier == STANDARD and self.input_tokens_gt == NO_THRESHOLD


Prices = Mapping[Cell, Decimal]
"""The prices of one model: USD for as many units as `units.UNITS` says (a million tokens, a thousand searches)."""


@dataclass(frozen=True)
class Listing:
    """One model of the other data set, under the name that it has there."""

    channel: str
    name: str
    prices: Prices
    is_first_party: bool = True


@dataclass(frozen=True)
class Waiver:
    """An explained difference. It counts for the cells that all its patterns match."""

    channel: str
    model_id: str
    usage_unit: str
    service_tier: str
    input_tokens_gt: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        models = {finding.name.lower()} | ({finding.model_id.lower()} if finding.model_id else set())
        return (
            matches(self.channel, finding.channel)
            and any(matches(self.model_id, model) for model in models)
            and matches(self.usage_unit, finding.cell.usage_unit)
            and matches(self.service_tier, finding.cell.service_tier)
            and self.input_tokens_gt in ("", "*", str(finding.cell.input_tokens_gt))
        )


@dataclass(frozen=True)
class Finding:
    """One cell of both data sets. A price that a data set does not have is None."""

    channel: str
    name: str
    model_id: str | None
    """Ours; None when we have no such model."""
    cell: Cell
    kind: Kind
    ours: Decimal | None
    theirs: Decimal | None
    is_first_party: bool
    waiver: str | None = None
    worth_usd: Decimal | None = None
    """What the difference made of the month's usage: theirs - ours. None when the usage is not known."""

    @property
    def is_compared(self) -> bool:
        """It is one of the cells that the audit is judged by: a base price of the maker that both have."""
        return self.is_first_party and self.cell.is_base and self.kind in (Kind.EQUAL, Kind.VALUE)

    @property
    def is_failing(self) -> bool:
        return (
            self.is_compared
            and self.kind is Kind.VALUE
            and self.waiver is None
            and not is_close(self.ours, self.theirs)
        )


@dataclass(frozen=True)
class Audit:
    """All findings, those that differ first."""

    findings: tuple[Finding, ...]
    fail_over: Decimal
    """The share of compared cells that may fail."""
    unused_waivers: tuple[Waiver, ...] = ()

    @property
    def compared(self) -> int:
        return sum(finding.is_compared for finding in self.findings)

    @property
    def failing(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_failing)

    @property
    def share(self) -> Decimal | None:
        """Failing cells of those compared; None when nothing could be compared."""
        return Decimal(len(self.failing)) / Decimal(self.compared) if self.compared else None

    @property
    def passed(self) -> bool:
        """Comparing nothing is no pass: the data sets do not meet at all."""
        return self.share is not None and self.share <= self.fail_over


class TierUsage(NamedTuple):
    """Usage of a model in one service tier by requests with more input than `above` tokens (and no larger class)."""

    service_tier: str
    above: int
    quantities: Mapping[str, Decimal]
    """By usage unit; the units of int_price_book."""


Usage = Mapping[tuple[str, str], Sequence[TierUsage]]
"""By channel and model id."""


@dataclass(frozen=True)
class OurPrices:
    """Our prices of one day."""

    models: Mapping[tuple[str, str], Prices]
    """By channel and model id."""
    model_ids: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The model that a name of the other data set means, by channel and name."""


def audit(
    ours: OurPrices,
    theirs: Iterable[Listing],
    waivers: Sequence[Waiver] = (),
    usage: Usage | None = None,
    fail_over: Decimal = TOLERANCE,
) -> Audit:
    """Compare every listing with the model that its name means to us."""
    listings = sorted(theirs, key=lambda listing: (listing.channel, listing.name))
    weighed = _weighed_names(ours, listings)
    found: list[Finding] = []
    for listing in listings:
        model_id = ours.model_ids.get((listing.channel, listing.name))
        of_model = ours.models.get((listing.channel, model_id), {}) if model_id else {}
        for finding in _compare(listing, model_id, of_model):
            if usage is not None and model_id and weighed[listing.channel, model_id] == listing.name:
                finding = replace(finding, worth_usd=_worth(finding, of_model, listing.prices, usage))
            found.append(_waived(finding, waivers))
    return Audit(
        findings=tuple(sorted(found, key=_importance)),
        fail_over=fail_over,
        unused_waivers=tuple(
            waiver
            for waiver in waivers
            if not any(finding.kind is not Kind.EQUAL and waiver.covers(finding) for finding in found)
        ),
    )


def boundary(input_tokens_gt: int) -> int:
    """A threshold as people say it: "from 200,000" and "above 200,000" are one boundary, a token apart."""
    return input_tokens_gt + 1 if input_tokens_gt > 0 and input_tokens_gt % 1000 == 999 else input_tokens_gt


def matches(pattern: str, value: str) -> bool:
    """The patterns of our seeds: exact, `prefix*`, `*suffix`, `*`; empty is anything."""
    pattern, value = pattern.strip().lower(), value.lower()
    if pattern in ("", "*"):
        return True
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return pattern == value


def is_close(ours: Decimal | None, theirs: Decimal | None) -> bool:
    """Both are known and differ by no more than TOLERANCE of theirs."""
    if ours is None or theirs is None:
        return False
    return abs(ours - theirs) <= TOLERANCE * abs(theirs)


def effective(prices: Prices, cell: Cell) -> Decimal | None:
    """What a data set charges for a cell, its own price or the one it falls back to.

    A tier falls back to standard, a threshold to the one below, some hours to the others, a unit to its parent: as
    the price book does. None when nothing is left.
    """
    unit: str | None = cell.usage_unit
    thresholds = sorted({other.input_tokens_gt for other in prices} | {NO_THRESHOLD}, reverse=True)
    while unit is not None:
        for tier in dict.fromkeys((cell.service_tier, STANDARD)):
            for threshold in (t for t in thresholds if t <= cell.input_tokens_gt):
                for is_window in dict.fromkeys((cell.is_window, False)):
                    price = prices.get(Cell(unit, tier, threshold, is_window))
                    if price is not None:
                        return price
        unit = PARENTS.get(unit)
    return None


def _compare(listing: Listing, model_id: str | None, ours: Prices) -> Iterator[Finding]:
    for cell in sorted(ours.keys() | listing.prices.keys()):
        mine, their = ours.get(cell), listing.prices.get(cell)
        yield Finding(
            channel=listing.channel,
            name=listing.name,
            model_id=model_id if ours else None,
            cell=cell,
            kind=_kind(cell, ours, listing.prices),
            ours=effective(ours, cell) if mine is None else mine,
            theirs=effective(listing.prices, cell) if their is None else their,
            is_first_party=listing.is_first_party,
        )


def _kind(cell: Cell, ours: Prices, theirs: Prices) -> Kind:
    mine, their = ours.get(cell), theirs.get(cell)
    if mine is not None and their is not None:
        return Kind.EQUAL if mine == their else Kind.VALUE
    if effective(ours, cell) == effective(theirs, cell):
        return Kind.EQUAL
    if not ours:
        return Kind.NOT_OURS
    if cell.input_tokens_gt != NO_THRESHOLD:
        return Kind.TIER
    if cell.service_tier != STANDARD:
        return Kind.VARIANT if mine is None else Kind.NOT_THEIRS
    return Kind.NOT_OURS if mine is None else Kind.NOT_THEIRS


def _weighed_names(ours: OurPrices, listings: Sequence[Listing]) -> Mapping[tuple[str, str], str]:
    """Of the names that mean one model, the one whose differences get the model's usage: its id, or the first."""
    names: dict[tuple[str, str], str] = {}
    for listing in listings:
        model_id = ours.model_ids.get((listing.channel, listing.name))
        if model_id and (listing.name == model_id.lower() or (listing.channel, model_id) not in names):
            names[listing.channel, model_id] = listing.name
    return names


def _worth(finding: Finding, ours: Prices, theirs: Prices, usage: Usage) -> Decimal | None:
    if finding.ours is None or finding.theirs is None or finding.cell.is_window or not finding.model_id:
        return None
    cell = finding.cell
    size = _SIZES[cell.usage_unit]
    thresholds = sorted({c.input_tokens_gt for c in (*ours, *theirs)} | {NO_THRESHOLD})
    quantity = Decimal(0)
    for part in usage.get((finding.channel, finding.model_id), ()):
        applies = max(t for t in thresholds if t <= part.above)
        if part.service_tier == cell.service_tier and applies == cell.input_tokens_gt:
            quantity += part.quantities.get(cell.usage_unit, Decimal(0))
    return (finding.theirs - finding.ours) * quantity / size


_SIZES = {unit.name: unit.size for unit in UNITS}


def _waived(finding: Finding, waivers: Sequence[Waiver]) -> Finding:
    if finding.kind is Kind.EQUAL:
        return finding
    reason = next((waiver.reason for waiver in waivers if waiver.covers(finding)), None)
    return replace(finding, waiver=reason)


_ORDER = {kind: place for place, kind in enumerate(Kind)}


def _importance(finding: Finding) -> tuple[object, ...]:
    return (
        not finding.is_failing,
        finding.waiver is not None,
        -abs(finding.worth_usd or Decimal(0)),
        not finding.is_first_party,
        _ORDER[finding.kind],
        finding.channel,
        finding.name,
        finding.cell,
    )
