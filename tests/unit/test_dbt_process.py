"""The process that dbt runs in: it ends when nobody needs it, and an error of dbt comes out without secrets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llm_spend.dbt_process import DbtProcess
from llm_spend.errors import UserError


def test_an_error_of_dbt_is_told_without_secrets(tmp_path: Path) -> None:
    secrets = {"DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": "correct-horse"}
    with DbtProcess("duckdb") as process, pytest.raises(UserError, match="dbt could not start") as error:
        process.run(["build", "--project-dir", "correct-horse"], tmp_path, secrets, lambda *progress: None)
    assert "'*****' does not exist" in error.value.problem
    assert "correct-horse" not in error.value.problem


def test_what_goes_wrong_is_kept_without_secrets_and_what_went_wrong_before(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "dbt.log").write_text("before\n", encoding="utf-8")
    empty = tmp_path / "correct-horse"
    empty.mkdir()
    secrets = {"DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": "correct-horse"}
    with DbtProcess("duckdb") as process, pytest.raises(UserError, match="No dbt_project"):
        arguments = ["build", "--project-dir", str(empty), "--profiles-dir", str(empty)]
        process.run(arguments, tmp_path, secrets, lambda *progress: None)
    before, *noted = (tmp_path / "logs" / "dbt.log").read_text(encoding="utf-8").splitlines()
    assert before == "before"
    assert any("No dbt_project.yml" in line and "*****" in line for line in noted)
    assert "correct-horse" not in "".join(noted)


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with DbtProcess("duckdb") as process, pytest.raises(UserError, match="dbt could not start: it said nothing"):
        process.run(["build"], tmp_path, {}, lambda *progress: None)


def test_it_ends_when_what_it_waits_for_fails() -> None:
    with pytest.raises(UserError), DbtProcess("duckdb") as process:
        raise UserError("No file matches.")
    assert process._process.poll() is not None
