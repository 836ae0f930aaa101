"""The examples for cron, systemd, a CI service and Airflow: they parse where they will, and start what they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from .conftest import Ran
from .examples import ORCHESTRATION, SITE, ci_steps, cron_entry, workflow

AIRFLOW = ORCHESTRATION.parent / ".emulators" / "airflow" / "bin" / "airflow"


def stub(folder: Path, name: str = "llm-spend", script: str = "exit 0") -> Path:
    """A command that writes down where and how it was called."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f'#!/bin/sh\necho "$PWD: $*" >> "{folder / "calls"}"\n{script}\n')
    file.chmod(0o755)
    return folder / "calls"


def test_all_run_at_the_same_time() -> None:
    times = {
        "cron": cron_entry()[0],
        "ci": workflow()[True]["schedule"][0]["cron"],
        **{
            file.name: re.findall(r'"(\d\S* \S+ \* \* \*)"', file.read_text(encoding="utf-8"))[0]
            for file in (
                *ORCHESTRATION.glob("airflow/*.py"),
                ORCHESTRATION / "dagster/llm_spend_dagster/definitions.py",
            )
        },
    }
    assert len(times) == 5 and set(times.values()) == {"30 4 * * *"}


def test_cron_runs_the_command_in_the_folder(tmp_path: Path) -> None:
    calls = stub(tmp_path / ".venv" / "bin", script="echo said; echo failed >&2; exit 3")
    done = subprocess.run(cron_entry()[1].replace(SITE, str(tmp_path)), shell=True)
    assert done.returncode == 3
    assert calls.read_text() == f"{tmp_path}: run\n"
    assert (tmp_path / "llm-spend.log").read_text() == "said\nfailed\n"


def test_systemd_runs_the_command_in_the_folder_and_takes_quarantine_for_success(tmp_path: Path) -> None:
    calls = stub(tmp_path / ".venv" / "bin")
    units = [ORCHESTRATION / "systemd" / f"llm-spend.{kind}" for kind in ("service", "timer")]
    parsed = {}
    for unit in units:
        text = unit.read_text(encoding="utf-8").replace(SITE, str(tmp_path)).replace("User=llm-spend\n", "")
        (tmp_path / unit.name).write_text(text)
        parsed[unit.suffix] = RawConfigParser(strict=True)
        parsed[unit.suffix].read_string(text)
    service = parsed[".service"]["Service"]
    subprocess.run(service["ExecStart"].split(), cwd=service["WorkingDirectory"], check=True)
    assert calls.read_text() == f"{tmp_path}: run\n"
    assert (service["SuccessExitStatus"], service["RestartPreventExitStatus"]) == ("3", "2 4")
    assert parsed[".timer"]["Timer"]["OnCalendar"] == "*-*-* 04:30:00 UTC"
    if verify := shutil.which("systemd-analyze"):
        command = [verify, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_steps_of_a_ci_service_run(dagster_run: Ran, tmp_path: Path) -> None:
    """All but `llm-spend run`, which test_runs.py runs for real."""
    steps, tools = ci_steps(), tmp_path / "tools"
    stub(tools, "pip")
    calls = stub(tools, "gh", f'case "$2" in list) echo 42 ;; download) cp {dagster_run.database} spend/ ;; esac')
    environment = {
        **os.environ,
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LLM_SPEND_DATABASE": f"spend/{dagster_run.database.name}",
    }
    assert list(steps) == [
        "Install",
        "The database of the last run",
        "Load, build, alert",
        "What is loaded, what is to pay",
    ]
    (tmp_path / "spend").mkdir()
    for name in ("Install", "The database of the last run", "What is loaded, what is to pay"):
        done = subprocess.run(
            ["bash", "-e", "-c", steps[name]], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (name, done.stdout, done.stderr)
    assert "run download 42 --name llm-spend --dir spend" in calls.read_text()
    assert (tmp_path / "spend" / "report.html").stat().st_size
    stub(tools, script="exit $CODE")
    for code, ends in ((0, 0), (3, 0), (4, 4), (1, 1)):
        command = ["bash", "-e", "-c", steps["Load, build, alert"]]
        assert subprocess.run(command, cwd=tmp_path, env={**environment, "CODE": str(code)}).returncode == ends


@pytest.mark.slow
def test_airflow_imports_both_graphs_and_runs_the_command(dagster_run: Ran, tmp_path: Path) -> None:
    assert AIRFLOW.exists(), "Airflow has an environment of its own: make emulators"
    calls = stub(tmp_path / "bin", script='if [ "$1" = load ]; then exit 3; fi; exit ${CODE:-0}')
    project = next(dagster_run.database.parent.rglob(f"{dagster_run.database.stem}/dbt_project"))
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ORCHESTRATION / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LLM_SPEND_FOLDER": str(tmp_path),
        "LLM_SPEND_COMMAND": str(tmp_path / "bin" / "llm-spend"),
        "LLM_SPEND_ALERT_URLS": "json://localhost",
        "LLM_SPEND_DESTINATION": "duckdb",
        "LLM_SPEND_PROJECT": str(project),
    }

    def airflow(*arguments: str, code: str = "0") -> subprocess.CompletedProcess[str]:
        command = [str(AIRFLOW), *arguments]
        return subprocess.run(command, env={**environment, "CODE": code}, capture_output=True, text=True)

    assert airflow("db", "migrate").returncode == 0
    assert "No data found" in airflow("dags", "list-import-errors").stdout
    tasks = airflow("tasks", "list", "llm_spend_cosmos").stdout.split()
    assert {"load", "tables.fct_llm_requests_run", "tables.model_prices_seed", "tables.dbt_project_test"} <= set(tasks)

    done = airflow("dags", "test", "llm_spend", "2026-11-01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls.read_text().split("\n")[:-1] == [f"{tmp_path}: {each}" for each in ("load", "build", "alerts")]
    # Numbers that can't be trusted: nothing is tried again, and nobody is alerted.
    calls.unlink()
    airflow("dags", "test", "llm_spend", "2026-11-02", code="4")
    assert calls.read_text().split("\n")[:-1] == [f"{tmp_path}: {each}" for each in ("load", "build")]
