"""Rows of the tag registry proposed from usage."""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO
from pathlib import Path

from llm_spend.tags.registry import COLUMNS, Registry, find_registry
from llm_spend.tags.suggest import Suggestion, Used, propose, registry_rows

FIRST, LATER = date(2026, 8, 1), date(2026, 9, 1)
NO_REGISTRY = Registry(None, {})
RULES = [
    {"dimension": dimension, "source_system": "*", "metadata_key": key, "priority": priority}
    for dimension, key, priority in (("team", "team", "1"), ("team", "team_id", "2"), ("user", "user", "1"))
]


def used(key: str, *values: str, requests: int = 1) -> list[Used]:
    return [Used(key, value, requests, LATER if number else FIRST) for number, value in enumerate(values)]


def proposed(
    *keys: list[Used],
    misspelt: dict[str, str] | None = None,
    slips: dict[tuple[str, str], str] | None = None,
    registry: Registry = NO_REGISTRY,
) -> Suggestion:
    return propose([each for values in keys for each in values], misspelt or {}, slips or {}, registry, RULES)


def row(suggestion: Suggestion, key: str) -> dict[str, str]:
    (found,) = (each for each in suggestion.registry if each["tag_key"] == key)
    return {name: value for name, value in found.items() if value}


def test_few_values_are_listed_and_people_fill_in_what_they_mean() -> None:
    found = proposed(used("plan", "pro", "free"))
    assert row(found, "plan") == {"tag_key": "plan", "allowed_values": "free|pro", "since": "2026-08-01"}
    assert set(found.registry[0]) == set(COLUMNS)


def test_values_of_one_shape_become_a_pattern() -> None:
    assert row(proposed(used("release", "2026.38", "2026.39", "2026.40")), "release")["pattern"] == (
        "^[0-9]{4}[.][0-9]{2}$"
    )
    assert row(proposed(used("customer", *(f"cust-{n:04}" for n in range(30)))), "customer")["pattern"] == (
        "^cust-[0-9]{4}$"
    )


def test_free_text_and_people_have_no_list() -> None:
    found = proposed(
        used("note", "x" * 128),
        used("session", "(too many values)"),
        used("user", "ana", "bob"),
        used("contact", "ana@example.com"),
        used("topic", *(f"{chr(97 + n)}-topic" for n in range(21))),
    )
    assert [each["allowed_values"] + each["pattern"] for each in found.registry] == [""] * 5


def test_slips_are_left_out_and_told() -> None:
    found = proposed(
        used("team", "search", "serach"),
        used("relase", "1"),
        misspelt={"relase": "release"},
        slips={("team", "serach"): "search"},
    )
    assert [each["tag_key"] for each in found.registry] == ["team"]
    assert row(found, "team")["allowed_values"] == "search"
    assert found.notes == (
        "`relase` is nearly `release`: not proposed.",
        "`team`: `serach` is nearly `search`: not among the values.",
    )


def test_keys_of_one_owner_are_replaced_by_the_one_that_is_sent_most() -> None:
    found = proposed(used("team", "search"), used("team_id", "search", requests=9))
    assert row(found, "team")["replaced_by"] == "team_id"
    assert "replaced_by" not in row(found, "team_id")


def test_keys_that_look_like_an_owner_get_an_attribution_rule() -> None:
    found = proposed(used("squad", "search"), used("userEmail", "x"), used("tenant_id", "x"), used("colour", "red"))
    assert [tuple(rule.values()) for rule in found.rules] == [
        ("team", "*", "squad", "3"),
        ("customer", "*", "tenant_id", "1"),
        ("user", "*", "userEmail", "2"),
    ]


def test_what_is_registered_stays_and_gateways_own_keys_are_not_ours(tmp_path: Path) -> None:
    file = tmp_path / "tag_registry.csv"
    file.write_text(",".join(COLUMNS) + "\nteam,,,,,,,,\n")
    found = proposed(
        used("team", "search"),
        used("team_id", "search", requests=9),
        used("tfy_gateway_region", "eu"),
        registry=find_registry(file, None),
    )
    assert [each["tag_key"] for each in found.registry] == ["team_id"]
    assert row(found, "team_id")["replaced_by"] == "team"


def test_the_rows_are_a_seed(tmp_path: Path) -> None:
    text = registry_rows(proposed(used("plan", "free", "pro"), used("release", "1.1", "1.2", "1.3")))
    assert [each["tag_key"] for each in csv.DictReader(StringIO(text))] == ["plan", "release"]
    file = tmp_path / "tag_registry.csv"
    file.write_text(text)
    registry = find_registry(file, None)
    assert registry.keys["plan"].allows("pro")
    assert registry.keys["release"].allows("1.9")
    assert not registry.keys["release"].allows("1.10")
