"""docs/performance.md says what docs/performance.json holds, in words that no hand changed."""

from __future__ import annotations

import json

from tests.benchmarks.commands import CHECKOUT
from tests.benchmarks.report import page

PAGE = CHECKOUT / "docs" / "performance.md"


def test_the_page_is_made_from_the_figures_beside_it() -> None:
    found = json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(found)
