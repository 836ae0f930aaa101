"""What sources take from answers and from the configuration: amounts, moments, lists of names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from llm_spend.errors import UserError
from llm_spend.readers.api.source import configured_flag, configured_list
from llm_spend.readers.api.values import amount, iso, number
from llm_spend.sources import portkey_api
from llm_spend.sources.portkey_analytics import total_of_graphs
from llm_spend.windows import Window


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (7, "7"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (Decimal("1E+2"), "100"),
        ("1.5", "1.5"),
        ("1e-7", "0.0000001"),
        ("many", "many"),
        ("NaN", "NaN"),
        (True, "True"),
        ([1], "[1]"),
    ],
)
def test_an_amount_is_decimal_text_and_what_is_none_stays_for_the_reader_to_refuse(
    value: Any, text: str | None
) -> None:
    assert amount(value) == text


def test_a_number_is_one_or_nothing() -> None:
    assert [number(each) for each in ("1.50", 2, "many", float("inf"), True, None)] == [Decimal("1.50"), 2, *[None] * 4]


def test_a_moment_is_text_to_the_millisecond() -> None:
    assert iso(datetime(2026, 11, 2, 9, 30, 0, 1999)) == "2026-11-02T09:30:00.001Z"


def test_a_cost_that_is_no_number_is_left_for_the_reader() -> None:
    window = Window(datetime(2026, 11, 2), datetime(2026, 11, 3))
    assert total_of_graphs(window, {"cost": {"total": "dear"}})["cost_amount"] == "dear"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder whose configuration dlt reads."""
    context = Container()[PluggableRunContext]
    (tmp_path / ".dlt").mkdir()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.undo()
    context.reload()


def _configure(folder: Path, value: str) -> None:
    (folder / ".dlt" / "config.toml").write_text(f"[sources.portkey]\nnames = {value}\n", encoding="utf-8")
    Container()[PluggableRunContext].reload(str(folder))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('["team", " a,b ", "team", ""]', ("team", "a,b")),
        ("""'["team"]'""", ("team",)),
        ('" team , feature,"', ("team", "feature")),
        ("[]", ()),
        ('""', ()),
    ],
)
def test_a_list_of_a_file(folder: Path, value: str, names: tuple[str, ...]) -> None:
    _configure(folder, value)
    assert configured_list("portkey", "acme", "names") == names


def test_portkey_takes_a_list_of_metadata_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__PORTKEY__API_KEY", "key")
    (folder / ".dlt" / "config.toml").write_text('[sources.portkey]\nmetadata_keys = ["team"]\n', encoding="utf-8")
    Container()[PluggableRunContext].reload(str(folder))
    with portkey_api.api_source("acme").open("acme") as api:
        assert api.analytics.metadata_keys == ("team",)


@pytest.mark.parametrize("value", ['["team", 1]', "5", "{team = 1}", """'["team", 1]'"""])
def test_what_is_no_list_of_names_in_a_file_is_an_error(folder: Path, value: str) -> None:
    _configure(folder, value)
    with pytest.raises(UserError, match=r"`names` in \[sources.portkey\] is no list of names"):
        configured_list("portkey", "acme", "names")


@pytest.mark.parametrize(
    ("text", "names"),
    [("team", ("team",)), ("team, feature", ("team", "feature")), ('["team", "a,b"]', ("team", "a,b"))],
)
def test_a_list_of_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, names: tuple[str, ...]) -> None:
    monkeypatch.setenv("SOURCES__PORTKEY__NAMES", "other")
    monkeypatch.setenv("SOURCES__PORTKEY__ACME__NAMES", text)
    assert configured_list("portkey", "acme", "names") == names
    assert configured_list("portkey", "acme", "other_names") == ()


@pytest.mark.parametrize("text", ["[team", '["team", 1]', '{"team": 1}', "[[]]"])
def test_what_is_no_list_of_names_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCES__PORTKEY__NAMES", text)
    with pytest.raises(UserError, match="SOURCES__PORTKEY__NAMES"):
        configured_list("portkey", "acme", "names")


def test_a_flag_is_true_or_false(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [configured_flag("portkey", "acme", "flag", default=default) for default in (True, False)] == [True, False]
    for said, expected in {"False": False, "true": True}.items():
        monkeypatch.setenv("SOURCES__PORTKEY__FLAG", said)
        assert configured_flag("portkey", "acme", "flag", default=not expected) is expected
    monkeypatch.setenv("SOURCES__PORTKEY__FLAG", "maybe")
    with pytest.raises(UserError, match=r"`flag` in \[sources.portkey\] is 'maybe'") as wrong:
        configured_flag("portkey", "acme", "flag")
    assert wrong.value.remedy == "It is one of: true, false."
