"""The examples for cron, systemd, a CI service and Airflow: they parse where they will, and start what they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from configparser import RawConfigParser
from pathlib import Path

import pytest

from tests.conftest import long

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
    assert (service["SuccessExitStatus"], service["RestartPreventExitStatus"]) == ("3", "2 4 5")
    # What fails for good is not tried for ever.
    assert {"startlimitintervalsec": "20h", "startlimitburst": "3"}.items() <= dict(parsed[".service"]["Unit"]).items()
    assert parsed[".timer"]["Timer"]["OnCalendar"] == "*-*-* 04:30:00 UTC"
    if verify := shutil.which("systemd-analyze"):
        command = [verify, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def in_ci(step: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a step as GitHub Actions does; `tools` of the folder come before what is installed."""
    path = f"{folder / 'tools'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GITHUB_REF_NAME": "main", **environment}
    command = ["bash", "-e", "-c", ci_steps()[step]]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_steps_of_a_ci_service_run(dagster_run: Ran, tmp_path: Path) -> None:
    """All but `llm-spend run`, which test_runs.py runs for real."""
    stub(tmp_path / "tools", "pip")
    # The newest run has no artefact, or an old one.
    download = f'[ "$3" != 43 ] && cp {dagster_run.database} spend/'
    calls = stub(tmp_path / "tools", "gh", f'case "$2" in list) echo 43; echo 42 ;; download) {download} ;; esac')
    assert list(ci_steps()) == [
        "Install",
        "The database of the last run",
        "Load, build, alert",
        "What is loaded, what is to pay",
    ]
    for name in ("Install", "The database of the last run", "What is loaded, what is to pay"):
        done = in_ci(name, tmp_path, LLM_SPEND_DATABASE=f"spend/{dagster_run.database.name}")
        assert done.returncode == 0, (name, done.stdout, done.stderr)
    listed, *downloads = [call for call in calls.read_text().splitlines() if " run " in call]
    assert "--branch main --status completed" in listed
    assert [call.split(": ")[1] for call in downloads] == [
        f"run download {run} --name llm-spend --dir spend" for run in (43, 42)
    ]
    assert (tmp_path / "spend" / "report.html").stat().st_size


def test_a_ci_service_without_a_database_begins_with_none(tmp_path: Path) -> None:
    for listed, ends in (("true", 0), ("echo 42", 0), ("exit 1", 1)):
        stub(tmp_path / "tools", "gh", f'case "$2" in list) {listed} ;; download) exit 1 ;; esac')
        done = in_ci("The database of the last run", tmp_path)
        assert (done.returncode, "No earlier database is there" in done.stdout) == (ends, not ends)
        assert not list((tmp_path / "spend").iterdir())


def test_a_ci_service_keeps_the_database_of_a_run_that_failed(tmp_path: Path) -> None:
    stub(tmp_path / "tools", script="exit $CODE")
    for code, ends, warns in ((0, 0, False), (3, 0, True), (5, 0, True), (1, 1, False), (2, 2, False), (4, 4, False)):
        done = in_ci("Load, build, alert", tmp_path, CODE=str(code))
        assert (done.returncode, "::warning::" in done.stdout) == (ends, warns)
    keep = workflow()["jobs"]["run"]["steps"][-1]
    assert keep["uses"].startswith("actions/upload-artifact@") and keep["if"] == "always()"


Airflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def airflow(dagster_run: Ran, tmp_path: Path) -> Airflow:
    """Its command, in an environment of its own, with both graphs; llm-spend ends with `code`, and writes `calls`."""
    assert AIRFLOW.exists(), "Airflow has an environment of its own: make emulators"
    stub(tmp_path, script='if [ "$1" = load ]; then exit 3; fi; exit ${CODE:-0}')
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
        "LLM_SPEND_COMMAND": str(tmp_path / "llm-spend"),
        "LLM_SPEND_ALERT_URLS": "json://localhost",
        "LLM_SPEND_DESTINATION": "duckdb",
        "LLM_SPEND_PROJECT": str(project),
    }

    def call(*arguments: str, code: str = "0") -> subprocess.CompletedProcess[str]:
        command = [str(AIRFLOW), *arguments]
        return subprocess.run(command, env={**environment, "CODE": code}, capture_output=True, text=True)

    assert call("db", "migrate").returncode == 0
    return call


def called(folder: Path) -> list[str]:
    """How llm-spend was called since the last time that somebody asked."""
    calls = (folder / "calls").read_text().splitlines()
    (folder / "calls").unlink()
    assert all(call.startswith(f"{folder}: ") for call in calls)
    return [call.removeprefix(f"{folder}: ") for call in calls]


@pytest.mark.slow
def test_airflow_imports_both_graphs_and_runs_the_command(airflow: Airflow, tmp_path: Path) -> None:
    tasks = airflow("tasks", "list", "llm_spend_cosmos").stdout.split()
    assert {"load", "tables.fct_llm_requests_run", "tables.model_prices_seed", "tables.dbt_project_test"} <= set(tasks)
    done = airflow("dags", "test", "llm_spend", "2026-11-01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert called(tmp_path) == ["load", "build", "alerts"]


@long
@pytest.mark.slow
def test_airflow_alerts_nobody_of_numbers_that_cannot_be_trusted(airflow: Airflow, tmp_path: Path) -> None:
    airflow("dags", "test", "llm_spend", "2026-11-02", code="4")
    assert called(tmp_path) == ["load", "build"]
    # Lines in quarantine fail nothing.
    done = airflow("tasks", "test", "llm_spend_cosmos", "load", "2026-11-02")
    assert done.returncode == 0, done.stdout + done.stderr
    assert called(tmp_path) == ["load"]
