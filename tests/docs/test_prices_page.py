"""The page of prices is what the seeds say."""

import csv
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate_prices import MODELS, SEEDS, TARGET, Book, Slot, page

from llm_spend.prices.audit_seeds import WAIVER_COLUMNS


def test_the_committed_page_is_fresh() -> None:
    assert TARGET.read_text(encoding="utf-8") == page(), "stale: run python tests/docs/generate_prices.py"


def test_fifteen_models_have_a_price_in_and_out_now() -> None:
    book = Book()
    now = datetime.fromisoformat(book.as_of).replace(tzinfo=UTC)
    assert len(set(MODELS)) == 15
    for model in MODELS:
        assert {"input_tokens", "output_tokens"} <= set(book.at(model, now)[Slot("standard", -1)]), model


def test_the_spans_of_a_slot_follow_each_other() -> None:
    for model in MODELS:
        last: dict[Slot, str] = {}
        for span in Book().spans(model):
            assert last.get(span.slot, "") <= span.start, model
            last[span.slot] = span.end or "9999"


def test_the_examples_are_lines_of_seeds_and_waivers() -> None:
    """Each begins with the header of a file that exists, and every line has as many values."""
    headers = {path.read_text(encoding="utf-8").splitlines()[0] for path in SEEDS.glob("*.csv")}
    headers.add(",".join(WAIVER_COLUMNS))
    examples = re.findall(r"```csv\n(.*?)```", page(), re.DOTALL)
    assert len(examples) == 5
    for example in examples:
        header, *lines = csv.reader(example.splitlines())
        assert ",".join(header) in headers, header
        assert lines and all(len(line) == len(header) for line in lines), lines
