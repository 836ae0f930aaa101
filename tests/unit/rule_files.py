"""What the tests of rule files have in common: a file from a text, what is said of it, and what reaches the seed."""

from __future__ import annotations

import csv
from pathlib import Path

from llm_spend.rules import check, import_


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    """Line, field and message of everything that is wrong in a file of that text."""
    return [(each.line, each.field, each.message) for each in check(_written(folder, text))]


def notes(folder: Path, text: str) -> list[tuple[int, str]]:
    """Line and field of what is said of a file of that text beside its rules."""
    return [(each.line, each.field) for each in import_(_written(folder, text), folder / "noted").notes]


def seed_rows(folder: Path, text: str) -> list[dict[str, str]]:
    """The rows of a new seed after the import of a file of that text, without empty cells and what is usual."""
    seeds = folder / "seeds"
    import_(_written(folder, text), seeds)
    usual = {"evaluation": "all_match", "valid_from": "2020-01-01", "subject_type": "*", "subject": "*"}
    with (seeds / "rules/quota_rules.csv").open(newline="") as stream:
        return [
            {name: value for name, value in row.items() if value and usual.get(name) != value}
            for row in csv.DictReader(stream)
        ]


def _written(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "rules.yaml"
    file.write_text(text)
    return file
