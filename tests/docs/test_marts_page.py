"""The reference page is what the YAML says, and every shared meaning is used."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate_marts import PROJECT, TARGET, doc_blocks, marts_page


def test_the_committed_page_is_fresh() -> None:
    assert TARGET.read_text() == marts_page(), "stale: run python tests/docs/generate_marts.py"


def test_every_docs_block_is_used() -> None:
    text = "".join(path.read_text() for path in PROJECT.glob("models/**/*.yml"))
    assert [name for name in doc_blocks() if f"doc('llm_spend', '{name}')" not in text] == []
