"""Runs that are killed, come twice at once or are missed: the next one ends in the same tables, row for row."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.lock import LOCK_FILE, writing
from tests.dbt.test_incremental import assert_same

from .conftest import Ran
from .examples import SITE, ci_steps, cron_command

BIN = Path(sys.executable).parent

MISSED = "*2026-1[0-9]-*"
PATIENCE = 900


def run(folder: Path, *command: str) -> subprocess.Popen[str]:
    """`llm-spend run` as a scheduler starts it, or another command."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LLM_SPEND_DATABASE": "../demo.duckdb"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command or ("llm-spend", "run"), cwd=folder, env=environment, text=True, **pipes)


def wait_for(happened: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def kill(running: subprocess.Popen[str], destination: DuckDb) -> None:
    """As the kernel does when there is no memory. What it started ends as well: the lock is free, and the database."""
    running.send_signal(signal.SIGKILL)
    running.communicate()
    with writing(destination, wait=30):
        destination.execute("select 1")


@pytest.mark.slow
def test_killed_missed_and_doubled_runs_end_in_the_same_tables(dagster_run: Ran, tmp_path: Path) -> None:
    site, later = tmp_path / "demo", tmp_path / "later"
    shutil.copytree(dagster_run.site, site)
    destination = DuckDb(tmp_path / "demo.duckdb")
    project = destination.work_dir / "dbt_project" / "target" / "run" / "llm_spend"
    missed = sorted(path.relative_to(site) for path in site.glob(f"portkey/*/{MISSED}"))
    assert missed
    for path in missed:
        (later / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).rename(later / path)

    # While it loads: some sources are loaded, one is on its way.
    running = run(site)
    assert running.stderr
    while "truefoundry" not in running.stderr.readline():
        assert running.poll() is None
    kill(running, destination)
    loaded = destination.query("select count(*) from llm_spend_raw.portkey__logs")
    assert "fct_llm_requests" not in destination.tables("llm_spend")

    # While it builds: some tables are there, others not yet.
    running = run(site)
    wait_for(lambda: len(list(project.glob("models/*/**/*.sql"))) > 60, running)
    kill(running, destination)
    assert "llm_chargeback_lines" not in destination.tables("llm_spend")
    assert destination.query("select count(*) from llm_spend_raw.portkey__logs") == loaded

    # The days that nobody loaded, by two runs at once: one of cron, one of a CI service.
    for path in missed:
        (later / path).rename(site / path)
    (site / ".venv").symlink_to(BIN.parent)
    by_cron = run(site, "sh", "-c", cron_command().replace(SITE, str(site)))
    by_ci = run(site, "bash", "-e", "-c", ci_steps()["Load, build, alert"])
    assert by_cron.wait(PATIENCE) in (0, 3)
    said = [(site / "llm-spend.log").read_text(), "".join(by_ci.communicate(timeout=PATIENCE))]
    assert by_ci.returncode == 0, said
    # By another process: one that got the lock this very moment may not have written yet which one it is.
    waited = [each for each in said if "is being written by" in each]
    assert len(waited) == 1 and "Nothing new since the build" in waited[0], said
    assert_same(destination.database, dagster_run.database)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    destination = DuckDb(tmp_path / "spend.duckdb")
    program = (
        "import sys, time; from pathlib import Path; from llm_spend.destinations import DuckDb\n"
        "from llm_spend.lock import writing\n"
        f"with writing(DuckDb(Path({str(destination.database)!r})), wait=0): print('in', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "sk-secret-12345678"], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "in\n"
        with pytest.raises(UserError) as error, writing(destination, wait=0.3):
            pass
        assert f"is being written by process {other.pid} (" in error.value.problem
        assert " since 20" in error.value.problem and "sk-secret" not in error.value.problem
        assert "lock_timeout_seconds" in error.value.remedy
        other.kill()
    with writing(destination, wait=5), writing(destination, wait=0):
        assert str(os.getpid()) in (destination.work_dir / LOCK_FILE).read_text()


def test_who_may_not_write_is_told(tmp_path: Path) -> None:
    (tmp_path / ".llm_spend").write_text("in the way")
    with pytest.raises(UserError, match="can't be had"), writing(DuckDb(tmp_path / "spend.duckdb"), wait=0):
        pass
