"""Adds up what the demo wastes and what other models would cost: the truth about where money can be saved.

Integers only, as in the ledger. The rules are those that the marts' descriptions state, applied to known facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add
from typing import Any

from llm_spend.demo.calls import Attempt, Call, Owner
from llm_spend.demo.pricing import usd_text
from llm_spend.demo.switches import BY_MODEL, Switch, switched_units

Sums = list[int]

GIANT = 200_000
_NOT_CONSUMED = frozenset({"cache_hit", "not_billed"})


class Findings:
    """Sums over calls. `merge` joins those of disjoint days; day order makes no difference."""

    def __init__(self) -> None:
        self.paid: dict[tuple[str, str], Sums] = {}
        """(month, kind of waste) -> attempts, cost units"""
        self.switches: dict[tuple[str, str, str, str, str], Sums] = {}
        """(month, feature, model, channel, model instead) ->
        attempts, tokens, cost units now and then, attempts and tokens that can't be compared"""
        self.prompts: dict[tuple[str, str], Sums] = {}
        """(month, prompt) -> attempts with usage, input tokens, those of them from the cache, cost units"""
        self.limits: dict[tuple[str, str], Sums] = {}
        """(month, feature) -> attempts with a limit of their output, the sum of the limits, output tokens"""
        self.ratings: dict[tuple[str, str], Sums] = {}
        """(month, feature) -> ratings, their sum"""
        self.giants: dict[tuple[str, str], Sums] = {}
        """(month, day) -> attempts with so much input that one of them is seen in a small day, cost units"""
        self._seen: set[tuple[str, ...]] = set()

    def count_day(self, calls: Iterable[tuple[Call, Owner]]) -> None:
        """Adds the calls of one whole UTC day, those of a gateway in the order of their time."""
        self._seen.clear()
        for call, owner in calls:
            day = call.day.isoformat()
            month = day[:7]
            if call.rating is not None:
                _add(self.ratings, (month, owner.feature), 1, call.rating)
            for attempt in call.attempts:
                self._count(call, attempt, owner, day, month)

    def _count(self, call: Call, attempt: Attempt, owner: Owner, day: str, month: str) -> None:
        tokens, cost = attempt.tokens, attempt.cost
        for switch in BY_MODEL.get(attempt.model.model_id or "", ()):
            if attempt.price_status not in _NOT_CONSUMED and switch.holds(call.day):
                self._switch(switch, attempt, owner, call, month)
        if tokens is not None and not attempt.is_cache_hit:
            if call.prompt is not None:
                _add(self.prompts, (month, call.prompt), 1, tokens.input, tokens.cache_read, cost or 0)
            if call.max_tokens is not None:
                _add(self.limits, (month, owner.feature), 1, call.max_tokens, tokens.output)
            if tokens.input > GIANT:
                _add(self.giants, (month, day), 1, cost or 0)
        if not cost:
            return
        if attempt.status != "success":
            _add(self.paid, (month, "paid_failures"), 1, cost)
        elif attempt.prompt_hash is not None and tokens is not None:
            group = (
                day, owner.team, owner.feature, attempt.model.provider, attempt.model.model_id or "",
                attempt.prompt_hash, str(tokens.input),
            )  # fmt: skip
            if group in self._seen:
                _add(self.paid, (month, "duplicate_prompts"), 1, cost)
            self._seen.add(group)
        if not attempt.is_final:
            final = next(each for each in call.attempts if each.is_final)
            kind = "paid_retries" if final.model.model_id == attempt.model.model_id else "paid_fallbacks"
            _add(self.paid, (month, kind), 1, cost)

    def _switch(self, switch: Switch, attempt: Attempt, owner: Owner, call: Call, month: str) -> None:
        key = (month, owner.feature, switch.model, switch.to_channel, switch.to_model)
        total = 0 if attempt.tokens is None else attempt.tokens.total
        if attempt.cost is None or attempt.tokens is None:
            _add(self.switches, key, 0, 0, 0, 0, 1, total)
        else:
            instead = switched_units(switch, call.day, attempt.tokens)
            _add(self.switches, key, 1, total, attempt.cost, instead, 0, 0)

    def merge(self, other: Findings) -> None:
        for mine, theirs in (
            (self.paid, other.paid),
            (self.prompts, other.prompts),
            (self.limits, other.limits),
            (self.ratings, other.ratings),
            (self.giants, other.giants),
        ):
            for pair, sums in theirs.items():
                _add(mine, pair, *sums)
        for key, sums in other.switches.items():
            _add(self.switches, key, *sums)

    def to_truth(self) -> dict[str, Any]:
        """JSON-ready and sorted; amounts are decimal text in USD."""
        return {
            "paid": _nested(self.paid, ("attempts", "cost_usd")),
            "prompts": _nested(self.prompts, ("attempts", "input_tokens", "cache_read_tokens", "cost_usd")),
            "limits": _nested(self.limits, ("attempts", "max_tokens", "output_tokens")),
            "ratings": _nested(self.ratings, ("ratings", "sum")),
            "giants": _nested(self.giants, ("attempts", "cost_usd")),
            "switches": [
                [*key, *sums[:2], *(usd_text(units) for units in sums[2:4]), *sums[4:]]
                for key, sums in sorted(self.switches.items())
            ],
        }


def _add(cells: dict[Any, Sums], key: tuple[str, ...], *values: int) -> None:
    cell = cells.get(key)
    cells[key] = list(values) if cell is None else list(map(add, cell, values))


def _nested(cells: Mapping[tuple[str, str], Sums], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (outer, inner), sums in sorted(cells.items()):
        nested.setdefault(outer, {})[inner] = {
            name: usd_text(value) if name.endswith("_usd") else value for name, value in zip(names, sums, strict=True)
        }
    return nested
