"""Writes docs/marts.md, the reference of the public tables, from the YAML of the dbt project.

Run `python tests/docs/generate_marts.py` after a change; a test compares the committed file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "dbt_project"
TARGET = ROOT / "docs" / "marts.md"

FOLDERS = {
    "core": "Facts and dimensions",
    "usage": "Usage",
    "quotas": "Quotas and budgets",
    "chargeback": "Chargeback",
    "insights": "Insights",
    "health": "Health",
}

INTRODUCTION = """\
# The tables

Generated from the dbt project by `make docs`: change the YAML beside a model, not
this page.

These tables are the interface that dashboards, exports and checks rely on; dbt enforces their columns and types.
They are in the schema `llm_spend`, unless your dbt profile says otherwise. All times are UTC and all amounts are
USD, exact decimals. NULL means unknown, never 0. `(unallocated)` stands for usage without an owner, so that every
split adds up to the total. Types are those of DuckDB; Snowflake and BigQuery have the like.
"""


def doc_blocks() -> dict[str, str]:
    """Name -> text of every docs block of the project."""
    block = re.compile(r"{%-?\s*docs\s+(\w+)\s*-?%}(.*?){%-?\s*enddocs\s*-?%}", re.DOTALL)
    return {
        name: text.strip()
        for path in sorted((PROJECT / "docs").glob("**/*.md"))
        for name, text in block.findall(path.read_text())
    }


def _renderer(blocks: dict[str, str]) -> Environment:
    environment = Environment()
    environment.globals["target"] = {"type": "duckdb"}
    environment.globals["doc"] = lambda *names: blocks[names[-1]]
    return environment


def _arguments(model: dict[str, Any], test: str) -> list[str]:
    for entry in model.get("data_tests", []):
        if isinstance(entry, dict) and test in entry:
            columns: list[str] = entry[test]["arguments"]["columns"]
            return columns
    return []


def _model_page(model: dict[str, Any], render: Environment) -> list[str]:
    def text(value: str) -> str:
        return " ".join(render.from_string(value).render().split())

    key = _arguments(model, "unique_grain") or model["config"].get("meta", {}).get("key", [])
    never_null = set(_arguments(model, "never_null"))
    lines = [f"### {model['name']}", "", text(model["description"]), ""]
    if key:
        lines += [f"Key: {', '.join(f'`{column}`' for column in key)}", ""]
    lines += ["| column | type | NULL | meaning |", "|---|---|---|---|"]
    for column in model["columns"]:
        meaning = text(column["description"]).replace("|", "\\|")
        null = "never" if column["name"] in never_null else "possible"
        lines.append(f"| `{column['name']}` | {text(column['data_type'])} | {null} | {meaning} |")
    return [*lines, ""]


def marts_page() -> str:
    """The whole page as Markdown."""
    render = _renderer(doc_blocks())
    folders: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((PROJECT / "models" / "marts").glob("**/*.yml")):
        for model in yaml.safe_load(path.read_text()).get("models", []):
            folders.setdefault(path.parent.name, []).append(model)
    order = [*(name for name in FOLDERS if name in folders), *sorted(set(folders) - set(FOLDERS))]
    contents, pages = [], []
    for folder in order:
        title = FOLDERS.get(folder, folder.replace("_", " ").capitalize())
        contents += [f"**{title}**", ""]
        pages += [f"## {title}", ""]
        for model in folders[folder]:
            grain = " ".join(model["description"].split()).split(". ")[0].rstrip(".")
            contents.append(f"- [{model['name']}](#{model['name']}): {grain[0].lower()}{grain[1:]}")
            pages += _model_page(model, render)
        contents.append("")
    return "\n".join([INTRODUCTION, *contents, *pages]).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(marts_page())
    print(f"wrote {TARGET}")
