"""The append-only ledger: what each kind of change upstream makes of the rows, and what it never does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend.errors import UserError
from llm_spend.prices.aliases import Alias, check_aliases, reconcile_aliases
from llm_spend.prices.cells import EPOCH, CellKey, Price, Span
from llm_spend.prices.ledger import LedgerRow, Offer, changes, check_ledger, reconcile

INPUT = CellKey("acme", "m", "standard", "input_tokens")
LONG_INPUT = replace(INPUT, input_tokens_gt=200_000)
CACHED = replace(INPUT, usage_unit="cache_read_tokens")
AT_NIGHT = replace(INPUT, tod_start_utc="16:30", tod_end_utc="00:30")
LATER_AT_NIGHT = replace(INPUT, tod_start_utc="18:00", tod_end_utc="00:30")
DAY_1, DAY_2, DAY_3 = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)


def price(text: str) -> Price:
    return Price(Decimal(text), 1_000_000)


def undated(text: str, until: date | None = None) -> Span:
    return Span(price(text), EPOCH, until, "dataset")


def since(start: date, text: str, until: date | None = None) -> Span:
    return Span(price(text), start, until, "documented")


def offer(cells: Mapping[CellKey, Iterable[Span]], models: Iterable[str] = ("m",), version: str = "1") -> Offer:
    return Offer(
        source="test",
        source_version=version,
        models=frozenset(("acme", model) for model in models),
        prices={key: tuple(spans) for key, spans in cells.items()},
    )


def ledger(cells: Mapping[CellKey, Iterable[Span]], on: date = DAY_1) -> list[LedgerRow]:
    return reconcile([], offer(cells), on)


def seen(rows: Iterable[LedgerRow]) -> list[tuple[str, date, date | None, str, date, date | None]]:
    """(price, valid_from, valid_to, basis, recorded_at, retracted_at)"""
    return [
        (
            format(row.span.price.unit_price, "f"),
            row.span.valid_from,
            row.span.valid_to,
            row.span.basis,
            row.recorded_at,
            row.retracted_at,
        )
        for row in rows
    ]


def held(rows: Iterable[LedgerRow], key: CellKey, on: date) -> Price | None:
    """The price of a cell on a day; AssertionError when there are two."""
    found = [
        row.span.price
        for row in rows
        if row.is_live and row.key == key and row.span.valid_from <= on < (row.span.valid_to or date.max)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def offered(spans: Iterable[Span], on: date) -> Price | None:
    return next((s.price for s in spans if s.valid_from <= on < (s.valid_to or date.max)), None)


def test_a_new_cell_is_appended_with_the_day_it_was_recorded() -> None:
    assert seen(ledger({INPUT: [undated("10", DAY_2), since(DAY_2, "8")]})) == [
        ("10", EPOCH, DAY_2, "dataset", DAY_1, None),
        ("8", DAY_2, None, "documented", DAY_1, None),
    ]


def test_a_dated_change_closes_the_old_row_at_its_date() -> None:
    before = ledger({INPUT: [undated("10")]})
    after = reconcile(before, offer({INPUT: [undated("10", DAY_2), since(DAY_2, "8")]}), DAY_3)
    assert seen(after) == [
        ("10", EPOCH, DAY_2, "dataset", DAY_1, None),
        ("8", DAY_2, None, "documented", DAY_3, None),
    ]
    assert [change.kind for change in changes(before, after)] == ["closed", "added"]
    assert after[0].price_id == before[0].price_id


def test_an_undated_change_starts_on_the_day_it_was_seen_and_stays_there() -> None:
    before = ledger({INPUT: [undated("10")]})
    now = offer({INPUT: [undated("8")]}, version="2")
    after = reconcile(before, now, DAY_2)
    assert seen(after) == [
        ("10", EPOCH, DAY_2, "dataset", DAY_1, None),
        ("8", DAY_2, None, "first_seen", DAY_2, None),
    ]
    assert [row.source_version for row in after] == ["1", "2"]
    assert reconcile(after, now, DAY_2) == after
    assert reconcile(after, now, DAY_3) == after


def test_what_was_first_seen_survives_the_next_dated_change() -> None:
    rows = reconcile(ledger({INPUT: [undated("10")]}), offer({INPUT: [undated("8")]}), DAY_2)
    after = reconcile(rows, offer({INPUT: [undated("8", DAY_3), since(DAY_3, "9")]}), DAY_3 + timedelta(days=9))
    assert [row[:3] for row in seen(after)] == [
        ("10", EPOCH, DAY_2),
        ("8", DAY_2, DAY_3),
        ("9", DAY_3, None),
    ]


def test_a_correction_of_history_retracts_the_old_row_and_appends_a_new_one() -> None:
    before = ledger({INPUT: [undated("10", DAY_1), since(DAY_1, "8")]}, on=DAY_2)
    after = reconcile(before, offer({INPUT: [undated("10", DAY_1), since(DAY_1, "7")]}), DAY_3)
    assert sorted(seen(after), key=str) == sorted(
        [
            ("10", EPOCH, DAY_1, "dataset", DAY_2, None),
            ("8", DAY_1, None, "documented", DAY_2, DAY_3),
            ("7", DAY_1, None, "documented", DAY_3, None),
        ],
        key=str,
    )
    assert len({row.price_id for row in after}) == 3
    assert {row.price_id for row in before} < {row.price_id for row in after}
    assert sorted(change.kind for change in changes(before, after)) == ["added", "corrected"]


def test_history_that_the_data_set_learns_replaces_what_was_only_assumed() -> None:
    before = ledger({INPUT: [undated("2")]}, on=DAY_3)
    after = reconcile(before, offer({INPUT: [undated("10", DAY_1), since(DAY_1, "2")]}), DAY_3)
    assert held(after, INPUT, DAY_1 - timedelta(days=1)) == price("10")
    assert held(after, INPUT, DAY_1) == price("2")
    assert sum(not row.is_live for row in after) == 1


def test_a_price_that_had_been_seen_is_not_history_to_assume() -> None:
    before = ledger({INPUT: [undated("10")]}, on=DAY_1)
    after = reconcile(before, offer({INPUT: [undated("12", DAY_3), since(DAY_3, "15")]}), DAY_3)
    assert [row[:4] for row in seen(after)] == [
        ("10", EPOCH, DAY_1, "dataset"),
        ("12", DAY_1, DAY_3, "first_seen"),
        ("15", DAY_3, None, "documented"),
    ]


def test_a_moved_date_moves_the_change() -> None:
    before = ledger({INPUT: [undated("10", DAY_1), since(DAY_1, "8")]}, on=DAY_3)
    after = reconcile(before, offer({INPUT: [undated("10", DAY_2), since(DAY_2, "8")]}), DAY_3)
    assert [held(after, INPUT, day) for day in (DAY_1, DAY_2)] == [price("10"), price("8")]


def test_a_cell_that_vanished_from_its_model_is_closed() -> None:
    before = ledger({INPUT: [undated("10")], LONG_INPUT: [undated("20")]})
    after = reconcile(before, offer({INPUT: [undated("10")]}), DAY_2)
    assert [row[:3] for row in seen(after)] == [("10", EPOCH, None), ("20", EPOCH, DAY_2)]
    assert reconcile(after, offer({INPUT: [undated("10")]}), DAY_3) == after


def test_a_cell_that_is_only_announced_any_more_is_closed_until_then() -> None:
    before = ledger({INPUT: [undated("10")], CACHED: [undated("1")]})
    now = offer({INPUT: [undated("10")], CACHED: [since(DAY_3, "2")]})
    after = reconcile(before, now, DAY_2)
    assert [held(after, CACHED, day) for day in (DAY_1, DAY_2, DAY_3)] == [price("1"), None, price("2")]


def test_a_cell_that_ended_upstream_ends_on_that_date() -> None:
    before = ledger({INPUT: [undated("10")], LONG_INPUT: [undated("20")]}, on=DAY_2)
    after = reconcile(before, offer({INPUT: [undated("10")], LONG_INPUT: [undated("20", DAY_1)]}), DAY_3)
    assert held(after, LONG_INPUT, DAY_1) is None
    assert held(after, LONG_INPUT, DAY_1 - timedelta(days=1)) == price("20")


def test_c30_a_cancelled_future_price_leaves_a_tombstone_and_its_predecessor_goes_on() -> None:
    before = ledger({INPUT: [undated("2", DAY_2), since(DAY_2, "3")]})
    after = reconcile(before, offer({INPUT: [undated("2")]}), DAY_1 + timedelta(days=3))
    assert seen(after) == [
        ("2", EPOCH, None, "dataset", DAY_1, None),
        ("3", DAY_2, None, "documented", DAY_1, DAY_1 + timedelta(days=3)),
    ]
    assert [change.kind for change in changes(before, after)] == ["reopened", "tombstoned"]
    assert held(after, INPUT, DAY_2 + timedelta(days=1)) == price("2")


def test_c30_a_cancellation_that_is_seen_after_the_day_counts_from_that_day() -> None:
    before = ledger({INPUT: [undated("2", DAY_2), since(DAY_2, "3")]})
    after = reconcile(before, offer({INPUT: [undated("2")]}), DAY_3)
    assert held(after, INPUT, DAY_2 + timedelta(days=1)) == price("2")
    assert [row.retracted_at for row in after] == [None, DAY_3]


def test_a_cancelled_price_can_be_announced_again() -> None:
    announced = offer({INPUT: [undated("2", DAY_3), since(DAY_3, "3")]})
    first = reconcile([], announced, DAY_1)
    cancelled = reconcile(first, offer({INPUT: [undated("2")]}), DAY_2)
    again = reconcile(cancelled, announced, DAY_2)
    assert held(again, INPUT, DAY_3) == price("3")
    assert len({row.price_id for row in again}) == 3
    assert [row.is_live for row in again if row.span.price == price("3")].count(True) == 1


def test_a_future_row_of_a_vanished_cell_is_retracted() -> None:
    before = ledger({INPUT: [undated("2")], CACHED: [since(DAY_2, "1")]})
    after = reconcile(before, offer({INPUT: [undated("2")]}), DAY_1)
    assert held(after, CACHED, DAY_3) is None
    assert [row.retracted_at for row in after if row.key == CACHED] == [DAY_1]


def test_c31_a_future_price_is_recorded_but_holds_from_its_day_only() -> None:
    rows = ledger({INPUT: [undated("2", date(2027, 1, 1)), since(date(2027, 1, 1), "3")]})
    assert held(rows, INPUT, date(2026, 12, 31)) == price("2")
    assert held(rows, INPUT, date(2027, 1, 1)) == price("3")


def test_a_future_price_that_became_present_changes_nothing() -> None:
    now = offer({INPUT: [undated("2", DAY_2), since(DAY_2, "3")]})
    rows = reconcile([], now, DAY_1)
    assert reconcile(rows, now, DAY_3) == rows


def test_c34_a_model_that_is_gone_upstream_stays_priced() -> None:
    before = ledger({INPUT: [undated("15")]})
    other = replace(INPUT, model_id="n")
    after = reconcile(before, offer({other: [undated("1")]}, models=["n"]), DAY_2)
    assert [row for row in after if row.key == INPUT] == before
    assert held(after, INPUT, DAY_3) == price("15")


def test_a_model_that_comes_back_at_its_price_has_no_new_row() -> None:
    before = ledger({INPUT: [undated("15")]})
    gone = reconcile(before, offer({}, models=[]), DAY_2)
    assert reconcile(gone, offer({INPUT: [undated("15")]}), DAY_3) == before


def test_an_undated_new_unit_holds_always_a_new_threshold_from_the_day_it_is_seen() -> None:
    before = ledger({INPUT: [undated("10")]})
    now = offer({key: [undated("10")] for key in (INPUT, LONG_INPUT, CACHED)})
    after = reconcile(before, now, DAY_2)
    assert {(row.key, row.span.valid_from, row.span.basis) for row in after} == {
        (INPUT, EPOCH, "dataset"),
        (CACHED, EPOCH, "dataset"),
        (LONG_INPUT, DAY_2, "first_seen"),
    }
    assert reconcile(after, now, DAY_3) == after


def test_a_moved_time_of_day_ends_where_the_other_begins() -> None:
    before = ledger({INPUT: [undated("10")], AT_NIGHT: [undated("5")]})
    after = reconcile(before, offer({INPUT: [undated("10")], LATER_AT_NIGHT: [undated("5")]}), DAY_2)
    assert {(row.key, row.span.valid_from, row.span.valid_to) for row in after} == {
        (INPUT, EPOCH, None),
        (AT_NIGHT, EPOCH, DAY_2),
        (LATER_AT_NIGHT, DAY_2, None),
    }


def test_two_changes_on_one_day_leave_one_price() -> None:
    rows = ledger({INPUT: [undated("10")]})
    rows = reconcile(rows, offer({INPUT: [undated("8")]}), DAY_2)
    rows = reconcile(rows, offer({INPUT: [undated("9")]}), DAY_2)
    assert [held(rows, INPUT, day) for day in (DAY_1, DAY_2)] == [price("10"), price("9")]
    rows = reconcile(rows, offer({INPUT: [undated("10")]}), DAY_2)
    assert held(rows, INPUT, DAY_2) == price("10")
    assert len({row.price_id for row in rows}) == len(rows)


def test_a_price_for_another_number_of_units_is_another_price() -> None:
    before = ledger({INPUT: [undated("10")]})
    other = Span(Price(Decimal("10"), 1_000), EPOCH, None, "dataset")
    assert len(reconcile(before, offer({INPUT: [other]}), DAY_2)) == 2


def test_rows_that_overlap_are_an_error_that_names_them() -> None:
    (row,) = ledger({INPUT: [undated("10")]})
    twin = replace(row, price_id="twin", span=since(DAY_2, "8"))
    with pytest.raises(UserError, match=f"{row.price_id} and twin .* overlap .*acme m, input_tokens, 2026-04-01"):
        check_ledger([row, twin])
    with pytest.raises(UserError, match="overlap"):
        reconcile([row, twin], offer({INPUT: [undated("10")]}), DAY_3)
    check_ledger([row, replace(twin, retracted_at=DAY_3)])
    check_ledger([row, replace(twin, key=LONG_INPUT)])


def test_ids_and_the_order_of_dates_are_checked() -> None:
    (row,) = ledger({INPUT: [undated("10")]})
    with pytest.raises(UserError, match="more than once"):
        check_ledger([row, replace(row, key=CACHED)])
    with pytest.raises(UserError, match="ends before it begins"):
        check_ledger([replace(row, span=undated("10", EPOCH))])


# Random data sets: some cells of two models, each with an undated price, dated ones, or both, and perhaps an end.
_KEYS = [INPUT, LONG_INPUT, CACHED, AT_NIGHT, replace(INPUT, model_id="n"), replace(CACHED, model_id="n")]
_DAYS = st.integers(0, 30).map(lambda n: DAY_1 + timedelta(days=n))
_PRICES = st.sampled_from(["1", "2", "3"])


@st.composite
def timelines(draw: st.DrawFn) -> tuple[Span, ...]:
    starts = sorted(draw(st.sets(_DAYS, max_size=3)))
    if not starts or draw(st.booleans()):
        starts = [EPOCH, *starts]
    ends: list[date | None] = [*starts[1:], draw(st.one_of(st.none(), st.just(starts[-1] + timedelta(days=5))))]
    spans: list[Span] = []
    for start, end in zip(starts, ends, strict=True):
        text = draw(_PRICES)
        if spans and spans[-1].price == price(text):
            spans[-1] = replace(spans[-1], valid_to=end)
        else:
            spans.append(undated(text, end) if start == EPOCH else since(start, text, end))
    return tuple(spans)


_SNAPSHOTS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.dictionaries(st.sampled_from(_KEYS), timelines()),
        st.sets(st.sampled_from(["m", "n"]), min_size=1),
    ),
    min_size=1,
    max_size=6,
)


def edges(before: Iterable[LedgerRow], after: Iterable[LedgerRow], spans: Iterable[Span]) -> set[date]:
    """Every day on which a price begins or ends, and every day before one."""
    found = {span for rows in (before, after) for row in rows for span in (row.span.valid_from, row.span.valid_to)}
    found |= {day for span in spans for day in (span.valid_from, span.valid_to)}
    return {day - timedelta(days=n) for day in found if day is not None for n in (0, 1)}


@settings(deadline=None)
@given(_SNAPSHOTS)
def test_no_history_of_data_sets_breaks_the_ledger(
    snapshots: list[tuple[int, dict[CellKey, tuple[Span, ...]], set[str]]],
) -> None:
    rows: list[LedgerRow] = []
    day = DAY_1
    for later, cells, models in snapshots:
        day += timedelta(days=later)
        now = offer({key: spans for key, spans in cells.items() if key.model_id in models}, models)
        after = reconcile(rows, now, day)

        check_ledger(after)  # no overlap, ids unique
        kept = {row.price_id: row for row in after}
        for row in rows:  # nothing but the end and the retraction ever changes, and a retraction stays
            same = kept[row.price_id]
            assert replace(same, span=row.span, retracted_at=row.retracted_at) == row
            assert replace(same.span, valid_to=row.span.valid_to) == row.span
            assert row.is_live or same == row
        for key in _KEYS:
            spans = now.prices.get(key, ())
            for on in sorted({day} | {edge for edge in edges(rows, after, spans) if edge > day}):
                if key.model_id in models:  # from now on it is what the data set says
                    assert held(after, key, on) == offered(spans, on)
                else:
                    assert held(after, key, on) == held(rows, key, on)
            for span in spans:  # and on days for which upstream has a date, too
                if span.basis == "documented":
                    assert held(after, key, span.valid_from) == span.price
        assert reconcile(after, now, day) == after
        assert reconcile(after, now, day + timedelta(days=1)) == after
        assert reconcile(after, now, day + timedelta(days=50)) == after
        rows = after


@settings(deadline=None)
@given(_SNAPSHOTS)
def test_undated_data_sets_never_change_what_a_day_before_cost(
    snapshots: list[tuple[int, dict[CellKey, tuple[Span, ...]], set[str]]],
) -> None:
    rows: list[LedgerRow] = []
    day = DAY_1
    for later, cells, models in snapshots:
        day += timedelta(days=later + 1)
        now = offer(
            {key: [undated(str(spans[0].price.unit_price))] for key, spans in cells.items() if key.model_id in models},
            models,
        )
        after = reconcile(rows, now, day)
        for key in _KEYS:
            known = held(rows, key, day - timedelta(days=1))
            assert known is None or held(after, key, day - timedelta(days=1)) == known
        rows = after


# Aliases


def alias(pattern: str, model_id: str, order: int = 1, start: date | None = None, end: date | None = None) -> Alias:
    return Alias("acme", "acme", model_id, "equals", pattern, "", order, start, end)


def orders(*models: str) -> dict[tuple[str, str], int]:
    return {("acme", model): n for n, model in enumerate(models, start=1)}


def test_aliases_of_a_model_that_is_gone_stay_and_come_last() -> None:
    before = [alias("a", "a", 1), alias("b", "b", 2), alias("c", "c", 3)]
    after = reconcile_aliases(before, [alias("c", "c", 1), alias("d", "d", 2)], orders("c", "d"), DAY_1)
    assert after == [alias("c", "c", 1), alias("d", "d", 2), alias("a", "a", 3), alias("b", "b", 4)]
    assert reconcile_aliases(after, [alias("c", "c", 1), alias("d", "d", 2)], orders("c", "d"), DAY_2) == after


def test_an_alias_that_moves_to_another_model_closes_and_begins_again() -> None:
    before = [alias("latest", "a")]
    moved = [alias("latest", "b", 2)]
    after = reconcile_aliases(before, moved, orders("a", "b"), DAY_1)
    assert after == [alias("latest", "a", 1, None, DAY_1), alias("latest", "b", 2, DAY_1)]
    assert reconcile_aliases(after, moved, orders("a", "b"), DAY_2) == after
    back = reconcile_aliases(after, before, orders("a", "b"), DAY_1)
    assert back == before
    again = reconcile_aliases(after, before, orders("a", "b"), DAY_2)
    assert [(a.model_id, a.valid_from, a.valid_to) for a in again] == [
        ("a", None, DAY_1),
        ("a", DAY_2, None),
        ("b", DAY_1, DAY_2),
    ]


def test_an_alias_that_was_taken_from_its_model_closes() -> None:
    before = [alias("a", "a"), alias("old-a", "a")]
    after = reconcile_aliases(before, [alias("a", "a")], orders("a"), DAY_1)
    assert after == [alias("a", "a"), alias("old-a", "a", 1, None, DAY_1)]


def test_aliases_of_other_channels_are_left_alone() -> None:
    other = replace(alias("x", "x", 7), channel="other")
    assert reconcile_aliases([other], [alias("a", "a")], orders("a"), DAY_1) == [alias("a", "a"), other]


def test_a_pattern_that_means_two_models_at_a_time_is_an_error() -> None:
    with pytest.raises(UserError, match="'latest' of acme twice"):
        check_aliases([alias("latest", "a"), alias("latest", "b", start=DAY_1)])
    check_aliases([alias("latest", "a", end=DAY_1), alias("latest", "b", start=DAY_1)])
