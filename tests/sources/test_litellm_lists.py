"""What budgets of LiteLLM mean, from rows alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from llm_spend.sources import litellm_lists as lists
from llm_spend.sources.litellm_lists import Counters, Period, period

NOW, FIRST = datetime(2026, 11, 7, 3), datetime(2026, 12, 1)


@pytest.mark.parametrize(
    ("duration", "unit", "length"),
    [
        *((None, "lifetime", None), ("", "lifetime", None), ("30s", None, None), ("120s", "minute", 2)),
        *(("30m", "minute", 30), ("60m", "hour", 1), ("1h", "hour", 1), ("24h", "day", 1), ("36h", "hour", 36)),
        *(("1d", "day", 1), ("2d", "days", 2), ("7d", "week", 1), ("30d", "month", 1), ("90d", "days", 90)),
        *(("1w", "week", 1), ("2w", "days", 14), ("1mo", "month", 1), ("3mo", "month", 3)),
        *(
            ("daily", "day", 1),
            ("Weekly", "week", 1),
            ("monthly", "month", 1),
            ("0d", None, None),
            ("soon", None, None),
        ),
    ],
)
def test_a_duration_is_a_period(duration: str | None, unit: str | None, length: int | None) -> None:
    found = period(duration)
    assert (found.unit, found.length) == (unit, length)
    assert found.anchor == (None if unit == "lifetime" else "next_reset_at")


@pytest.mark.parametrize(
    ("duration", "end", "start"),
    [
        ("1h", NOW, datetime(2026, 11, 7, 2)),
        ("1d", NOW, datetime(2026, 11, 6, 3)),
        ("7d", NOW, datetime(2026, 10, 31, 3)),
        ("1mo", FIRST, datetime(2026, 11, 1)),
        ("13mo", FIRST, datetime(2025, 11, 1)),
        # Older proxies took 30 days for a month: which of the two it was is not to be seen.
        ("30d", NOW, None),
        (None, NOW, None),
        ("30s", NOW, None),
    ],
)
def test_a_period_began_before_its_end(duration: str | None, end: datetime, start: datetime | None) -> None:
    assert period(duration).start(end) == start


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.1, "0.1"), (1e-7, "0.0000001"), ("2.50", "2.50"), (0, "0"), (None, None), ("", None), (True, None)],
)
def test_an_amount_is_exact(value: Any, text: str | None) -> None:
    assert lists.amount(value) == text
    assert lists.amount("dear") is lists.amount(float("inf")) is None


def limits(row: dict[str, Any], *budgets: dict[str, Any]) -> dict[str, lists.Limit]:
    found = lists.limits_of(lists.TEAM, [{"team_id": "t", "team_alias": "Search", **row}], Counters.of(budgets), NOW)
    return {limit.limit_id.removeprefix("team:t:"): limit for limit in found}


def test_an_own_limit_wins_over_that_of_a_shared_budget() -> None:
    shared = {"budget_id": "b", "max_budget": 5, "tpm_limit": 10, "budget_duration": "1d"}
    found = limits({"budget_id": "b", "max_budget": 7, "spend": 1}, shared)
    assert {name: limit.limit_value for name, limit in found.items()} == {"max_budget": "7", "tpm_limit": "10"}
    assert found["max_budget"].period == Period("day", 1, "next_reset_at")
    assert found["max_budget"].name == "Search: max_budget"


def test_a_budget_of_zero_is_one_and_none_is_none() -> None:
    (found,) = limits({"max_budget": 0, "spend": 0}).values()
    usage = lists.usage_row(found)
    assert found.limit_value == "0" and usage and usage["status"] == "exhausted"
    assert limits({"max_budget": None, "spend": 3}) == {}


def test_a_rise_counts_until_it_ends() -> None:
    rise = {"temp_budget_increase": "2.5", "temp_budget_expiry": "2026-11-08T00:00:00Z"}
    assert limits({"max_budget": 1, "metadata": rise})["max_budget"].limit_value == "3.5"
    over = {**rise, "temp_budget_expiry": "2026-11-07T03:00:00+00:00"}
    assert limits({"max_budget": 1, "metadata": over})["max_budget"].limit_value == "1"


def test_budgets_of_models_come_in_all_forms() -> None:
    models = (
        '{"a": 1, "b": {"max_budget": "2", "budget_duration": "1d", "rpm_limit": 3}, "c": {"tpm_limit": 4}, "d": null}'
    )
    found = limits({"model_max_budget": models})
    assert {name: limit.limit_value for name, limit in found.items()} == {
        **{"max_budget:a": "1", "max_budget:b": "2", "rpm_limit:b": "3", "tpm_limit:c": "4"},
    }
    assert found["rpm_limit:b"].scope == {"team": "t", "model": "b"}
    assert limits({"model_max_budget": "not json", "budget_limits": [None, {"max_budget": None}]}) == {}


def test_metadata_without_what_may_be_secret() -> None:
    given = {"team": "x", "n": 1, "tags": ["a"], "api_key": "s", "callback": {"k": "s"}, "my_token": "s", "list": [{}]}
    assert lists.plain_metadata(given) == {"team": "x", "n": 1, "tags": ["a"]}
    assert lists.plain_metadata({"author": "ann", "Authorization": "s", "auth": "s"}) == {"author": "ann"}
    assert lists.plain_metadata("[1]") == lists.plain_metadata(None) == {}


@pytest.mark.parametrize(
    "secret",
    [
        "https://hooks.slack.com/services/T/B/XXX",
        "see hooks.slack.com/services/T/B/XXX",
        "https://acme.webhook.office.com/webhookb2/XXX",
        "https://discord.com/api/webhooks/1/XXX",
        "https://api.telegram.org/botXXX/sendMessage",
        "https://user:XXX@host/x",
        "postgresql://XXX@host",
    ],
)
def test_an_address_that_is_a_secret_is_left_out(secret: str) -> None:
    assert lists.plain_metadata({"alerts": secret, "n": 1, "all": [secret, "a"]}) == {"n": 1, "all": ["a"]}
    (member,) = lists.members(lists.PROJECT, [{"project_id": "p", "description": secret, "metadata": {"x": secret}}])
    assert "XXX" not in str(member)


def test_a_secret_within_a_text_is_not_shown() -> None:
    given = {"note": "key sk-abcdef123456", "wiki": "https://wiki.acme.io/@ann", "list": ["password=XXX"]}
    kept = {"note": "key ***", "wiki": "https://wiki.acme.io/@ann", "list": ["password=***"]}
    assert lists.plain_metadata(given) == kept
