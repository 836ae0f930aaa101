"""The tables that filters change, as they stand before anybody filters: what `report.js` fills anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from llm_spend.answers.formats import UNKNOWN, count, day, percent, ratio
from llm_spend.answers.marts import UNALLOCATED
from llm_spend.report.blocks import Cell, Column, Row, Table, amount, bar, text
from llm_spend.report.cube import DIMENSIONS, MEASURES, Dimension
from llm_spend.report.figures import Part, Sums, all_rows, by_day, by_member, parts, since, total
from llm_spend.report.found import Found, Performance
from llm_spend.report.payload import milliseconds

_TAG_VALUE = Dimension("value", "Value", "values", "tag_value")
_NOBODY = ("team", "user", "feature", "customer", "environment")


def members(found: Found, dimension: Dimension) -> Table:
    """Who used what in the month, by one dimension."""
    sums = total(since(all_rows(found.usage), found.month))
    shown = parts(by_member(found.usage, dimension, found.month), dimension)
    return _members(dimension.title, shown, sums)


def tag_values(found: Found) -> Table:
    """The values of the key that most requests carry."""
    requests: dict[str, int] = {}
    for row in found.tags.rows:
        requests[row.key] = requests.get(row.key, 0) + row.requests
    if not requests:
        return Table("", (), (), "No request carries a tag.")
    key = min(requests, key=lambda name: (-requests[name], name))
    values: dict[str, Sums] = {}
    whole = Sums()
    for row in found.tags.rows:
        if row.key == key and row.day >= found.month:
            of_tag = {"requests": row.requests, "total_tokens": row.tokens, "unpriced_requests": row.unpriced_requests}
            measures = [of_tag.get(measure, 0) for measure in MEASURES]
            for sums in (values.setdefault(row.value, Sums()), whole):
                sums.add(measures, row.cost_usd)
    return _members(key, parts(values, _TAG_VALUE), whole)


def days(found: Found) -> Table:
    """What each day of the month cost."""
    rows = since(all_rows(found.usage), found.month)
    columns = ("Cost", "Requests", "Tokens", "Errors", "Blocked", "Unpriced")
    return Table(
        "By day",
        (Column("From"), *(Column(title, True) for title in columns)),
        (
            *(Row(_day(day(start), each)) for start, each in by_day(rows).items()),
            Row(_day("Total", total(rows)), "total"),
        ),
    )


def running(spent: Sequence[str | None], before: Sequence[str | None]) -> Table:
    """What was spent to the end of each day, beside the month before."""
    lines = max(len(spent), len(before))
    return Table(
        "Spent by the end of each day",
        (Column("Day", True), Column("This month", True), Column("The month before", True)),
        tuple(
            Row(
                (
                    Cell(str(place + 1)),
                    *(_reached(amounts, place) for amounts in (spent, before)),
                )
            )
            for place in range(lines)
        ),
    )


def latencies(found: Found) -> Table:
    """How fast and reliable models were in the month. Percentiles can't be added up: those of the middle day stand."""
    series: dict[tuple[str, str, str], list[Performance]] = {}
    for row in found.performance:
        if row.day >= found.month:
            series.setdefault((row.provider, row.model, row.operation), []).append(row)
    ordered = sorted(series.items(), key=lambda item: (-sum(each.attempts for each in item[1]), item[0]))
    return Table(
        "Latency",
        (
            Column("Model"),
            Column("Kind"),
            *(Column(title, True) for title in ("Attempts", "Failed", "p50", "p90", "p99")),
            *(Column(title, True, True) for title in ("First token p50", "p90")),
        ),
        tuple(Row(_latency(*names, days)) for names, days in ordered),
        "No request was answered in this month.",
    )


def nobodys(found: Found) -> Table:
    """What of the month belongs to no team, user …"""
    sums = total(since(all_rows(found.usage), found.month))
    by_name = {dimension.name: dimension for dimension in DIMENSIONS}
    titles = ("Cost", "Share", "Requests", "Tokens", "Unpriced")
    return Table(
        "Without an owner",
        (Column("Without a"), *(Column(title, True) for title in titles)),
        tuple(Row(_nobodys(by_name[name], found, sums)) for name in _NOBODY),
    )


def _members(title: str, shown: Sequence[Part], sums: Sums) -> Table:
    most = max((part.sums.cost_usd or Decimal(0) for part in shown if part.kind == "top"), default=Decimal(0))
    return Table(
        title,
        (
            Column(title),
            Column("Cost", True),
            Column("Share", True),
            Column("Requests", True, True),
            Column("Tokens", True, True),
            Column("Unpriced", True),
        ),
        (
            *(
                Row(
                    _usage(part.name, part.sums, sums, most if part.kind == "top" else None),
                    "" if part.kind == "top" else "rest",
                )
                for part in shown
            ),
            Row(_usage("Total", sums, sums, None), "total"),
        ),
    )


def _nobodys(dimension: Dimension, found: Found, of: Sums) -> tuple[Cell, ...]:
    nobody = by_member(found.usage, dimension, found.month).get(UNALLOCATED, Sums())
    # No attempt at all costs nothing, and that is known.
    cost = nobody.cost_usd if nobody["attempts"] else Decimal(0)
    measures = ("requests", "total_tokens", "unpriced_requests")
    return (
        Cell(dimension.title.lower()),
        amount(cost),
        Cell(percent(ratio(cost, of.cost_usd))),
        *(Cell(count(nobody[measure])) for measure in measures),
    )


def _usage(name: str, sums: Sums, of: Sums, most: Decimal | None) -> tuple[Cell, ...]:
    length = bar(ratio(sums.cost_usd, most)) if most else ""
    return (
        replace(text(name), bar=length),
        amount(sums.cost_usd),
        Cell(percent(ratio(sums.cost_usd, of.cost_usd))),
        Cell(count(sums["requests"])),
        _tokens(sums["total_tokens"]),
        Cell(count(sums["unpriced_requests"])),
    )


def _tokens(number: int) -> Cell:
    """Millions where there are many: what a row is about is its cost."""
    if number < 10**6:
        return Cell(count(number))
    tenths = (number + 50_000) // 100_000
    return Cell(f"{tenths // 10:,}.{tenths % 10} M", exact=count(number))


def _day(name: str, sums: Sums) -> tuple[Cell, ...]:
    measures = ("requests", "total_tokens", "errors", "blocked_requests", "unpriced_requests")
    return (Cell(name), amount(sums.cost_usd), *(Cell(count(sums[measure])) for measure in measures))


def _reached(amounts: Sequence[str | None], place: int) -> Cell:
    """What was spent by a day; nothing for a day that the month does not have yet."""
    if place >= len(amounts):
        return Cell("")
    text_of = amounts[place]
    return amount(None if text_of is None else Decimal(text_of))


def _latency(provider: str, model: str, operation: str, days: Sequence[Performance]) -> tuple[Cell, ...]:
    attempts = sum(each.attempts for each in days)
    columns = zip(*((*each.latency_ms, *each.ttft_ms) for each in days), strict=True)
    return (
        text(f"{provider} / {model}"),
        text(operation),
        Cell(count(attempts)),
        Cell(percent(ratio(sum(each.failed_attempts for each in days), attempts))),
        *(Cell(_time(_middle(map(milliseconds, column)))) for column in columns),
    )


def _middle(values: Iterable[int | None]) -> int | None:
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None


def _time(milliseconds: int | None) -> str:
    """`884 ms`, `1.69 s`."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    hundredths = (milliseconds + 5) // 10
    return f"{hundredths // 100}.{hundredths % 100:02d} s"
