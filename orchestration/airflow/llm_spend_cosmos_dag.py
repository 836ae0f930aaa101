"""llm-spend with a task for every model, by Cosmos: for a warehouse, where models can run side by side.

Put this file into the DAGs folder in place of llm_spend_dag.py: dbt takes no lock here, so the two must not run at the
same time. It reads the manifest that `llm-spend build` leaves in its working copy of the dbt project, so run that once
before, and after an upgrade. The variables of that project's profiles.yml (`LLM_SPEND_DESTINATION`,
`SNOWFLAKE_ACCOUNT`, …) are those of the workers' environment.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import LoadMode, TestBehavior

FOLDER = os.environ.get("LLM_SPEND_FOLDER", "/srv/llm-spend")
COMMAND = os.environ.get("LLM_SPEND_COMMAND", f"{FOLDER}/.venv/bin/llm-spend")
TARGET = os.environ.get("LLM_SPEND_DESTINATION", "snowflake")
PROJECT = Path(os.environ.get("LLM_SPEND_PROJECT", f"{FOLDER}/.llm_spend/{TARGET}-llm_spend/dbt_project"))


@dag(
    schedule="30 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    # A DuckDB file takes one writer.
    max_active_tasks=1 if TARGET == "duckdb" else 8,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["llm-spend"],
)
def llm_spend_cosmos() -> None:
    """Load, then the dbt project: seeds, models, and its tests when all of them are built."""

    @task.bash(cwd=FOLDER)
    def load() -> str:
        # 3: done, some lines are in quarantine.
        return f'"{COMMAND}" load || [ $? -eq 3 ]'

    tables = DbtTaskGroup(
        group_id="tables",
        project_config=ProjectConfig(dbt_project_path=PROJECT, manifest_path=PROJECT / "target" / "manifest.json"),
        profile_config=ProfileConfig(
            profile_name="llm_spend", target_name=TARGET, profiles_yml_filepath=PROJECT / "profiles.yml"
        ),
        execution_config=ExecutionConfig(dbt_executable_path=Path(COMMAND).with_name("dbt")),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, test_behavior=TestBehavior.AFTER_ALL),
        operator_args={
            "install_deps": False,
            "append_env": True,
            "env": {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"},
        },
    )
    load() >> tables


llm_spend_cosmos()
