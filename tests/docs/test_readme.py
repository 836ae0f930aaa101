"""The README's commands are run as written, and its queries give the output that stands there.

`UPDATE_README=1 pytest tests/docs` writes the outputs anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Demo
from tests.few_prices import few_prices
from tests.warehouses.servers import snowflake_server

README = Path("README.md")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
EXAMPLE = re.compile(r"```sql\n(?P<sql>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


def commands(page: Path) -> list[str]:
    """The commands of a page's console blocks, without their comments."""
    lines = "\n".join(CONSOLE.findall(page.read_text(encoding="utf-8"))).splitlines()
    return [line[2:].split("  #")[0].strip() for line in lines if line.startswith("$ ")]


def as_text(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    """A plain table, numbers to the right."""
    cells = [columns, *([f"{v:,}" if isinstance(v, int) else str(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    right = [i for i, value in enumerate(rows[0]) if not isinstance(value, str)]
    lines = (
        "  ".join(cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row))
        for row in cells
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


@pytest.mark.slow
def test_queries_give_the_output_that_stands_there(demo: Demo) -> None:
    page = README.read_text(encoding="utf-8")
    with duckdb.connect(str(demo.database), read_only=True) as connection:

        def run(example: re.Match[str]) -> str:
            relation = connection.sql(example["sql"])
            output = as_text(relation.columns, relation.fetchall())
            return f"```sql\n{example['sql']}```\n\n```text\n{output}```"

        expected, found = EXAMPLE.subn(run, page)
    assert found == 4
    if os.environ.get("UPDATE_README"):
        README.write_text(expected, encoding="utf-8")
        return
    assert expected == page, "run `make docs`"


@pytest.mark.slow
def test_commands_run_as_written(demo: Demo, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    for file in sorted((demo.folder / "portkey" / "ws-product").glob("*.gz"))[:3]:
        shutil.copy(file, exports)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    expected_codes = {"llm-spend load": {0, 3}, "llm-spend run": {0, 3}}
    ran = []
    with snowflake_server() as server:
        environment |= server.environment
        # The logs are the demo's, and so is the list of what has no price by nature.
        environment["LLM_SPEND_SEEDS"] = str(few_prices(tmp_path / "seeds", demo.seeds))
        for command in commands(README):
            # The same commands on an emulator take two minutes; the warehouse tests run what they run.
            is_long = "--destination snowflake" in command and "LLM_SPEND_LONG_TESTS" not in os.environ
            if command.startswith("make ") or (is_long and not command.startswith("llm-spend doctor")):
                continue
            done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
            allowed = next((codes for start, codes in expected_codes.items() if command.startswith(start)), {0})
            assert done.returncode in allowed, (command, done.stdout, done.stderr)
            ran.append(command)
    assert len(ran) >= 4


@pytest.mark.slow
def test_make_demo_runs_as_written(demo: Demo) -> None:
    assert "make demo" in commands(README)
    assert "chargeback" in demo.screen.lower()
    assert "unpriced" in demo.screen.lower()


@pytest.mark.parametrize("page", [README, Path("CONTRIBUTING.md")])
def test_make_targets_exist(page: Path) -> None:
    known = set(re.findall(r"^([a-z]+):", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {command.split()[1] for command in commands(page) if command.startswith("make ")}
    assert named and named <= known


def test_linked_files_exist() -> None:
    pages = [README, Path("CONTRIBUTING.md"), *Path("docs").glob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page, link)
