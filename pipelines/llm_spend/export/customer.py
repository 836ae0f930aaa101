"""What a customer gets to see of its month: the plan, what was used of it, what is charged. Nothing of anybody else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.answers.formats import month_name
from llm_spend.answers.marts import MARTS, open_marts
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.export.bill import there_are
from llm_spend.export.document import Column, Document, Fact, Page, Table, cents, total
from llm_spend.export.names import file_slug

STATEMENTS = "llm_customer_statements"

_TOKENS = Column("quantity_tokens", "Tokens", "count", is_summed=True)


@dataclass(frozen=True)
class CustomerLine:
    """A line: fee, included, overage (charged by tier) or usage (by model, for information).

    `amount_usd` is None when nothing is charged, or when it is not known what.
    """

    customer_name: str | None
    plan_name: str | None
    line_number: int
    line_type: str
    tier_from_tokens: int | None
    model_id: str | None
    quantity_tokens: int | None
    price_per_million_usd: Decimal | None
    is_charged: bool
    amount_usd: Decimal | None
    currency: str
    last_usage_date: date
    is_whole_month: bool


@dataclass(frozen=True)
class CustomerStatement:
    """A customer's month; it has lines."""

    customer_id: str
    period: date
    lines: tuple[CustomerLine, ...]

    @property
    def name(self) -> str:
        """For people."""
        return self.lines[0].customer_name or self.customer_id

    @property
    def is_whole(self) -> bool:
        """Usage is known to the end of the month."""
        return self.lines[0].is_whole_month

    @property
    def is_known(self) -> bool:
        """Every amount that is charged has a price."""
        return all(line.amount_usd is not None for line in self.lines if line.is_charged)

    @property
    def total_usd(self) -> Decimal | None:
        """What is charged; None when it is not known, or nothing could be."""
        return total(line.amount_usd for line in self.lines) if self.is_known else None


def read_customer(destination: Destination, customer_id: str, period: date) -> CustomerStatement:
    """A customer's statement of the month that begins on `period`.

    Raises UserError when there is none; it says nothing of other customers.
    """
    with open_marts(destination, frozenset({STATEMENTS})) as marts:
        rows = marts.rows(
            f"""
            select
                customer_name, plan_name, line_number, line_type, tier_from_tokens, model_id, quantity_tokens,
                price_per_million_usd, is_charged, amount_usd, currency, last_usage_date, is_whole_month
            from {MARTS}.{STATEMENTS}
            where customer_id = ? and billing_period = ?
            order by line_number
            """,
            customer_id,
            period,
        )
        if rows:
            return CustomerStatement(customer_id, period, tuple(CustomerLine(*row) for row in rows))
        known = marts.rows(
            f"select distinct billing_period from {MARTS}.{STATEMENTS} where customer_id = ? order by billing_period",
            customer_id,
        )
    if not known:
        raise UserError(
            f"{destination.label} has no statement of a customer {customer_id!r}.",
            "Give the customer_id as tags and the seed customers have it, upper and lower case too.",
        )
    raise UserError(
        f"{destination.label} has no statement of {customer_id!r} for {month_name(period)}.",
        there_are([row[0] for row in known]),
    )


def document(statement: CustomerStatement) -> Document:
    """The statement that the customer gets."""
    found = (_charges(statement), _usage(statement))
    page = Page(statement.name, statement.name, _facts(statement), tuple(table for table in found if table.rows))
    return Document(
        name=f"customer-{file_slug(statement.customer_id)}-{statement.period:%Y-%m}",
        title=f"Statement of usage, {month_name(statement.period)}",
        period=statement.period,
        status="whole month" if statement.is_whole else f"usage up to {statement.lines[0].last_usage_date:%Y-%m-%d}",
        is_final=statement.is_whole,
        notes=tuple(_notes(statement)),
        pages=(page,),
        sheets=(),
        data={"lines": _data(statement)},
    )


def _notes(statement: CustomerStatement) -> Iterable[str]:
    if not statement.is_whole:
        yield "This is not the whole month: tokens and amounts may change."
    if not statement.is_known:
        yield "The price of something that is charged is not known yet, so there is no total."


def _facts(statement: CustomerStatement) -> tuple[Fact, ...]:
    is_charged = any(line.is_charged for line in statement.lines)
    return (
        Fact("Customer", statement.customer_id),
        Fact("Month", month_name(statement.period)),
        Fact("Plan", statement.lines[0].plan_name or "none"),
        Fact("Currency", statement.lines[0].currency),
        Fact("Total", statement.total_usd, "usd") if is_charged else Fact("Total", "nothing is charged"),
    )


def _charges(statement: CustomerStatement) -> Table:
    """What is charged, and what the fee covers. They have no sum when a part of it is not known."""
    rows = tuple(
        (
            _item(line),
            line.quantity_tokens,
            line.price_per_million_usd,
            cents(line.amount_usd) if line.is_charged else Decimal("0.00"),
        )
        for line in statement.lines
        if line.line_type != "usage"
    )
    columns = (
        Column("item", "Item"),
        _TOKENS,
        Column("price_per_million_usd", "Price per million tokens", "exact_usd"),
        Column("amount_usd", "Amount", "usd", is_summed=statement.is_known),
    )
    return Table("Charges", columns, rows)


def _item(line: CustomerLine) -> str:
    match line.line_type:
        case "fee":
            return "Monthly fee"
        case "included":
            return "Tokens covered by the fee"
        case "overage" if line.tier_from_tokens:
            return f"Tokens above the included ones, beyond the first {line.tier_from_tokens:,}"
        case "overage":
            return "Tokens above the included ones"
        case other:
            return other.replace("_", " ")


def _usage(statement: CustomerStatement) -> Table:
    rows = tuple((line.model_id, line.quantity_tokens) for line in statement.lines if line.line_type == "usage")
    return Table("All tokens by model, for information", (Column("model_id", "Model"), _TOKENS), rows)


def _data(statement: CustomerStatement) -> Table:
    fields = (
        Column("line_number", "Line", "count"),
        Column("line_type", "Type"),
        Column("tier_from_tokens", "From", "count"),
        Column("model_id", "Model"),
        Column("quantity_tokens", "Tokens", "count"),
        Column("price_per_million_usd", "Price per million tokens", "exact_usd"),
        Column("is_charged", "Charged", "flag"),
        Column("amount_usd", "Amount", "usd"),
        Column("currency", "Currency"),
        Column("last_usage_date", "Usage up to", "day"),
        Column("is_whole_month", "Whole month", "flag"),
    )
    columns = (Column("billing_period", "Month", "month"), Column("customer_id", "Customer"), *fields)
    rows = (
        (statement.period, statement.customer_id, *(getattr(line, field.name) for field in fields))
        for line in statement.lines
    )
    return Table("Lines", columns, tuple(rows))
