"""The statements of a month and the lines that they are made of, as the warehouse has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from llm_spend.answers.formats import month_name
from llm_spend.answers.marts import MARTS, UNALLOCATED, Marts, open_marts
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.export.document import cents, total
from llm_spend.export.words import line_type_place

LINES, STATEMENTS = "llm_chargeback_lines", "llm_chargeback_statements"
_MONTHS_SHOWN = 24


@dataclass(frozen=True)
class Line:
    """A line of a statement. `amount_usd` is None when no part of the cost is known, else whole cents."""

    line_id: str
    cost_center_id: str
    team_id: str
    line_type: str
    allocation_method: str
    provider: str
    model_id: str
    original_period: date
    restatement_reason: str | None
    quantity_tokens: int
    unpriced_tokens: int
    unpriced_requests: int
    exact_cost_usd: Decimal | None
    amount_usd: Decimal | None
    cost_basis: str | None
    currency: str
    is_closed: bool
    has_unknown_share: bool


@dataclass(frozen=True)
class Statement:
    """What a team pays. None where nothing is known."""

    cost_center_id: str
    team_id: str
    total_usd: Decimal | None
    share_of_bill: Decimal | None
    quantity_tokens: int
    unpriced_tokens: int
    unpriced_requests: int


@dataclass(frozen=True)
class Bill:
    """A month, by cost centre and team, what belongs to nobody last."""

    period: date
    statements: tuple[Statement, ...]
    lines: tuple[Line, ...]

    @property
    def is_closed(self) -> bool:
        """None of it will change."""
        return all(line.is_closed for line in self.lines)

    @property
    def currency(self) -> str:
        """Of all amounts."""
        return ", ".join(sorted({line.currency for line in self.lines}))

    @property
    def cost_centers(self) -> tuple[str, ...]:
        """Every cost centre once, in order."""
        return tuple(dict.fromkeys(statement.cost_center_id for statement in self.statements))

    def of_cost_center(self, name: str) -> Bill:
        """The part of the bill that a cost centre pays."""
        return Bill(
            self.period,
            tuple(statement for statement in self.statements if statement.cost_center_id == name),
            tuple(line for line in self.lines if line.cost_center_id == name),
        )

    @property
    def total_usd(self) -> Decimal | None:
        """What all pay."""
        return total(statement.total_usd for statement in self.statements)

    @property
    def unpriced_tokens(self) -> int:
        """Tokens that are in no amount."""
        return sum(statement.unpriced_tokens for statement in self.statements)

    @property
    def unpriced_requests(self) -> int:
        """Attempts that are in no amount."""
        return sum(statement.unpriced_requests for statement in self.statements)

    @property
    def has_unknown_share(self) -> bool:
        """Part of a shared cost is in no amount, for want of a rate."""
        return any(line.has_unknown_share for line in self.lines)


def read_bill(destination: Destination, period: date) -> Bill:
    """The month that begins on `period`.

    Raises UserError when the tables are not there, have no lines of the month, or don't agree with each other.
    """
    with open_marts(destination, frozenset({LINES, STATEMENTS})) as marts:
        lines = _lines(marts, period)
        if not lines:
            raise _no_lines(marts, destination, period)
        bill = Bill(period, _statements(marts, period), lines)
    _check(bill)
    return bill


def _lines(marts: Marts, period: date) -> tuple[Line, ...]:
    rows = marts.rows(
        f"""
        select
            line_id, cost_center_id, team_id, line_type, allocation_method, provider, model_id, original_period,
            restatement_reason, quantity_tokens, unpriced_tokens, unpriced_requests, exact_cost_usd, amount_usd,
            cost_basis, currency, is_closed, has_unknown_share
        from {MARTS}.{LINES}
        where billing_period = ?
        """,
        period,
    )
    lines = (replace(line, amount_usd=cents(line.amount_usd)) for line in (Line(*row) for row in rows))
    return tuple(
        sorted(
            lines,
            key=lambda line: (
                *_place(line),
                line_type_place(line.line_type),
                line.provider,
                line.model_id,
                line.line_id,
            ),
        )
    )


def _statements(marts: Marts, period: date) -> tuple[Statement, ...]:
    rows = marts.rows(
        f"""
        select
            cost_center_id, team_id, total_usd, share_of_bill, quantity_tokens, unpriced_tokens, unpriced_requests
        from {MARTS}.{STATEMENTS}
        where billing_period = ?
        """,
        period,
    )
    statements = (Statement(*row) for row in rows)
    return tuple(sorted((replace(each, total_usd=cents(each.total_usd)) for each in statements), key=_place))


def _place(of: Line | Statement) -> tuple[bool, str, bool, str]:
    """Where it stands: by cost centre and team, what belongs to nobody last."""
    return (of.cost_center_id == UNALLOCATED, of.cost_center_id, of.team_id == UNALLOCATED, of.team_id)


def _no_lines(marts: Marts, destination: Destination, period: date) -> UserError:
    rows = marts.rows(f"select distinct billing_period from {MARTS}.{LINES} order by billing_period")
    return UserError(
        f"{destination.label} has no statement of {month_name(period)}.", there_are([row[0] for row in rows])
    )


def there_are(months: list[date]) -> str:
    """What to ask for instead of a month that is not there."""
    if not months:
        return "There are none of any month: run `llm-spend build` when logs are loaded."
    return f"There are some of {', '.join(f'{month:%Y-%m}' for month in months[-_MONTHS_SHOWN:])}."


def _check(bill: Bill) -> None:
    """A statement that its lines don't add up to must not leave the house."""
    charged: dict[tuple[str, str], list[Decimal | None]] = {}
    for line in bill.lines:
        charged.setdefault((line.cost_center_id, line.team_id), []).append(line.amount_usd)
    stated = {(statement.cost_center_id, statement.team_id): statement.total_usd for statement in bill.statements}
    if {owner: total(amounts) for owner, amounts in charged.items()} != stated:
        raise UserError(
            f"The lines of {month_name(bill.period)} don't add up to its statements.",
            "A build is running, or the last one did not finish: run `llm-spend build`, then export again.",
        )
