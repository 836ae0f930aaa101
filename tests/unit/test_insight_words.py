"""What the screens call anomalies, savings and KPIs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llm_spend.answers.formats import quantity
from llm_spend.answers.insight_words import (
    interval_words,
    kpi_words,
    member_words,
    plan_words,
    saving_words,
    tag_words,
    unpriced_plans,
    value_words,
)

ONE, TWO = Decimal("1.004"), Decimal("2.5")


@pytest.mark.parametrize(
    ("saving", "low", "high", "words"),
    [
        (None, None, None, "-"),
        (ONE, None, None, "$1.00"),
        (ONE, ONE, ONE, "$1.00"),
        (None, ONE, TWO, "$1.00 to $2.50"),
        (ONE, Decimal(0), TWO, "up to $2.50"),
        (None, None, TWO, "up to $2.50"),
        (Decimal(0), Decimal(0), Decimal(0), "$0.00"),
    ],
)
def test_savings(saving: Decimal | None, low: Decimal | None, high: Decimal | None, words: str) -> None:
    assert saving_words(saving, low, high) == words


def test_values_by_their_unit() -> None:
    units = ("usd", "USD per session", "ratio", "share of x", "", None)
    assert [value_words(Decimal("0.0031"), unit) for unit in units] == [
        "$0.0031", "$0.0031", "0.3%", "0.3%", "0.0031", "0.0031",
    ]  # fmt: skip
    assert value_words(None, "usd") == "-" and value_words(Decimal(12345), "tokens per call") == "12,345"
    assert [quantity(each) for each in (None, 0, 7, Decimal("-1234.5"), Decimal("0.000444"))] == [
        "-", "0", "7", "-1,234.50", "0.00044",
    ]  # fmt: skip
    assert interval_words(None, TWO) == "no interval" and interval_words(ONE, TWO) == "$1.00 to $2.50"


@pytest.mark.parametrize(
    ("value", "coverage", "words"),
    [
        ("0.164", "0.21", "$0.16 (21.0%\u00a0known)"),
        ("0.164", "0.899999", "$0.16 (90.0%\u00a0known)"),
        ("0.164", "0.9", "$0.16"),
        ("0.164", None, "$0.16"),
        (None, "0.21", "-"),
    ],
)
def test_a_kpi_says_when_little_is_known(value: str | None, coverage: str | None, words: str) -> None:
    number, share = (None if each is None else Decimal(each) for each in (value, coverage))
    assert kpi_words(number, "USD per ticket", share) == words


def test_members() -> None:
    assert member_words("total", "(all)") == "everything" and member_words("api_key", "sk-1") == "API key sk-1"
    assert tag_words("(team)", is_owner=True) == "team, by any key" and tag_words("plan", is_owner=False) == "plan"
    assert plan_words("(none)", None) == plan_words(None, None) == "(no plan)"
    assert plan_words("pro", None) == "pro" and plan_words("pro", "Professional") == "Professional"
    assert unpriced_plans(1234).startswith("1,234 tokens of the month have no price")
