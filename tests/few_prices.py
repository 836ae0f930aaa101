"""Seeds with the prices of the demo's models only: thousands of prices take a build seconds, an emulator many more."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Collection
from pathlib import Path

from llm_spend.build import project_dir
from llm_spend.demo.pricing import PRICES


def few_prices(folder: Path, seeds: Path | None = None, models: Collection[str] = frozenset(PRICES)) -> Path:
    """A folder of seeds: those given, and of the packaged prices those of `models`."""
    if seeds is None:
        folder.mkdir()
    else:
        shutil.copytree(seeds, folder)
    for name in ("model_prices.csv", "price_corrections.csv", "model_aliases.csv"):
        with (project_dir() / "seeds" / "prices" / name).open(newline="", encoding="utf-8") as packaged:
            header, *rows = csv.reader(packaged)
        with (folder / name).open("w", newline="", encoding="utf-8") as few:
            model_id = header.index("model_id")
            csv.writer(few).writerows([header, *(row for row in rows if row[model_id] in models)])
    return folder
