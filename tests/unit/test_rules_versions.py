"""Any series of imports: what holds on a day is what was last imported for it, and the past stays as it was."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend.rules import QuotaRule, SeedError
from llm_spend.rules.quota import Evaluation
from llm_spend.rules.seed import Row, merge

START = date(2026, 1, 1)
DAYS = [START + timedelta(days=number) for number in range(8)]
# By id in the order of a file: the limit, and the days on which it begins and ends where it says so.
FILES = st.dictionaries(
    st.sampled_from("abc"),
    st.tuples(st.integers(0, 2), st.none() | st.integers(0, 6), st.none() | st.integers(1, 3)),
    max_size=3,
)
IMPORTS = st.lists(st.tuples(FILES, st.integers(0, 6)), max_size=5)
File = dict[str, tuple[int, int | None, int | None]]


def rules_of(file: File, evaluation: Evaluation, *, is_dated: bool) -> list[QuotaRule]:
    rules = []
    for order, (rule_id, (limit, begins, days)) in enumerate(file.items(), start=1):
        starts = DAYS[begins] if is_dated and begins is not None else None
        ends = starts + timedelta(days=days) if starts and days else None
        rule = QuotaRule(
            "set", rule_id, order, evaluation, "cost_per_month", Decimal(limit), valid_from=starts, valid_to=ends
        )
        rules.append(rule)
    return rules


def holding(rows: list[Row], day: date) -> dict[str, str]:
    """Limits by rule on a day; two versions of a rule, or two rules in one place, never hold at once."""
    text = day.isoformat()
    found = [row for row in rows if row["valid_from"] <= text and (not row["valid_to"] or text < row["valid_to"])]
    assert len({row["rule_id"] for row in found}) == len({row["rule_order"] for row in found}) == len(found)
    return {row["rule_id"]: row["limit_to"] for row in found}


@settings(max_examples=80, deadline=None)
@given(IMPORTS, st.sampled_from(["first_match", "all_match"]))
def test_an_import_holds_from_its_day_and_changes_no_day_before(
    imports: list[tuple[File, int]], evaluation: Evaluation
) -> None:
    rows: list[Row] = []
    for file, day in imports:
        rules = rules_of(file, evaluation, is_dated=False)
        before = {each: holding(rows, each) for each in DAYS}
        try:
            rows, done = merge(rows, "set", rules, DAYS[day])
        except SeedError:
            # Only what begins or ends later is in the way.
            assert any(DAYS[day].isoformat() < max(row["valid_from"], row["valid_to"]) for row in rows)
            continue
        for each in DAYS:
            kept = {rule: limit for rule, limit in before[each].items() if rule in done.unchanged}
            new = {rule.rule_id: str(rule.limit_to) for rule in rules if rule.rule_id not in done.unchanged}
            assert holding(rows, each) == ({**kept, **new} if each >= DAYS[day] else before[each])
        assert merge(rows, "set", rules, DAYS[day])[0] == rows


@settings(max_examples=80, deadline=None)
@given(IMPORTS)
def test_dates_in_a_file_win_over_that_of_the_import(imports: list[tuple[File, int]]) -> None:
    rows: list[Row] = []
    for file, day in imports:
        rules = rules_of(file, "all_match", is_dated=True)
        try:
            rows, done = merge(rows, "set", rules, DAYS[day])
        except SeedError:
            continue
        for each in DAYS:
            found = holding(rows, each)
            for rule in rules:
                starts, ends = rule.valid_from or DAYS[day], rule.valid_to or date.max
                if starts <= each < ends and (rule.valid_from or rule.rule_id not in done.unchanged):
                    assert found[rule.rule_id] == str(rule.limit_to)
        again, done = merge(rows, "set", rules, DAYS[day])
        assert (again, len(done.unchanged)) == (rows, len(rules))
