"""What the examples for schedulers start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ORCHESTRATION = Path(__file__).parents[2] / "orchestration"
SITE = "/srv/llm-spend"


def cron_entry() -> tuple[str, str]:
    """When, and the command line."""
    lines = (ORCHESTRATION / "cron" / "llm-spend.cron").read_text(encoding="utf-8").splitlines()
    (entry,) = [line for line in lines if line[0].isdigit()]
    when, command = entry[:10].strip(), entry[10:].strip()
    return when, command


def cron_command() -> str:
    return cron_entry()[1]


def workflow() -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load((ORCHESTRATION / "ci" / "llm-spend.yml").read_text(encoding="utf-8"))
    return content


def ci_steps() -> dict[str, str]:
    """The scripts of the workflow, by name."""
    return {step["name"]: step["run"] for step in workflow()["jobs"]["run"]["steps"] if "run" in step}
