"""The examples of docs/quotas.md are rule files that can be imported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.rule_files import problems, seed_rows

PAGE = (Path(__file__).parents[2] / "docs/quotas.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(?:yaml|json)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.split("\n")[1].strip() for example in EXAMPLES])
def test_an_example_is_in_order(tmp_path: Path, example: str) -> None:
    assert problems(tmp_path, example) == []
    assert seed_rows(tmp_path, example)


def test_there_is_an_example_of_each_form() -> None:
    words = (
        "llm-spend-quotas",
        "gateway-rate-limiting-config",
        "tenant-budget-config",
        "credit_limit",
        "litellm_settings",
    )
    assert [sum(word in example for example in EXAMPLES) for word in words] == [1] * len(words)
