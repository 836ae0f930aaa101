"""Pages of limits, statements and bills: of whole periods, so that the filters of usage don't apply."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import streamlit as st

from llm_spend.answers.formats import month_name, percent
from llm_spend.answers.quota_words import subject_words, unit_words
from llm_spend.dashboard import queries
from llm_spend.dashboard.queries import Line
from llm_spend.dashboard.show import Kind, exact_money, money, plain, table
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.budgets import budget_table
from llm_spend.dashboard.views.month import choose_month
from llm_spend.dashboard.views.request_table import request_pages, request_table
from llm_spend.destinations.base import Row
from llm_spend.export.words import ALLOCATION_METHODS, LINE_TYPES, REASONS, in_words, line_type_place, zone_words
from llm_spend.settings import read_settings

_OWN_USAGE = ("direct", "unallocated")


def quotas(view: View) -> None:
    """Budgets now; quotas and their breaches in the days of the filters."""
    st.title("Quotas and budgets")
    days = view.filters.days
    st.caption("Limits have their own subjects: of the filters the days count.")
    budgets, windows, breaches = view.ask(queries.budgets(), queries.quotas(days), queries.breaches(days))
    st.subheader("Budgets now")
    budget_table(budgets)
    st.subheader("Breaches")
    st.caption(f"{days.first} to {days.last}, UTC. Choose one to see the request that crossed the limit.")
    chosen = table(
        [
            (at, subject_words(kind, subject), used, limit, over, unit_words(unit), blocks, rule, detected)
            for at, rule, kind, subject, unit, limit, used, over, blocks, detected, _ in breaches
        ],
        {
            "When": "moment",
            "Who": "text",
            "Used": "quantity",
            "Limit": "quantity",
            "Over": "quantity",
            "Of what": "text",
            "Refused": "count",
            "Rule": "text",
            "Seen": "moment",
        },
        key=f"breaches {days.first} {days.end}",
        empty="No limit was crossed in these days.",
    )
    if chosen is not None:
        (found,) = view.ask(queries.request(breaches[chosen][-1]))
        request_table(found)
    st.subheader("Use of every quota")
    table(
        [
            (
                subject_words(kind, subject),
                breached,
                warned,
                highest,
                most,
                limit,
                unit_words(unit),
                number,
                newest,
                rule,
                open_,
            )
            for rule, kind, subject, unit, limit, number, breached, warned, highest, most, newest, open_ in windows
        ],
        {
            "Who": "text",
            "Breached": "count",
            "Near it": "count",
            "Most used": "share",
            "Most": "quantity",
            "Limit": "quantity",
            "Of what": "text",
            "Windows": "count",
            "Newest": "moment",
            "Rule": "text",
            "Of those not all known": "count",
        },
        empty="No quota rule matched a request in these days.",
    )


def chargeback(view: View) -> None:
    """A month's statements; of one its lines; of a line its requests."""
    st.title("Chargeback")
    (months,) = view.ask(queries.statement_months())
    if not months:
        st.info("There is no statement yet.")
        return
    closed: dict[date, bool] = {period: is_closed for period, is_closed in months}
    month = choose_month(list(closed))
    (statements,) = view.ask(queries.statements(month))
    known = [row[2] for row in statements if row[2] is not None]
    total, state, unpriced = st.columns(3)
    total.metric(month_name(month), plain(money(sum(known, Decimal(0)) if known else None)), border=True)
    state.metric("The month is", "closed" if closed[month] else "open", border=True)
    unpriced.metric("Attempts without a price", f"{sum(row[11] for row in statements):,}", border=True)
    st.caption(
        "Statements are of whole months and all usage: the filters don't apply."
        + ("" if closed[month] else " This one can still change.")
        + f" {zone_words(read_settings().billing_timezone)}".rstrip()
        + " Choose a statement to see its lines."
    )
    statement = table(
        statements,
        {
            "Cost centre": "text",
            "Team": "text",
            "Total": "usd",
            "Share": "share",
            **{title: "usd" for title in LINE_TYPES.values()},
            "Unpriced attempts": "count",
            "Unpriced tokens": "count",
        },
        key=f"statement {month}",
    )
    if statement is not None:
        _lines(view, month, *statements[statement][:2])


