"""The cost map inside the litellm package, read as a file: litellm itself is never imported, and nothing is fetched."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from llm_spend.errors import UserError
from llm_spend.prices.audit import Cell, Listing
from llm_spend.prices.cells import NO_THRESHOLD, STANDARD
from llm_spend.prices.units import UNITS_BY_NAME

MAP_NAME = "model_prices_and_context_window_backup.json"
PINNED = "litellm==1.109.1"


class Seller(NamedTuple):
    """What a `litellm_provider` is to us."""

    channel: str
    is_first_party: bool = True


# Every provider of the map that is compared. Others sell what our default seeds do not have.
SELLERS: Mapping[str, Seller] = {
    "anthropic": Seller("anthropic"),
    "cohere": Seller("cohere"),
    "cohere_chat": Seller("cohere"),
    "deepseek": Seller("deepseek"),
    "gemini": Seller("google"),
    "groq": Seller("groq"),
    "mistral": Seller("mistral"),
    "openai": Seller("openai"),
    "text-completion-openai": Seller("openai"),
    "xai": Seller("x-ai"),
    "azure": Seller("azure", is_first_party=False),
    "bedrock": Seller("aws", is_first_party=False),
    "bedrock_converse": Seller("aws", is_first_party=False),
    "vertex_ai-anthropic_models": Seller("google", is_first_party=False),
}

# Keys of the map -> our usage unit. Its prices are for one token, second, page or request.
_UNITS: Mapping[str, str] = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "cache_read_input_token_cost": "cache_read_tokens",
    "cache_creation_input_token_cost": "cache_write_5m_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "input_cost_per_image_token": "input_image_tokens",
    "input_cost_per_video_token": "input_video_tokens",
    "cache_read_input_audio_token_cost": "cache_read_audio_tokens",
    "cache_read_input_image_token_cost": "cache_read_image_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "output_cost_per_image_token": "output_image_tokens",
    "output_cost_per_video_token": "output_video_tokens",
    "input_cost_per_request": "requests",
    "input_cost_per_character": "input_characters",
    "ocr_cost_per_page": "pages",
    "annotation_cost_per_page": "annotated_pages",
}
_TIERS = {"batches": "batch", "flex": "flex", "priority": "priority"}
_KEY = re.compile(
    rf"(?P<base>{'|'.join(sorted(_UNITS, key=len, reverse=True))})"
    r"(_above_(?P<thousands>\d+)k_tokens)?"
    rf"(_(?P<tier>{'|'.join(_TIERS)}))?"
)
_SEARCHES = "search_context_cost_per_query"
_OFF_PEAK = "off_peak_pricing"


@dataclass(frozen=True)
class CostMap:
    """The listings of a cost map and which version it is of."""

    version: str
    listings: tuple[Listing, ...]


def read_cost_map(file: Path | None = None) -> CostMap:
    """The cost map in `file`, or the one of the installed litellm package.

    Raises UserError when there is none, or when it is something else.
    """
    path, version = (file, file.name) if file else _installed()
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read as a cost map: {error}.", "Give the JSON file of litellm.") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is no cost map: it holds a {type(content).__name__}.", "Give the JSON file of litellm."
        )
    return CostMap(version, tuple(listings(content)))


def listings(content: Mapping[str, Any]) -> Iterator[Listing]:
    """One listing for each name of a seller that we know; a name with and without its prefix is one."""
    found: dict[tuple[str, str, bool], Listing] = {}
    for key, entry in content.items():
        provider = entry.get("litellm_provider") if isinstance(entry, dict) else None
        seller = SELLERS.get(provider) if isinstance(provider, str) else None
        if seller is None or provider is None:
            continue
        name = _name(key, provider)
        prices = dict(cells(entry))
        if name and prices:
            identity = (seller.channel, name, seller.is_first_party)
            found[identity] = Listing(seller.channel, name, prices, seller.is_first_party)
    yield from found.values()


def cells(entry: Mapping[str, Any]) -> Iterator[tuple[Cell, Decimal]]:
    """The prices of one entry, for as many units as ours are for: exact, the JSON text times the unit size.

    A 0 beside other prices says "there is no such thing" in the map, so it is left out.
    """
    found = dict(all_cells(entry))
    yield from ((cell, price) for cell, price in found.items() if price or not any(found.values()))


def all_cells(entry: Mapping[str, Any]) -> Iterator[tuple[Cell, Decimal]]:
    """The prices of one entry, zeros included."""
    off_peak = entry.get(_OFF_PEAK)
    cheap = off_peak if isinstance(off_peak, dict) else {}
    for key, value in entry.items():
        cell = _cell(key)
        if cell is None or not _is_number(value):
            continue
        # Where some hours are cheaper, their plain key is the price of the others: ours has it the other way round.
        if _is_number(cheap.get(key)):
            yield cell._replace(is_window=True), _scaled(cell, value)
            yield cell, _scaled(cell, cheap[key])
        else:
            yield cell, _scaled(cell, value)
    yield from _other_units(entry)


def _other_units(entry: Mapping[str, Any]) -> Iterator[tuple[Cell, Decimal]]:
    if entry.get("mode") == "audio_transcription" and _is_number(entry.get("input_cost_per_second")):
        cell = Cell("audio_seconds")
        yield cell, _scaled(cell, entry["input_cost_per_second"])
    searches = entry.get(_SEARCHES)
    sizes = set(searches.values()) if isinstance(searches, dict) else set()
    # Prices by size of the search context are not ours to compare: logs do not tell the size.
    if len(sizes) == 1 and _is_number(price := sizes.pop()):
        cell = Cell("web_searches")
        yield cell, _scaled(cell, price)


def _cell(key: str) -> Cell | None:
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    threshold = int(found["thousands"]) * 1000 if found["thousands"] else NO_THRESHOLD
    return Cell(_UNITS[found["base"]], _TIERS.get(found["tier"], STANDARD), threshold)


def _name(key: str, provider: str) -> str:
    """The model's name without the seller's prefix; empty for names that say more (a region, an image size)."""
    prefix = provider.removesuffix("_converse").partition("-")[0] if provider.startswith(("bed", "vert")) else provider
    name = key.removeprefix(f"{prefix}/")
    is_ours = "/" not in name or SELLERS[provider].channel == "groq"
    return name.lower() if is_ours else ""


def _scaled(cell: Cell, price: Decimal | int) -> Decimal:
    return Decimal(price) * UNITS_BY_NAME[cell.usage_unit].size


def _is_number(value: object) -> bool:
    return isinstance(value, Decimal | int) and not isinstance(value, bool)


def _installed() -> tuple[Path, str]:
    spec = importlib.util.find_spec("litellm")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / MAP_NAME
        if path.is_file():
            return path, f"litellm {metadata.version('litellm')}"
    raise UserError(
        "The cost map of litellm is not here.",
        f"Get it with `pip install --no-deps '{PINNED}'`, or give its file with --cost-map.",
    )
