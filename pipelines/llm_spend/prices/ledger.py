"""The append-only ledger of prices: what a data set says is reconciled with what was written down before.

A price is never rewritten. A row ends (valid_to), or counts for nothing any more (retracted_at), and what holds
instead is a row of its own. With the same data set there is nothing to do, today or on any later day.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from llm_spend.errors import UserError
from llm_spend.prices.cells import EPOCH, CellKey, Price, Span
from llm_spend.prices.makers import maker

_FOREVER = date.max


@dataclass(frozen=True)
class LedgerRow:
    """One row of model_prices.csv: a price, when it holds, and when that was written down or taken back."""

    price_id: str
    provider: str
    key: CellKey
    span: Span
    source: str
    source_version: str
    recorded_at: date
    retracted_at: date | None = None

    @property
    def is_live(self) -> bool:
        return self.retracted_at is None


@dataclass(frozen=True)
class Offer:
    """What a data set says. A key that is missing has no price, if its model is one of `models`."""

    source: str
    source_version: str
    models: frozenset[tuple[str, str]]
    prices: Mapping[CellKey, tuple[Span, ...]]


@dataclass(frozen=True)
class Change:
    """What became of one row.

    `added`, `closed` (it ends, or ends earlier), `reopened` (it ends later, or no more), `corrected` (it never held as
    it said) or `tombstoned` (it was announced, and never came).
    """

    kind: str
    row: LedgerRow
    before: LedgerRow | None = None


def reconcile(rows: Sequence[LedgerRow], offer: Offer, as_of: date) -> list[LedgerRow]:
    """The ledger after `as_of`, on which the offer was seen, in the order of the file.

    Models that the offer does not have stay as they are. Raises UserError when rows that count overlap.
    """
    check_ledger(rows)
    live: dict[CellKey, list[LedgerRow]] = {}
    for row in rows:
        if row.is_live and row.key.model in offer.models:
            live.setdefault(row.key, []).append(row)
    families = {key.family for key in live}
    kept = [row for row in rows if not row.is_live or row.key.model not in offer.models]
    written = Counter((row.key, row.span.valid_from) for row in rows)
    for key in live.keys() | offer.prices.keys():
        known = sorted(live.get(key, []), key=lambda row: row.span.valid_from)
        pieces = _target(known, offer.prices.get(key, ()), as_of, is_family_known=key.family in families)
        kept += _rewritten(key, known, pieces, written, offer, as_of)
    after = in_order(kept)
    check_ledger(after)
    return after


def changes(before: Sequence[LedgerRow], after: Sequence[LedgerRow]) -> list[Change]:
    """What a reconciliation did, in the order of the file."""
    old = {row.price_id: row for row in before}
    found = []
    for row in after:
        was = old.get(row.price_id)
        if was is None:
            found.append(Change("added", row))
        elif was.is_live and not row.is_live:
            is_announced = was.recorded_at < was.span.valid_from
            found.append(Change("tombstoned" if is_announced else "corrected", row, was))
        elif was.span.valid_to != row.span.valid_to:
            is_shorter = _end(row.span) < _end(was.span)
            found.append(Change("closed" if is_shorter else "reopened", row, was))
    return found


def in_order(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Rows as the file has them: by natural key, then by time; `price_id` decides between rows of one day."""
    return sorted(rows, key=lambda row: (row.key, row.span.valid_from, row.recorded_at, row.price_id))


def check_ledger(rows: Sequence[LedgerRow]) -> None:
    """Raises UserError when two rows share an id, a row ends before it begins, or rows that count overlap."""
    twice = [price_id for price_id, times in Counter(row.price_id for row in rows).items() if times > 1]
    if twice:
        raise UserError(f"The price ledger has price_id {twice[0]} more than once.", "Restore the file.")
    live = sorted((row for row in rows if row.is_live), key=lambda row: (row.key, row.span.valid_from))
    for row in live:
        if _end(row.span) <= row.span.valid_from:
            raise UserError(f"Row {row.price_id} of the price ledger ends before it begins.", "Restore the file.")
    for row, following in pairwise(live):
        if row.key == following.key and following.span.valid_from < _end(row.span):
            raise UserError(
                f"Rows {row.price_id} and {following.price_id} of the price ledger overlap"
                f" ({row.key.channel} {row.key.model_id}, {row.key.usage_unit}, {following.span.valid_from}).",
                "Restore the file; prices of your own belong in price_overrides.csv.",
            )


def last_entry(rows: Iterable[LedgerRow]) -> date:
    """The day of the newest entry: a ledger is not continued before it."""
    return max((max(row.recorded_at, row.retracted_at or date.min) for row in rows), default=date.min)


@dataclass(frozen=True)
class _Piece:
    """A stretch of one cell's time. Without a price it is a gap."""

    price: Price | None
    start: date
    end: date
    basis: str = ""
    recorded_at: date = date.max


def _end(span: Span) -> date:
    return span.valid_to or _FOREVER


