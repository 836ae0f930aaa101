"""Writes the generated price seeds, and tells whether the committed ones are stale."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from llm_spend.prices.aliases import Alias, catalogue_aliases
from llm_spend.prices.cells import PriceCell, depends_on_time_of_day, price_cells
from llm_spend.prices.dataset import DataSet, load_catalogues

# Those who make models and sell them themselves, then the two clouds that bill for other people's models.
FIRST_PARTY = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "deepseek",
    "groq",
    "x-ai",
    "cohere",
    "aws",
    "azure",
)

# Names that moved on while the data set still prices the old model: unpriced is better than wrong.
WITHHELD_ALIASES = frozenset({("mistral", "mistral-large-latest")})

PRICE_COLUMNS = (
    "price_id",
    "provider",
    "channel",
    "model_id",
    "usage_unit",
    "unit_size",
    "unit_price",
    "currency",
    "input_tokens_gt",
    "service_tier",
    "region_scope",
    "valid_from",
    "valid_to",
    "valid_from_basis",
    "source",
    "source_version",
)
ALIAS_COLUMNS = (
    "provider",
    "channel",
    "model_id",
    "match_type",
    "pattern",
    "excluded_pattern",
    "catalogue_order",
)
FALLBACK_COLUMNS = ("channel", "fallback_channel", "fallback_order")


@dataclass(frozen=True)
class PriceSeedReport:
    """What a run made of the data set. `stale` names the files whose committed content differed."""

    source: str
    source_version: str
    rows: dict[str, int]
    stale: tuple[str, ...]
    written: bool
    unpriced_by_time_of_day: tuple[str, ...] = ()
    skipped_aliases: tuple[str, ...] = field(default=())


def generate(seeds_dir: Path, check: bool = False) -> PriceSeedReport:
    """Write the generated CSV files into `seeds_dir`/prices; with `check`, only compare.

    `seeds_dir` is the folder that holds `prices/`. Raises PriceDataUnavailable without the `prices` extra.
    """
    data_set = load_catalogues(FIRST_PARTY)
    aliases, skipped = all_aliases(data_set)
    files = {
        "model_prices.csv": price_rows(all_cells(data_set)),
        "model_aliases.csv": alias_rows(aliases),
        "channel_fallbacks.csv": fallback_rows(data_set),
    }
    folder = seeds_dir / "prices"
    texts = {name: to_csv(rows) for name, rows in files.items()}
    stale = stale_files(folder, texts)
    if not check:
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).write_bytes(texts[name].encode())
    return PriceSeedReport(
        source=data_set.source,
        source_version=data_set.version,
        rows={name: len(rows) - 1 for name, rows in files.items()},
        stale=stale,
        written=not check and bool(stale),
        unpriced_by_time_of_day=tuple(
            f"{catalogue.channel} {model.model_id}"
            for catalogue in data_set.catalogues
            for model in catalogue.models
            if depends_on_time_of_day(model)
        ),
        skipped_aliases=tuple(skipped),
    )


def stale_files(folder: Path, texts: dict[str, str]) -> tuple[str, ...]:
    """The names of the files in `folder` that are missing or hold something else than `texts`."""
    return tuple(
        name
        for name, text in texts.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()
    )


def all_cells(data_set: DataSet) -> list[PriceCell]:
    return [
        cell
        for catalogue in data_set.catalogues
        for model in catalogue.models
        for cell in price_cells(catalogue.channel, model, source=data_set.source, source_version=data_set.version)
    ]


def all_aliases(data_set: DataSet) -> tuple[list[Alias], list[str]]:
    aliases: list[Alias] = []
    skipped: list[str] = []
    for catalogue in data_set.catalogues:
        found, left_out = catalogue_aliases(catalogue, WITHHELD_ALIASES)
        aliases += found
        skipped += left_out
    return aliases, skipped


def price_rows(cells: Iterable[PriceCell]) -> list[Sequence[str]]:
    """Header and sorted rows; prices are plain decimal text."""
    ordered = sorted(
        cells,
        key=lambda c: (
            c.channel,
            c.model_id,
            c.service_tier,
            c.usage_unit,
            c.input_tokens_gt,
            c.valid_from,
        ),
    )
    return [
        PRICE_COLUMNS,
        *(
            (
                c.price_id,
                c.provider,
                c.channel,
                c.model_id,
                c.usage_unit,
                str(c.unit_size),
                plain(c.unit_price),
                c.currency,
                str(c.input_tokens_gt),
                c.service_tier,
                c.region_scope,
                c.valid_from.isoformat(),
                c.valid_to.isoformat() if c.valid_to else "",
                c.valid_from_basis,
                c.source,
                c.source_version,
            )
            for c in ordered
        ),
    ]


def alias_rows(aliases: Iterable[Alias]) -> list[Sequence[str]]:
    ordered = sorted(aliases, key=lambda a: (a.channel, a.catalogue_order, a.match_type, a.pattern))
    return [
        ALIAS_COLUMNS,
        *(
            (
                a.provider,
                a.channel,
                a.model_id,
                a.match_type,
                a.pattern,
                a.excluded_pattern,
                str(a.catalogue_order),
            )
            for a in ordered
        ),
    ]


def fallback_rows(data_set: DataSet) -> list[Sequence[str]]:
    return [
        FALLBACK_COLUMNS,
        *(
            (catalogue.channel, fallback, str(order))
            for catalogue in sorted(data_set.catalogues, key=lambda c: c.channel)
            for order, fallback in enumerate(catalogue.fallbacks, start=1)
        ),
    ]


def plain(price: Decimal) -> str:
    """Decimal text without exponent or trailing zeros: 2.5, 0.003625, 100."""
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_csv(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
