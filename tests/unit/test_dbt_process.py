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


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with DbtProcess("duckdb") as process, pytest.raises(UserError, match="dbt could not start: it said nothing"):
        process.run(["build"], tmp_path, {}, lambda *progress: None)


def test_it_ends_when_what_it_waits_for_fails() -> None:
    with pytest.raises(UserError), DbtProcess("duckdb") as process:
        raise UserError("No file matches.")
    assert process._process.poll() is not None