def _target(known: Sequence[LedgerRow], offered: Sequence[Span], as_of: date, *, is_family_known: bool) -> list[_Piece]:
    """The time of one cell as it is to be from now on: what is known, overlaid with what is offered."""
    ledger = [
        _Piece(row.span.price, row.span.valid_from, _end(row.span), row.span.basis, row.recorded_at) for row in known
    ]
    if not offered:
        return _put(ledger, _Piece(None, as_of, _FOREVER))
    # Before a first price that is still to come there is none.
    timeline = _put(ledger, _Piece(None, as_of, max(as_of, offered[0].valid_from)))
    for span, following in zip(offered, (*offered[1:], None), strict=True):
        start = _start(ledger, span, as_of, is_family_known=is_family_known)
        basis = span.basis if start == span.valid_from else "first_seen"
        timeline = _put(timeline, _Piece(span.price, start, _end(span), basis))
        if span.valid_to is not None:
            timeline = _put(timeline, _Piece(None, span.valid_to, following.valid_from if following else _FOREVER))
    return _joined(timeline)


def _start(ledger: Sequence[_Piece], span: Span, as_of: date, *, is_family_known: bool) -> date:
    """From when on an offered price is taken over.

    A dated one: from its date, whatever was believed. An undated one says what holds now, or what held just before
    the date on which it ended; about the time before that, the ledger knows better.
    """
    if span.basis != "dataset":
        return span.valid_from
    is_current = _end(span) > as_of
    moment = as_of if is_current else _end(span) - timedelta(days=1)
    at = next((n for n, piece in enumerate(ledger) if piece.start <= moment < piece.end), None)
    if at is None:
        # A threshold or a time of day that is new to a price that we know is a change of it.
        if is_current:
            return as_of if ledger or is_family_known else EPOCH
        return max((piece.end for piece in ledger if piece.end <= moment), default=EPOCH)
    piece = ledger[at]
    if piece.price == span.price:
        return piece.start
    if not is_current:
        # Before it was written down the ledger's price was a guess; from then on somebody had seen it.
        return piece.start if _end(span) <= piece.recorded_at else max(piece.start, piece.recorded_at)
    was_announced = piece.recorded_at < piece.start
    if was_announced and at and ledger[at - 1].end == piece.start and ledger[at - 1].price == span.price:
        return ledger[at - 1].start  # It was to come, and never came.
    return as_of


def _put(timeline: Sequence[_Piece], piece: _Piece) -> list[_Piece]:
    """The timeline with the piece in place of whatever stood there."""
    kept = [] if piece.price is None else [piece]
    for other in timeline:
        if other.start < piece.start:
            kept.append(replace(other, end=min(other.end, piece.start)))
        if other.end > piece.end:
            kept.append(replace(other, start=max(other.start, piece.end)))
    return sorted(kept, key=lambda other: other.start)


def _joined(timeline: Sequence[_Piece]) -> list[_Piece]:
    """Neighbours with the same price are one."""
    joined: list[_Piece] = []
    for piece in timeline:
        if joined and joined[-1].end == piece.start and joined[-1].price == piece.price:
            joined[-1] = replace(joined[-1], end=piece.end)
        else:
            joined.append(piece)
    return joined


def _rewritten(
    key: CellKey,
    known: Sequence[LedgerRow],
    pieces: Sequence[_Piece],
    written: Counter[tuple[CellKey, date]],
    offer: Offer,
    as_of: date,
) -> list[LedgerRow]:
    """The rows of one cell: those that a piece confirms, perhaps with another end; the others retracted; new ones."""
    confirmed = {(row.span.valid_from, row.span.price): row for row in known}
    rows = []
    for piece in pieces:
        assert piece.price is not None
        valid_to = None if piece.end == _FOREVER else piece.end
        row = confirmed.pop((piece.start, piece.price), None)
        if row is not None:
            rows.append(replace(row, span=replace(row.span, valid_to=valid_to)))
            continue
        rows.append(
            LedgerRow(
                price_id=price_id(key, piece.start, written[key, piece.start]),
                provider=maker(key.channel, key.model_id),
                key=key,
                span=Span(piece.price, piece.start, valid_to, piece.basis),
                source=offer.source,
                source_version=offer.source_version,
                recorded_at=as_of,
            )
        )
        written[key, piece.start] += 1
    return rows + [replace(row, retracted_at=as_of) for row in confirmed.values()]


def price_id(key: CellKey, valid_from: date, before: int = 0) -> str:
    """Hash of the natural key, the day on which the price begins and how many rows had both before."""
    parts = [
        key.channel,
        key.model_id,
        key.usage_unit,
        str(key.input_tokens_gt),
        key.service_tier,
        key.region_scope,
        valid_from.isoformat(),
    ]
    slot = (key.tod_start_utc, key.tod_end_utc, key.dow_mask, key.holiday_calendar)
    if any(slot):
        parts += slot
    if before:
        parts.append(str(before))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
