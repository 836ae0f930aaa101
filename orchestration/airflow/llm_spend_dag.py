"""llm-spend once a day: put this file into the DAGs folder. It calls the command, which has a Python of its own.

`LLM_SPEND_FOLDER` is the folder with `.dlt/config.toml`, `LLM_SPEND_COMMAND` the command; both as the workers see them.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

FOLDER = os.environ.get("LLM_SPEND_FOLDER", "/srv/llm-spend")
COMMAND = os.environ.get("LLM_SPEND_COMMAND", f"{FOLDER}/.venv/bin/llm-spend")

DONE = {0, 3}  # 3: some lines are in quarantine, which `llm-spend status` shows
IN_VAIN = {2, 4}  # wrong usage; a test says that the numbers can't be trusted: trying again changes neither


def llm_spend_command(*arguments: str) -> None:
    """Run a command of llm-spend; what it says is in the log of the task."""
    command = [COMMAND, *arguments]
    done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    if done.returncode not in DONE:
        problem = f"llm-spend {' '.join(arguments)} ended with exit code {done.returncode}"
        raise AirflowFailException(problem) if done.returncode in IN_VAIN else AirflowException(problem)


@dag(
    schedule="30 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    # A missed day needs no run of its own: the next one loads what is not there yet.
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["llm-spend"],
)
def llm_spend() -> None:
    """What `llm-spend run` does, in steps that are tried again one by one."""

    @task
    def load() -> None:
        llm_spend_command("load")

    @task
    def build() -> None:
        llm_spend_command("build")

    @task
    def alerts() -> None:
        llm_spend_command("alerts")

    built = load() >> build()
    if os.environ.get("LLM_SPEND_ALERT_URLS"):
        built >> alerts()


llm_spend()
