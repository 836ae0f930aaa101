"""One order of precedence: flags, environment, .dlt/secrets.toml, .dlt/config.toml, defaults."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from llm_spend.build import project_dir
from llm_spend.errors import UserError
from llm_spend.settings import MEMORY_LIMIT, read_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE", "THREADS", "MEMORY_LIMIT", "SEEDS"):
        monkeypatch.delenv(f"LLM_SPEND_{name}", raising=False)
    (tmp_path / ".dlt").mkdir()
    return tmp_path


def write(name: str, content: str) -> None:
    Path(".dlt", name).write_text(content, encoding="utf-8")


def test_each_place_wins_over_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().database == Path("spend.duckdb")
    write("config.toml", '[llm_spend]\ndatabase = "config.duckdb"\nthreads = 3\n[sources]\nother = 1\n')
    assert read_settings().database == Path("config.duckdb")
    write("secrets.toml", '[llm_spend]\ndatabase = "secrets.duckdb"\n')
    assert read_settings().database == Path("secrets.duckdb")
    monkeypatch.setenv("LLM_SPEND_DATABASE", "environment.duckdb")
    assert read_settings().database == Path("environment.duckdb")
    assert read_settings(database=Path("flag.duckdb")).database == Path("flag.duckdb")
    assert read_settings(database=None).database == Path("environment.duckdb")
    assert read_settings().threads == 3


def test_dbt_alone_takes_the_memory_that_we_take() -> None:
    profiles = (project_dir() / "profiles.yml").read_text(encoding="utf-8")
    assert f"env_var('LLM_SPEND_MEMORY_LIMIT', '{MEMORY_LIMIT}')" in profiles


def test_sources_come_from_the_file() -> None:
    write("config.toml", '[[llm_spend.sources]]\nsource = "portkey"\npath = "a/*.gz"\ninstance = "prod"\n')
    (source,) = read_settings().sources
    assert (source.source, source.path, source.instance) == ("portkey", "a/*.gz", "prod")


def test_an_api_is_a_source_too() -> None:
    write("config.toml", '[[llm_spend.sources]]\nsource = "portkey"\napi = true\nsince = 2026-11-01\n')
    (source,) = read_settings().sources
    assert (source.source, source.path, source.api, source.since) == ("portkey", None, True, date(2026, 11, 1))


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("[llm_spend]\nthreads = 0\n", "threads"),
        ('[llm_spend]\nbilling_timezone = "Europe/Berln"\n', "billing_timezone: .*write an IANA name"),
        ('[[llm_spend.sources]]\nsource = "portkey"\n', "sources.0: .*needs either a path of files or api"),
        ('[[llm_spend.sources]]\nsource = "portkey"\npath = "a"\napi = true\n', "sources.0: .*either a path"),
        ('[[llm_spend.sources]]\nsource = "portkey"\npath = "a"\nsince = 2026-11-01\n', "since is for api = true"),
        ('[[llm_spend.sources]]\nsource = "generic"\napi = true\nmapping = "a"\n', "a mapping is for files"),
        ('[[llm_spend.sources]]\nsource = "portkey"\npath = "a"\nprefix = "b"\n', "sources.0.prefix"),
    ],
)
def test_a_wrong_setting_is_named(content: str, names: str) -> None:
    write("config.toml", content)
    with pytest.raises(UserError, match=names):
        read_settings()


def test_a_database_is_not_called_like_a_schema() -> None:
    with pytest.raises(UserError, match="choose another name"):
        read_settings(database=Path("somewhere/llm_spend.duckdb"))


def test_a_broken_file_is_named() -> None:
    write("config.toml", "[llm_spend\n")
    with pytest.raises(UserError, match="settings file"):
        read_settings()
