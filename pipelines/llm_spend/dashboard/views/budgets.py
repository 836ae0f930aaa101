"""The table of budgets, which two pages show."""

from __future__ import annotations

from llm_spend.answers.quota_words import subject_words, unit_words
from llm_spend.dashboard.show import table
from llm_spend.destinations.base import Row
from llm_spend.report.found import Budget

_SIGNS = {"breached": "\N{BALLOT X}", "warning": "\N{WARNING SIGN}", "ok": "\N{CHECK MARK}"}


def state_of(status: str) -> str:
    """A state that is seen without its colour."""
    return f"{_SIGNS.get(status, '')} {status}".strip()


def budget_of(row: Row) -> Budget:
    """A row of `queries.budgets`."""
    rule, subject_type, subject, unit, _, start, end, budget, spent, _, used, forecast, status, reliability, *_ = row
    is_exact = reliability == "exact"
    return Budget(rule, subject_type, subject, unit, start, end, budget, spent, used, forecast, status, is_exact)


def budget_table(rows: list[Row]) -> None:
    """The budgets of the periods that now is in."""
    shown = [
        (
            subject_words(subject_type, subject), state_of(status), spent, budget, used_ratio, forecast, remaining,
            unit_words(unit), start, end, rule, "at least" if reliability == "unreliable" else "exact", unpriced,
        )
        for (
            rule, subject_type, subject, unit, _, start, end, budget, spent, remaining, used_ratio, forecast, status,
            reliability, unpriced, _,
        ) in rows
    ]  # fmt: skip
    table(
        shown,
        {
            "Whose": "text",
            "State": "text",
            "Spent": "usd",
            "Budget": "usd",
            "Used": "share",
            "Forecast": "usd",
            "Left": "usd",
            "Of what": "text",
            "From": "moment",
            "Until": "moment",
            "Rule": "text",
            "Spent is": "text",
            "Unpriced attempts": "count",
        },
        empty="There is no budget for now: give rules by cost in quota_rules.csv, then run `llm-spend build`.",
    )
