"""Writes docs/prices.md: the tables and the amounts of its examples come from the price seeds.

Run `python tests/docs/generate_prices.py` after a change; a test compares the committed page.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from llm_spend.prices.audit import matches

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "dbt_project" / "seeds" / "prices"
TARGET = ROOT / "docs" / "prices.md"
TEXT = Path(__file__).with_name("prices_page.md")

MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5.6-sol"),
    ("openai", "gpt-6-sol"),
    ("openai", "o3"),
    ("anthropic", "claude-opus-5"),
    ("anthropic", "claude-sonnet-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"),
    ("deepseek", "deepseek-v4-flash"),
    ("mistral", "mistral-large-2512"),
)
UNITS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
HEADER = ("in", "out", "cache read", "write 5m", "write 1h")
TIERS = ("standard", "batch", "flex", "priority", "fast")
MILLION = Decimal(1_000_000)

Row = Mapping[str, str]


@dataclass(frozen=True, order=True)
class Slot:
    """Which requests a line of a table is for."""

    tier: str
    input_tokens_gt: int
    hours: str = ""


@dataclass(frozen=True)
class Span:
    """A line of a table: prices by unit that hold in [start, end); the text of the seeds, empty when open."""

    slot: Slot
    prices: Mapping[str, Decimal]
    start: str
    end: str


def rows(name: str) -> list[Row]:
    with (SEEDS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Book:
    """The prices of the seeds, read once."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[tuple[bool, Row]]] = {}
        generated = [row for row in rows("model_prices") if not row["retracted_at"]]
        for is_override, found in ((True, rows("price_overrides")), (False, generated)):
            for row in found:
                self._rows.setdefault((row["channel"], row["model_id"]), []).append((is_override, row))
        self.as_of = max(row["recorded_at"] for row in generated)

    def at(self, model: tuple[str, str], instant: datetime) -> dict[Slot, dict[str, Decimal]]:
        """The prices of a model at an instant, by who pays them. An override replaces a cell in all its hours."""
        holding = [(is_override, row) for is_override, row in self._rows[model] if _holds(row, instant)]
        replaced = {_cell(row) for is_override, row in holding if is_override}
        found: dict[Slot, dict[str, Decimal]] = {}
        windows: dict[tuple[str, int, str, str], dict[str, list[Row]]] = {}
        for is_override, row in holding:
            if row["usage_unit"] not in UNITS or (not is_override and _cell(row) in replaced):
                continue
            if not row["tod_start_utc"] and not row["dow_mask"]:
                found.setdefault(_slot(row), {})[row["usage_unit"]] = _price(row)
            else:
                key = (row["service_tier"], int(row["input_tokens_gt"]), row["dow_mask"], row["holiday_calendar"])
                windows.setdefault(key, {}).setdefault(row["usage_unit"], []).append(row)
        for (tier, threshold, _, _), by_unit in windows.items():
            hours = _hours(by_unit["input_tokens"])
            prices = {unit: _price(of_unit[0]) for unit, of_unit in by_unit.items()}
            found[Slot(tier, threshold, hours)] = prices
        return found

    def spans(self, model: tuple[str, str]) -> list[Span]:
        """All prices that a model ever had: by tier, threshold and hours, oldest first."""
        edges = {row[column] for _, row in self._rows[model] for column in ("valid_from", "valid_to")}
        starts = sorted({_instant(edge) for edge in edges if edge})
        texts = {_instant(edge): edge for edge in edges if edge}
        running: dict[Slot, tuple[str, dict[str, Decimal]]] = {}
        spans: list[Span] = []
        for start in starts:
            now = self.at(model, start)
            for slot in [slot for slot, (_, prices) in running.items() if now.get(slot) != prices]:
                since, prices = running.pop(slot)
                spans.append(Span(slot, prices, since, texts[start]))
            for slot, prices in now.items():
                running.setdefault(slot, (texts[start], prices))
        spans += [Span(slot, prices, since, "") for slot, (since, prices) in running.items()]
        order = {tier: place for place, tier in enumerate(TIERS)}
        return sorted(
            spans, key=lambda s: (order[s.slot.tier], s.slot.input_tokens_gt, s.slot.hours, _instant(s.start))
        )

    def cost(self, model: tuple[str, str], day: str, slot: Slot = Slot("standard", -1), **tokens: int) -> Decimal:
        """USD of some tokens at the prices of one slot; a KeyError when it has no such price."""
        prices = self.at(model, _instant(day))[slot]
        return sum((prices[unit] * count / MILLION for unit, count in tokens.items()), Decimal(0))


def page() -> str:
    """The whole page as Markdown."""
    book = Book()
    values = {
        "as_of": book.as_of,
        "today": _today(book),
        "history": "\n".join(line for model in MODELS for line in _history(book, model)),
        **_examples(book),
    }
    text = TEXT.read_text(encoding="utf-8")
    for name, value in values.items():
        if "{{" + name + "}}" not in text:
            raise ValueError(f"{TEXT.name} has no place for {name}")
        text = text.replace("{{" + name + "}}", value)
    if "{{" in text:
        raise ValueError(f"{TEXT.name} has a place that nothing fills: {text[text.index('{{') :][:40]}")
    return text


