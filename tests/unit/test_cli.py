"""The command: what people and schedulers see of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_spend import build as build_module
from llm_spend import cli
from llm_spend.build import BuildReport


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call the command as the shell does; its exit code."""
    monkeypatch.setattr("sys.argv", ["llm-spend", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["load", "nobody", "--path", "x"], ["There is no source 'nobody'", "portkey"]),
        (["load", "portkey"], ["Where are the logs of portkey?", "--path"]),
        (["load"], ["No source is named or configured", ".dlt/config.toml"]),
        (["load", "portkey", "--path", "nothing/*.jsonl"], ["No file matches", "quote wildcards"]),
        (["load", "generic", "--path", "x"], ["needs a mapping file", "--mapping"]),
        (["load", "--api"], ["need a source", "llm-spend load portkey"]),
        (["load", "portkey", "--api", "--path", "x"], ["Where are the logs of portkey?", "--api"]),
        (["load", "kong", "--api"], ["'kong' has no API", "portkey"]),
        (["load", "portkey", "--api"], ["no API key of Portkey", "SOURCES__PORTKEY__API_KEY", "secrets.toml"]),
        (["load", "portkey", "--api", "--since", "May"], ["'May' is no day", "YYYY-MM-DD"]),
        (["load", "portkey", "--api", "--again"], ["From which day on", "--since"]),
        (["load", "portkey", "--path", "x", "--since", "2026-11-01"], ["--since and --again are for --api"]),
        (["load", "generic", "--api", "--mapping", "m.yml"], ["--mapping is for files"]),
        (["load", "generic", "--path", "x", "--mapping", "absent.yml"], ["absent.yml can't be read"]),
        (["build", "--database", "absent.duckdb"], ["Nothing was loaded into absent.duckdb", "llm-spend load"]),
        (["answers", "--month", "October"], ["'October' is no month", "YYYY-MM"]),
    ],
)
def test_errors_say_what_and_what_to_do(
    arguments: list[str], said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == cli.FAILED
    shown = " ".join(capsys.readouterr().err.split())
    for part in said:
        assert part in shown
    assert "Traceback" not in shown


def test_wrong_usage_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "load", "--no-such-flag") == 2


def test_quarantine_is_told_and_is_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("log.jsonl").write_text(
        '{"id": "a", "created_at": "2026-10-01T00:00:00Z"}\n{"id": "b", "created_at"\n', encoding="utf-8"
    )
    code = run(monkeypatch, "load", "portkey", "--path", "log.jsonl", "--database", "a.duckdb", "--json")
    assert code == cli.QUARANTINED
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["quarantined"]) == (2, 1)


@pytest.mark.parametrize(
    ("failures", "failed_tests", "code"),
    [((), (), 0), (("fct: broken",), (), cli.FAILED), ((), ("sums differ: 3 rows",), cli.UNTRUSTED)],
)
def test_a_build_tells_broken_from_untrusted(
    failures: tuple[str, ...],
    failed_tests: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = BuildReport(3, 0, 5, failures, failed_tests, (), 1.0)
    monkeypatch.setattr(build_module, "build", lambda *arguments, **options: report)
    assert run(monkeypatch, "build", "--database", "a.duckdb") == code
    shown = capsys.readouterr().err
    for message in (*failures, *failed_tests):
        assert message in shown


def test_nothing_new_is_told_with_what_the_last_build_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = BuildReport(0, 0, 0, (), (), ("2 models unpriced",), 0.5, nothing_new_since="2026-11-03 10:00:00")
    monkeypatch.setattr(build_module, "build", lambda *arguments, **options: report)
    assert run(monkeypatch, "build", "--database", "a.duckdb") == 0
    shown = capsys.readouterr()
    assert "Nothing new since the build of 2026-11-03 10:00:00 UTC" in shown.out
    assert "0 models built" not in shown.out
    assert "2 models unpriced" in shown.err
