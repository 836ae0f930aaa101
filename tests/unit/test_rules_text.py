"""Conditions and overrides as they stand in a cell: what SQL splits is what was said."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend.rules import Condition, QuotaRule
from llm_spend.rules.quota import DIMENSIONS, conditions_text, decimal_text, encoded, narrowed, overrides_text

VALUES = st.text(st.sampled_from("ab%;|=!*.@ 25\u00e9B7C,\"'\n"), min_size=1, max_size=8)
KEYS = st.one_of(st.sampled_from(DIMENSIONS), st.text("ab.-_ ", min_size=1, max_size=4).map("metadata.{}".format))
CONDITIONS = st.lists(
    st.builds(Condition, KEYS, st.lists(VALUES, min_size=1, max_size=3, unique=True).map(tuple), st.booleans()),
    max_size=4,
)
AMOUNTS = st.decimals(min_value=0, max_value=10**15, places=12, allow_nan=False)


def split(text: str) -> set[tuple[str, frozenset[str], bool]]:
    """As the models do it: at `;`, at the first `=`, at `|`; then the percents, those of `%` itself last."""
    found = set()
    for part in filter(None, text.split(";")):
        key, _, values = part.partition("=")
        plain = [
            value.replace("%3B", ";").replace("%7C", "|").replace("%3D", "=").replace("%25", "%")
            for value in values.split("|")
        ]
        found.add((key.removesuffix("!"), frozenset(plain), key.endswith("!")))
    return found


@settings(max_examples=150, deadline=None)
@given(CONDITIONS)
def test_what_is_split_is_what_was_written(conditions: list[Condition]) -> None:
    said = {(key, frozenset(values), excludes) for key, values, excludes in conditions}
    assert split(conditions_text(conditions)) == said


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_a_value_is_encoded_as_in_a_url(value: str) -> None:
    assert unquote(encoded(value)) == value
    assert not set(encoded(value)) & set(";|=")


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(VALUES, AMOUNTS, max_size=3))
def test_overrides_are_members_and_numbers_in_full(overrides: dict[str, Decimal]) -> None:
    parts = [part.partition("=") for part in overrides_text(overrides).split("|") if part]
    assert {unquote(member): Decimal(limit) for member, _, limit in parts} == overrides
    assert all("E" not in limit for *_, limit in parts)


def test_numbers_in_full() -> None:
    amounts = ("0", "1E+3", "10.50", "0.000000000001", "100")
    assert [decimal_text(Decimal(each)) for each in amounts] == ["0", "1000", "10.5", "0.000000000001", "100"]


@settings(max_examples=100, deadline=None)
@given(CONDITIONS)
def test_no_condition_is_lost_on_the_way_to_its_columns(conditions: list[Condition]) -> None:
    rule = narrowed(QuotaRule("set", "id", 1, "all_match", "cost_per_day", None), conditions)
    kept = [*rule.conditions]
    kept += [Condition("model", rule.models)] if rule.models else []
    kept += [Condition(f"metadata.{rule.metadata[0]}", (rule.metadata[1],))] if rule.metadata else []
    if rule.subjects != (("*", "*"),):
        kept.append(Condition(rule.subjects[0][0], tuple(name for _, name in rule.subjects)))
    plain = {
        (
            key,
            frozenset(
                value if key.startswith("metadata.") else (value.lower() if key == "user" else value).strip()
                for value in values
            ),
            excludes,
        )
        for key, values, excludes in conditions
    }
    assert {(key, frozenset(values), excludes) for key, values, excludes in kept} == plain
    assert len(kept) == len(conditions)
    # What is joined by equality has no wildcard, and what is listed no separator.
    assert not any("*" in name for kind, name in rule.subjects if kind != "*")
    assert not any("|" in name for name in rule.models)
