"""What a statement of a month is as a document: a summary, a page a cost centre, and the journal that books it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llm_spend.answers.formats import count, month_name, ratio
from llm_spend.export import Mode, tables
from llm_spend.export.bill import Bill
from llm_spend.export.document import Document, Fact, Page
from llm_spend.export.words import zone_words

_PURPOSES: Mapping[Mode, str] = {
    "chargeback": "This statement charges cost centres for what they used.",
    "showback": "This statement shows what was used. Nothing is charged by it.",
}


def document(bill: Bill, mode: Mode, billing_timezone: str = "UTC") -> Document:
    """The statement of a month, which is one of a time zone; to charge for it, with a journal."""
    data = {"statements": tables.statement_data(bill), "lines": tables.line_data(bill)}
    sheets: tuple[Page, ...] = ()
    if mode == "chargeback":
        journal = tables.journal(bill)
        data["journal"] = journal
        sheets = (Page("Journal", "Journal", _facts(bill, bill), (journal,)),)
    return Document(
        name=f"{mode}-{bill.period:%Y-%m}",
        title=f"LLM {mode}, {month_name(bill.period)}",
        period=bill.period,
        status=_status(bill),
        is_final=bill.is_closed,
        notes=tuple(_notes(bill, mode, billing_timezone)),
        pages=(_summary(bill), *(_cost_center(bill, name) for name in bill.cost_centers)),
        sheets=sheets,
        data=data,
    )


def _status(bill: Bill) -> str:
    return "closed" if bill.is_closed else "open, may change"


def _notes(bill: Bill, mode: Mode, billing_timezone: str) -> Iterable[str]:
    yield _PURPOSES[mode]
    if zone := zone_words(billing_timezone):
        yield zone
    if not bill.is_closed:
        yield "The month is open: amounts may change until it is closed."
    if bill.unpriced_requests:
        yield f"Without a known price: {_unpriced(bill)}. What they cost comes on top when the price is known."
    if bill.has_unknown_share:
        yield "A shared cost has no exchange rate: it is in no amount, and comes on top when the rate is known."
    if any(line.line_type == "restatement" for line in bill.lines):
        yield "Restatements are what earlier, closed months cost more or less than was stated for them."


def _summary(bill: Bill) -> Page:
    found = (tables.by_cost_center(bill), tables.by_team(bill), tables.by_method(bill), tables.restatements(bill))
    return Page("Summary", "Summary", _facts(bill, bill), tuple(table.without() for table in found if table.rows))


def _cost_center(bill: Bill, name: str) -> Page:
    part = bill.of_cost_center(name)
    found = (tables.by_team(part).without("cost_center_id"), tables.line_table(part).without())
    return Page(name, f"Cost centre {name}", _facts(part, bill), found)


def _facts(part: Bill, bill: Bill) -> tuple[Fact, ...]:
    """What heads the page of a part of the bill, or of all of it."""
    return (
        Fact("Month", month_name(bill.period)),
        Fact("Status", _status(bill)),
        Fact("Currency", bill.currency),
        Fact("Total", part.total_usd, "usd"),
        Fact("Share of the bill", ratio(part.total_usd, bill.total_usd), "share"),
        Fact("Usage without a price", _unpriced(part)),
        *((Fact("Shared costs without a rate", "some, in no amount"),) if part.has_unknown_share else ()),
    )


def _unpriced(part: Bill) -> str:
    if not part.unpriced_requests:
        return "none"
    return f"{count(part.unpriced_tokens)} tokens of {count(part.unpriced_requests)} requests, in no amount"
