"""Which model Northwind thinks could take the place of which, and what the same tokens would cost there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from llm_spend.demo.organisation import write_csv
from llm_spend.demo.pricing import Tokens, units_with_inherited_prices


@dataclass(frozen=True)
class Switch:
    """`factor`: tokens that the candidate counts for one of the model's. Days are from `since` to before `until`."""

    model: str
    to_channel: str
    to_model: str
    factor: Decimal = Decimal(1)
    note: str = ""
    since: date | None = None
    until: date | None = None

    def holds(self, day: date) -> bool:
        return (self.since is None or self.since <= day) and (self.until is None or day < self.until)


SWITCHES = (
    Switch("gpt-4o", "openai", "gpt-4o-mini", note="Same tokeniser; quality to be tested"),
    Switch("gpt-4o", "anthropic", "claude-haiku-4-5", Decimal("1.15"), "Counts about 15 % more tokens for our texts"),
    Switch("claude-sonnet-4-5", "anthropic", "claude-haiku-4-5"),
    Switch("claude-sonnet-4-5", "openai", "gpt-4.1", Decimal("0.86"), "Has no price for writing to its cache"),
    Switch("gpt-4.1", "openai", "gpt-5-mini", since=date(2026, 9, 15)),
    Switch("gemini-2.5-pro", "google", "gemini-3.1-pro-preview", Decimal("1.02"), "Better, and dearer"),
    Switch("gemini-2.5-pro", "google", "gemini-2.5-flash", until=date(2026, 10, 12)),
)
BY_MODEL: Mapping[str, tuple[Switch, ...]] = {
    model: tuple(switch for switch in SWITCHES if switch.model == model) for model in {each.model for each in SWITCHES}
}


def switched_units(switch: Switch, on: date, tokens: Tokens) -> int:
    """What these tokens cost at the candidate, in 1e-12 USD. The length of the request itself decides on its band."""
    units = units_with_inherited_prices(switch.to_model, on, tokens)
    if switch.factor == 1:
        return units
    above, below = switch.factor.as_integer_ratio()
    found, rest = divmod(units * above, below)
    if rest:
        raise ValueError(f"{switch.factor} times the price of {switch.to_model} is not a whole number of 1e-12 USD")
    return found


def write_seed(folder: Path) -> None:
    """`model_switches.csv`."""
    header = ("from_model_id", "to_channel", "to_model_id", "token_factor", "note", "valid_from", "valid_to")
    rows = [
        [each.model, each.to_channel, each.to_model, "" if each.factor == 1 else str(each.factor), each.note,
         "" if each.since is None else each.since.isoformat(), "" if each.until is None else each.until.isoformat()]
        for each in SWITCHES
    ]  # fmt: skip
    write_csv(folder / "model_switches.csv", header, rows)
