"""docs/bi.md is run as written, and the generated pages are what the description says."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llm_spend.bi.glossary import Feature, Seeds, glossary, read_seeds
from llm_spend.bi.semantics import Semantics
from llm_spend.cli import app
from tests.conftest import Demo, long
from tests.docs.generate_glossary import TARGET as GLOSSARY
from tests.docs.generate_glossary import glossary_page
from tests.docs.generate_metrics import FOLDER, metrics_file
from tests.docs.generate_metrics import TARGET as METRICS
from tests.docs.test_readme import commands

pytestmark = pytest.mark.slow

PAGE = Path("docs/bi.md").resolve()
WRITTEN = (
    "bi/looker/views/llm_usage_daily.view.lkml",
    "bi/tableau/llm_usage_daily.tdsx",
    "bi/grafana/llm-spend.dashboard.json",
    "bi/glossary.md",
)


def test_commands_run_as_written(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a copy: `publish` writes beside the database."""
    built = demo.database.parent / ".llm_spend" / "demo" / "dbt_project"
    work = tmp_path / ".llm_spend" / "demo"
    work.mkdir(parents=True)
    (work / "dbt_project").symlink_to(built)
    (tmp_path / "target").symlink_to(built / "target")
    shutil.copy(demo.database, tmp_path / "demo.duckdb")
    monkeypatch.setenv("LLM_SPEND_DATABASE", "demo.duckdb")
    monkeypatch.chdir(tmp_path)
    ran = 0
    for command in commands(PAGE):
        program, *arguments = shlex.split(command)
        assert program == "llm-spend"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (command, result.output, result.exception)
        ran += 1
    assert ran >= 6
    assert [name for name in WRITTEN if not (tmp_path / name).is_file()] == []
    assert "`incident-notes`" in (tmp_path / "bi/glossary.md").read_text(encoding="utf-8")
    assert (work / "published.duckdb").is_file()


def test_the_generated_pages_are_fresh(semantics: Semantics) -> None:
    assert GLOSSARY.read_text(encoding="utf-8") == glossary_page(semantics), "stale: run `make docs`"
    assert METRICS.read_text(encoding="utf-8") == metrics_file(semantics), "stale: run `make docs`"
    assert {path.name for path in FOLDER.iterdir()} == {METRICS.name, "llm_time_spine.sql"}


@long
def test_dbt_reads_the_metrics(tmp_path: Path) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree("dbt_project", project, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"))
    shutil.copytree(FOLDER, project / "models" / "metrics")
    done = subprocess.run(
        [Path(sys.executable).parent / "dbt", "parse", "--profiles-dir", ".", "--no-use-colors"],
        cwd=project,
        env={**os.environ, "LLM_SPEND_DESTINATION": "duckdb"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found = json.loads((project / "target" / "semantic_manifest.json").read_text())
    assert {"llm_cost_usd", "llm_cost_per_million_tokens", "llm_chargeback_amount_usd"} <= {
        metric["name"] for metric in found["metrics"]
    }


def test_a_glossary_of_ones_own(demo: Demo, semantics: Semantics) -> None:
    seeds = read_seeds(demo.seeds)
    page = glossary(semantics, seeds, [Feature("a|b", date(2026, 8, 1), date(2026, 10, 31))])
    assert "| support-emea | Customer support EMEA | cc-support |" in page
    assert "| `a&#124;b` |  |  |  | 2026-08-01 | 2026-10-31 |" in page
    assert "| `environment` | Where the code runs | platform | `prod`, `staging`, `dev` | `*` |" in page
    assert "| `code-review` | Code review |" in page
    assert "| Gross margin | share of revenue | `margin_usd / revenue_usd` |" in page
    assert "| feature | `feature_id` | `feature`, `feature_name`, `feature_id` |" in page
    assert "## Teams" not in glossary(semantics, Seeds(seeds.attribution_rules, []))