def _examples(book: Book) -> dict[str, str]:
    haiku, sonnet, gemini = (
        ("anthropic", "claude-haiku-4-5"),
        ("anthropic", "claude-sonnet-4-5"),
        ("google", "gemini-2.5-pro"),
    )
    opus, flash, day = ("anthropic", "claude-opus-5"), ("deepseek", "deepseek-v4-flash"), "2026-11-20"
    peak = next(slot for slot in book.at(flash, _instant(day)) if slot.hours)
    tokens = {"input_tokens": 100_000, "output_tokens": 10_000}
    regional = book.cost(opus, day, **tokens)
    free = next(r for r in rows("free_allowances") if matches(r["model_pattern"], "gemini-2.5-pro"))
    searches = next(
        r
        for r in rows("model_prices")
        if (r["channel"], r["model_id"], r["usage_unit"]) == ("google", "gemini-2.5-pro", "web_searches")
        and not r["retracted_at"]
    )
    price_of_search = Decimal(searches["unit_price"]) / Decimal(searches["unit_size"])
    multiplier = next(
        Decimal(r["multiplier"])
        for r in rows("price_multipliers")
        if r["channel"] == "anthropic" and r["region"] == "us" and matches(r["model_pattern"], "claude-opus-5")
    )
    large = [r for r in rows("alias_overrides") if r["pattern"] == "mistral-large-latest"]
    return {
        "composition": _usd(
            book.cost(sonnet, day, input_tokens=10_000, cache_write_5m_tokens=30_000, cache_write_1h_tokens=60_000)
        ),
        "below": _usd(book.cost(gemini, day, input_tokens=200_000, output_tokens=1_000)),
        "above": _usd(book.cost(gemini, day, Slot("standard", 200_000), input_tokens=200_001, output_tokens=1_000)),
        "haiku_batch": _usd(book.cost(haiku, day, Slot("batch", -1), **tokens)),
        "haiku": _usd(book.cost(haiku, day, **tokens)),
        "peak": _usd(book.cost(flash, day, peak, input_tokens=1_000_000, output_tokens=1_000_000)),
        "off_peak": _usd(book.cost(flash, day, input_tokens=1_000_000, output_tokens=1_000_000)),
        "regional": _usd(regional * multiplier),
        "global": _usd(regional),
        "free": f"{int(free['quantity']):,}",
        "searches": _usd((10_400 - Decimal(free["quantity"])) * price_of_search),
        "searches_without": _usd(10_400 * price_of_search),
        "aliases": "\n".join(",".join(row.values()) for row in large),
        "large_new": _usd(book.cost(("mistral", large[-1]["model_id"]), day, **tokens)),
        "large_old": _usd(book.cost(("mistral", large[0]["model_id"]), "2025-06-01", **tokens)),
        "overrides": f"{len(rows('price_overrides')):,}",
        "holiday": next(r["holiday_date"] for r in rows("holidays") if r["reason"].startswith("National Day")),
    }


def _today(book: Book) -> str:
    lines = [*_table(("channel", "model", *HEADER, "batch in", "batch out"))]
    for model in MODELS:
        now = book.at(model, _instant(book.as_of))
        standard, batch = now[Slot("standard", -1)], now.get(Slot("batch", -1), {})
        cells = [_text(standard.get(unit)) for unit in UNITS] + [_text(batch.get(unit)) for unit in UNITS[:2]]
        lines.append(f"| {model[0]} | `{model[1]}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _history(book: Book, model: tuple[str, str]) -> Iterable[str]:
    yield f"### {model[1]}"
    yield ""
    yield from _table(("tier", "input above", "from", "until", *HEADER))
    for span in book.spans(model):
        tier = f"{span.slot.tier}, {span.slot.hours}" if span.slot.hours else span.slot.tier
        threshold = "" if span.slot.input_tokens_gt < 0 else f"{span.slot.input_tokens_gt:,}"
        start = "" if span.start == "2020-01-01" else span.start
        dates = (text.removesuffix(":00") for text in (start, span.end))
        cells = (tier, threshold, *dates, *(_text(span.prices.get(unit)) for unit in UNITS))
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _table(header: tuple[str, ...]) -> list[str]:
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]


def _hours(windows: Iterable[Row]) -> str:
    """Such as `01:00-04:00 and 06:00-10:00, Monday to Friday, no holidays`."""
    found = sorted(windows, key=lambda row: row["tod_start_utc"])
    text = " and ".join(f"{row['tod_start_utc']}-{row['tod_end_utc']}" for row in found if row["tod_start_utc"])
    days = {"12345": "Monday to Friday", "67": "Saturday and Sunday"}.get(found[0]["dow_mask"], found[0]["dow_mask"])
    parts = [text, days, "no holidays" if found[0]["holiday_calendar"] else ""]
    return ", ".join(part for part in parts if part)


def _slot(row: Row) -> Slot:
    return Slot(row["service_tier"], int(row["input_tokens_gt"]))


def _cell(row: Row) -> tuple[str, str, str]:
    return row["usage_unit"], row["service_tier"], row["input_tokens_gt"]


def _price(row: Row) -> Decimal:
    return Decimal(row["unit_price"]) * MILLION / Decimal(row["unit_size"])


def _holds(row: Row, instant: datetime) -> bool:
    return _instant(row["valid_from"]) <= instant and (not row["valid_to"] or instant < _instant(row["valid_to"]))


def _instant(text: str | date) -> datetime:
    return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)


def _text(price: Decimal | None) -> str:
    if price is None:
        return ""
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _usd(amount: Decimal) -> str:
    """At least cents, and no more digits than there are."""
    text = _text(amount)
    whole, _, digits = text.partition(".")
    return f"${int(whole):,}.{digits.ljust(2, '0')}"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    print(f"wrote {TARGET}")
