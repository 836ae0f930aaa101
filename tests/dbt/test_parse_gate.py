"""What dbt 2 will refuse is found here, offline: the stricter YAML checks that dbt 1 leaves out on DuckDB."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("dbt.adapters.snowflake", exc_type=ImportError)

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"

BAD_MODEL = """
version: 2
models:
  - name: stg_loads__files
    description: One row per file.
    owner: finance
"""


def strict_parse(project: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).parent / "dbt",
            "parse",
            *("--target", "snowflake_parse"),
            "--no-partial-parse",
            *("--warn-error-options", '{"error": ["Deprecations"]}'),
            *("--profiles-dir", project),
            *("--target-path", folder / "target"),
            *("--log-path", folder / "logs"),
        ],
        cwd=project,
        env={**os.environ, "LLM_SPEND_DESTINATION": "duckdb"},
        capture_output=True,
        text=True,
    )


def test_the_project_has_nothing_deprecated(tmp_path: Path) -> None:
    result = strict_parse(PROJECT, tmp_path)
    assert result.returncode == 0, result.stdout[-3000:]


def test_the_gate_sees_a_key_that_dbt_does_not_know(tmp_path: Path) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"))
    path = project / "models/staging/loads/_loads__models.yml"
    path.write_text(BAD_MODEL.lstrip())
    result = strict_parse(project, tmp_path)
    assert result.returncode != 0
    assert "owner" in result.stdout