def _lines(view: View, month: date, cost_center: str, team: str) -> None:
    st.subheader(plain(f"Lines of {team}, {cost_center}, {month_name(month)}"))
    st.caption("Choose a line to see the requests behind it.")
    (found,) = view.ask(queries.lines(month, cost_center, team))
    rows = sorted(found, key=lambda row: line_type_place(row[2]))
    columns: dict[str, Kind] = {
        "What": "text",
        "Provider": "text",
        "Model": "text",
        "Charged": "usd",
        "Exact, USD": "exact_usd",
        "Tokens": "count",
        "How": "text",
        "Of month": "day",
        "Why restated": "text",
        "Unpriced attempts": "count",
        "Unpriced tokens": "count",
        "Line": "text",
    }
    chosen = table(
        [_line_cells(row) for row in rows], columns, key=f"lines {month} {cost_center} {team}", empty="It has no lines."
    )
    if chosen is not None:
        _behind(view, Line(*rows[chosen][:8]), exact=rows[chosen][10], charged=rows[chosen][11])


def _line_cells(row: Row) -> Row:
    line = Line(*row[:8])
    method, tokens, exact, charged, _, reason, _, unpriced_attempts, unpriced_tokens = row[8:]
    return (
        in_words(line.line_type, LINE_TYPES),
        line.provider,
        line.model_id,
        charged,
        exact,
        tokens,
        in_words(method, ALLOCATION_METHODS),
        line.original_period,
        in_words(reason, REASONS),
        unpriced_attempts,
        unpriced_tokens,
        line.line_id,
    )


def _behind(view: View, line: Line, *, exact: Decimal | None, charged: Decimal | None) -> None:
    kind = in_words(line.line_type, LINE_TYPES)
    st.subheader(plain(f"Behind it: {kind.lower()}, {line.provider} / {line.model_id}, {money(charged)}"))
    if line.line_type not in (*_OWN_USAGE, "restatement"):
        st.info("No requests stand behind this line: it comes from a bill, a purchase, or what teams share.")
        return
    cost = request_pages(view, lambda page: queries.requests_behind(line, page), key=f"behind {line.line_id}")
    if line.line_type == "restatement":
        said = "These are the requests of the closed month as they are known today; the line is what changed since."
    elif cost == exact:
        said = (
            f"They add up to the line: {exact_money(exact)}, rounded to {money(charged)} within the provider's month."
        )
    else:
        said = (
            f"The line has {exact_money(exact)}: requests came, changed, or got another owner since it was closed,"
            " or its month is not that of UTC."
        )
    st.caption(plain(said))


def bill(view: View) -> None:
    """Why a provider bills something else than the gateways say."""
    st.title("The provider's bill")
    (months,) = view.ask(queries.bill_months())
    if not months:
        st.info("No bill is loaded: ask a provider (`llm-spend load openai --api`), or load its bills from files.")
        return
    month = choose_month([row[0] for row in months])
    (rows,) = view.ask(queries.reconciliation(month))
    st.caption("Bills are of whole months and all usage: the filters don't apply.")
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row[0], row)
    table(
        [
            (provider, gateway, billed, difference, unexplained, share, "final" if is_final else "can still change")
            for provider, _, _, gateway, billed, difference, unexplained, share, is_final, _ in first.values()
        ],
        {
            "Provider": "text",
            "The gateways say": "usd",
            "It billed": "usd",
            "Difference": "usd",
            "Unexplained": "usd",
            "Share unexplained": "share",
            "State": "text",
        },
    )
    st.subheader("Why")
    for provider, row in first.items():
        with st.expander(
            plain(f"{provider}: {money(row[3])} by the gateways, {_billed(row[4])}, {percent(row[7])} unexplained"),
            expanded=len(first) == 1,
        ):
            causes = [(each[1].replace("_", " "), each[2], each[9]) for each in rows if each[0] == provider]
            table(causes, {"Cause": "text", "Amount, USD": "exact_usd", "What it means": "text"})


def _billed(amount: Decimal | None) -> str:
    return "no bill loaded" if amount is None else f"{money(amount)} billed"
