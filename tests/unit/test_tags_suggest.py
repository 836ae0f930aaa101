"""Rows of the tag registry proposed from usage."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llm_spend.bi.glossary import read_seeds
from llm_spend.cli import app
from llm_spend.errors import UserError
from llm_spend.tags.registry import COLUMNS, Registry, find_registry, seeds_folder
from llm_spend.tags.suggest import Suggestion, Used, propose, registry_rows, write

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


def test_secrets_are_neither_proposed_nor_told() -> None:
    secret = "sk-proj-abcdefghijklmnop"
    found = proposed(
        used("api_token", secret, "none"),
        used(secret, "x"),
        slips={("api_token", secret): f"{secret}1"},
    )
    assert row(found, "api_token") == {"tag_key": "api_token", "since": "2026-08-01"}
    assert [each["tag_key"] for each in found.registry] == ["api_token"]
    assert found.notes == ("Values of `api_token` look like secrets: they should not be sent, and none is proposed.",)


def test_names_in_notes_have_nothing_that_a_terminal_obeys() -> None:
    found = proposed(used("ev\x1b[31mil", "x"), misspelt={"ev\x1b[31mil": "evil"})
    assert found.notes == ("`ev?[31mil` is nearly `evil`: not proposed.",)


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "new" / "tag_registry.csv"
    write(proposed(used("plan", "pro")), file)
    before = file.read_text()
    assert before == registry_rows(proposed(used("plan", "pro")))
    with pytest.raises(UserError, match="is there already"):
        write(proposed(used("team", "search")), file)
    assert file.read_text() == before
    with pytest.raises(UserError, match="can't be written"):
        write(proposed(used("team", "search")), tmp_path / ("x" * 300) / "rows.csv")


@pytest.mark.parametrize("to_file", [True, False])
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_file: bool) -> None:
    """What it shows has nothing that a terminal obeys; the file has what was sent. Rules are those of `seeds`, too."""
    (tmp_path / "seeds").mkdir()
    rules = tmp_path / "seeds" / "attribution_rules.csv"
    rules.write_text("dimension,source_system,metadata_key,priority\nteam,*,division,7\n")
    monkeypatch.chdir(tmp_path)

    def suggested(_: object, registry: Registry, rules: Sequence[Mapping[str, str]]) -> Suggestion:
        values = [*used("topic", "\x1b]0;x\x07"), *used("squad", "a"), *used("division", "b")]
        return propose(values, {}, {}, registry, rules)

    monkeypatch.setattr("llm_spend.tags.suggest.suggest", suggested)
    options = ["--output", "rows.csv"] if to_file else []
    result = CliRunner().invoke(app, ["tags", "suggest", "--database", "x.duckdb", *options])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert [line for line in result.stderr.splitlines() if "attribution" in line] == [
        "Note: for seeds/mapping/attribution_rules.csv: team,*,squad,8"
    ]
    assert "\x1b" in Path("rows.csv").read_text() if to_file else "topic,,,?]0;x?,,,2026-08-01,," in result.stdout


def test_what_no_folder_is_given_for_is_looked_up_in_the_folder_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_registry(None, seeds_folder(None)).keys == {}
    file = tmp_path / "seeds" / "mapping" / "tag_registry.csv"
    file.parent.mkdir(parents=True)
    file.write_text(",".join(COLUMNS) + "\nteam,,,,,,,,\n")
    assert list(find_registry(None, seeds_folder(None)).keys) == ["team"]
    assert seeds_folder(tmp_path) == tmp_path
    # A report takes what the build took: nobody gave it this folder.
    assert not read_seeds(None).tag_registry
    with pytest.raises(UserError, match="does not exist"):
        read_seeds(tmp_path / "nowhere")


def test_the_rows_are_a_seed(tmp_path: Path) -> None:
    text = registry_rows(proposed(used("plan", "free", "pro"), used("release", "1.1", "1.2", "1.3")))
    assert [each["tag_key"] for each in csv.DictReader(StringIO(text))] == ["plan", "release"]
    file = tmp_path / "tag_registry.csv"
    file.write_text(text)
    registry = find_registry(file, None)
    assert registry.keys["plan"].allows("pro")
    assert registry.keys["release"].allows("1.9")
    assert not registry.keys["release"].allows("1.10")
