"""What the providers counted of the gateways' calls, and what the gateways thought that it costs.

Providers count more than gateways do: answers that were cut off before their usage arrived, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from operator import add
from typing import NamedTuple

from llm_spend.demo.calls import Attempt, Call
from llm_spend.demo.gateways import LITELLM
from llm_spend.demo.pricing import Tokens

BILLED = frozenset({"openai", "anthropic"})
"""Providers whose bill the demo has. Of others nobody asked for one."""

_NONE = [0] * len(Tokens._fields)


class Slice(NamedTuple):
    """The calls of one gateway to one model of a provider on one UTC day."""

    provider: str
    day: date
    source: str
    instance: str
    model_id: str


@dataclass(slots=True)
class Count:
    """Tokens as a provider counts them; amounts in 1e-12 USD.

    `measured` and `unmeasured`: tokens of attempts whose cost the gateway's log tells, and of the others, in the order
    of `Tokens`. `cost`: the measured ones at list prices. `reported`: what the gateway said, or their cost where it
    says nothing. `at_old_price`: how much too much of it, since the gateway kept a price that had changed.
    """

    requests: int = 0
    measured: list[int] = field(default_factory=_NONE.copy)
    unmeasured: list[int] = field(default_factory=_NONE.copy)
    cost: int = 0
    reported: int = 0
    at_old_price: int = 0

    def add(self, other: Count) -> None:
        self.requests += other.requests
        self.measured = list(map(add, self.measured, other.measured))
        self.unmeasured = list(map(add, self.unmeasured, other.unmeasured))
        self.cost += other.cost
        self.reported += other.reported
        self.at_old_price += other.at_old_price


Meter = dict[Slice, Count]


def count_day(calls: Iterable[Call]) -> Meter:
    """The calls of one whole UTC day."""
    meter: Meter = {}
    for call in calls:
        for attempt in call.attempts:
            model = attempt.model
            if model.model_id is None or model.provider not in BILLED or not _reached_the_model(attempt):
                continue
            key = Slice(model.provider, call.day, call.source, call.instance, model.model_id)
            count = meter.get(key)
            if count is None:
                count = meter[key] = Count()
            _count(count, call, attempt)
    return meter


def _reached_the_model(attempt: Attempt) -> bool:
    return not attempt.is_cache_hit and attempt.price_status != "not_billed"


def _count(count: Count, call: Call, attempt: Attempt) -> None:
    count.requests += 1
    if attempt.cost is None:
        count.unmeasured = list(map(add, count.unmeasured, attempt.tokens or unseen_tokens(attempt)))
        return
    count.measured = list(map(add, count.measured, attempt.tokens or _NONE))
    count.cost += attempt.cost
    count.reported += attempt.cost if attempt.gateway_cost is None else attempt.gateway_cost
    if call.source == LITELLM and attempt.gateway_cost:
        # Of its own accord this gateway prices as we do.
        count.at_old_price += attempt.gateway_cost - attempt.cost


def unseen_tokens(attempt: Attempt) -> Tokens:
    """What the provider counted of an attempt whose usage never reached the gateway."""
    return Tokens(300 + attempt.started_ms % 1_700, 40 + attempt.started_ms // 7 % 900)


def merge(meter: Meter, other: Meter) -> None:
    """Adds another meter to one."""
    for key, count in other.items():
        if key in meter:
            meter[key].add(count)
        else:
            meter[key] = count
