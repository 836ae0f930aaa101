"""The tables of a statement: what a bill is, from several sides. All of them add up to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import TypeVar

from llm_spend.answers.formats import ratio
from llm_spend.answers.marts import UNALLOCATED
from llm_spend.export.bill import Bill, Line, Statement
from llm_spend.export.document import Column, Table, total
from llm_spend.export.words import ALLOCATION_METHODS, LINE_TYPES, REASONS, in_words, line_type_place
from llm_spend.months import last_day

CLEARING_ACCOUNT = "provider_clearing"

_Key = TypeVar("_Key", bound=Hashable)

_PERIOD = Column("billing_period", "Month", "month")
_COST_CENTER, _TEAM = Column("cost_center_id", "Cost centre"), Column("team_id", "Team")
_LINE_TYPE, _METHOD = Column("line_type", "Type"), Column("allocation_method", "How it was allocated")
_PROVIDER, _MODEL = Column("provider", "Provider"), Column("model_id", "Model")
_ORIGINAL_PERIOD = Column("original_period", "Original month", "month", is_optional=True)
_REASON = Column("restatement_reason", "Reason", is_optional=True)
_AMOUNT = Column("amount_usd", "Amount", "usd", is_summed=True)
_TOTAL = Column("total_usd", "Total", "usd", is_summed=True)
_SHARE = Column("share_of_bill", "Share of the bill", "share")
_TOKENS = Column("quantity_tokens", "Tokens", "count", is_summed=True)
_UNPRICED_TOKENS = Column("unpriced_tokens", "Unpriced tokens", "count", is_summed=True, is_optional=True)
_UNPRICED_REQUESTS = Column("unpriced_requests", "Unpriced requests", "count", is_summed=True, is_optional=True)
_CURRENCY, _IS_CLOSED = Column("currency", "Currency"), Column("is_closed", "Closed", "flag")
_UNKNOWN_SHARE = Column("has_unknown_share", "Share without a rate", "flag")

_MEASURES = (_TOTAL, _SHARE, _TOKENS, _UNPRICED_TOKENS, _UNPRICED_REQUESTS)


def by_cost_center(bill: Bill) -> Table:
    """A row a cost centre, with the sum of each type of lines."""
    line_types = line_types_of(bill)
    rows = []
    for name in bill.cost_centers:
        part = bill.of_cost_center(name)
        tokens = sum(statement.quantity_tokens for statement in part.statements)
        share = ratio(part.total_usd, bill.total_usd)
        measures = (part.total_usd, share, tokens, part.unpriced_tokens, part.unpriced_requests)
        rows.append((name, *_subtotals(part.lines, line_types), *measures))
    return Table("Cost centres", (_COST_CENTER, *_type_columns(line_types), *_MEASURES), tuple(rows))


def by_team(bill: Bill, line_types: tuple[str, ...] = ()) -> Table:
    """A row a statement, with the sum of each of these types of lines; of those that occur if none are given."""
    line_types = line_types or line_types_of(bill)
    lines = _by(bill.lines, lambda line: (line.cost_center_id, line.team_id))
    rows = tuple(
        (
            statement.cost_center_id,
            statement.team_id,
            *_subtotals(lines[statement.cost_center_id, statement.team_id], line_types),
            *_measures(statement),
        )
        for statement in bill.statements
    )
    return Table("Teams", (_COST_CENTER, _TEAM, *_type_columns(line_types), *_MEASURES), rows)


def by_method(bill: Bill) -> Table:
    """A row for each way in which lines came by their amounts."""
    lines = _by(bill.lines, lambda line: (*line_type_place(line.line_type), line.allocation_method))
    rows = tuple(
        (
            in_words(line_type, LINE_TYPES),
            in_words(method, ALLOCATION_METHODS),
            total(line.amount_usd for line in lines[place, line_type, method]),
        )
        for place, line_type, method in sorted(lines)
    )
    return Table("How the amounts came about", (_LINE_TYPE, _METHOD, _AMOUNT), rows)


def restatements(bill: Bill) -> Table:
    """A row for each earlier month and reason of which something is booked in this one."""
    restated = (line for line in bill.lines if line.line_type == "restatement")
    lines = _by(restated, lambda line: (line.original_period, line.restatement_reason or ""))
    rows = tuple(
        (month, in_words(reason, REASONS), total(line.amount_usd for line in lines[month, reason]))
        for month, reason in sorted(lines)
    )
    return Table("Restatements of earlier months", (_ORIGINAL_PERIOD, _REASON, _AMOUNT), rows)


def line_table(bill: Bill) -> Table:
    """The lines, in words."""
    columns = (_TEAM, _LINE_TYPE, _PROVIDER, _MODEL, _METHOD, _ORIGINAL_PERIOD, _REASON, _TOKENS, _UNPRICED_TOKENS)
    rows = tuple(
        (
            line.team_id,
            in_words(line.line_type, LINE_TYPES),
            line.provider,
            line.model_id,
            in_words(line.allocation_method, ALLOCATION_METHODS),
            line.original_period if line.original_period != bill.period else None,
            in_words(line.restatement_reason, REASONS) or None,
            line.quantity_tokens,
            line.unpriced_tokens,
            line.amount_usd,
        )
        for line in bill.lines
    )
    return Table("Lines", (*columns, _AMOUNT), rows)


def journal(bill: Bill) -> Table:
    """Debit a cost centre, credit the provider's clearing account: a row each, which add up to the bill.

    An amount below 0 is booked the other way. What has no known amount is not booked.
    """
    lines = _by(bill.lines, lambda line: (line.cost_center_id, line.provider))
    posted_on = last_day(bill.period)
    rows = []
    for cost_center, provider in sorted(lines, key=lambda key: (key[0] == UNALLOCATED, key)):
        amount = total(line.amount_usd for line in lines[cost_center, provider])
        if amount:
            rows.append((posted_on, cost_center, CLEARING_ACCOUNT, provider, amount, bill.currency))
    columns = (
        Column("posting_date", "Date", "day"),
        Column("debit_cost_center_id", "Debit: cost centre"),
        Column("credit_account", "Credit: account"),
        Column("credit_provider", "Credit: provider"),
        _AMOUNT,
        _CURRENCY,
    )
    return Table("Entries", columns, tuple(rows))


def statement_data(bill: Bill) -> Table:
    """A row a statement, with the sums of all types of lines that there are, in whichever month."""
    line_types = tuple(dict.fromkeys((*LINE_TYPES, *line_types_of(bill))))
    teams = by_team(bill, line_types)
    rows = ((bill.period, *row, bill.currency, bill.is_closed) for row in teams.rows)
    return Table("Statements", (_PERIOD, *teams.columns, _CURRENCY, _IS_CLOSED), tuple(rows))


def line_data(bill: Bill) -> Table:
    """The lines as the warehouse has them."""
    fields = (
        Column("line_id", "Line"),
        *(_COST_CENTER, _TEAM, _LINE_TYPE, _METHOD, _PROVIDER, _MODEL, _ORIGINAL_PERIOD, _REASON),
        *(_TOKENS, _UNPRICED_TOKENS, _UNPRICED_REQUESTS),
        Column("exact_cost_usd", "Cost before rounding", "exact_usd"),
        _AMOUNT,
        Column("cost_basis", "Where the cost comes from"),
        _CURRENCY,
        _IS_CLOSED,
        _UNKNOWN_SHARE,
    )
    rows = ((bill.period, *(getattr(line, field.name) for field in fields)) for line in bill.lines)
    return Table("Lines", (_PERIOD, *fields), tuple(rows))


def line_types_of(bill: Bill) -> tuple[str, ...]:
    """The types of lines that occur, in the order in which they are read."""
    return tuple(sorted({line.line_type for line in bill.lines}, key=line_type_place))


def _type_columns(line_types: Iterable[str]) -> tuple[Column, ...]:
    return tuple(Column(f"{name}_usd", in_words(name, LINE_TYPES), "usd", is_summed=True) for name in line_types)


def _subtotals(lines: Iterable[Line], line_types: Iterable[str]) -> tuple[Decimal | None, ...]:
    """The sum of each type: 0 when there is no line of it, None when there are but no amount is known."""
    of = _by(lines, lambda line: line.line_type)
    return tuple(total(line.amount_usd for line in of[name]) if name in of else Decimal("0.00") for name in line_types)


def _measures(statement: Statement) -> tuple[Decimal | int | None, ...]:
    return (
        statement.total_usd,
        statement.share_of_bill,
        statement.quantity_tokens,
        statement.unpriced_tokens,
        statement.unpriced_requests,
    )


def _by(lines: Iterable[Line], key: Callable[[Line], _Key]) -> dict[_Key, list[Line]]:
    found: dict[_Key, list[Line]] = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return found
