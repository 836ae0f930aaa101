"""What goes wrong on some days of the demo, each with its label: what a watch over the marts has to notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from typing import Any

FAILING_MODEL = "claude-haiku-4-5"
COLD_MODEL = "gpt-4o"
DEAR_FEATURE, DEAR_MODEL = "incident-notes", "gpt-5.6-sol"
UNTAGGED_FEATURE = "code-review"
NEW_MODEL, NEW_MODEL_FEATURE = "gemini-3.5-flash", "email-writer"
NEW_KEY = "personal-00-new"

VISIBLE_FROM = 20_000
"""Requests in 75 days from which an incident stands out of the noise of its day, where nothing else is said."""


@dataclass(frozen=True)
class Incident:
    """`kind`, `member_type` and `member_id` as in llm_usage_anomalies; `also`: what else it truly moves."""

    kind: str
    member_type: str
    member_id: str
    days: tuple[date, ...]
    what: str
    also: tuple[tuple[str, str, str], ...] = ()
    visible_from: int = VISIBLE_FROM

    def to_truth(self, first_day: date) -> dict[str, Any]:
        """JSON-ready. `history_days`: days of usage before it, without which nobody can tell."""
        return {
            "kind": self.kind,
            "member_type": self.member_type,
            "member_id": self.member_id,
            "days": [day.isoformat() for day in self.days],
            "what": self.what,
            "also": [list(each) for each in self.also],
            "visible_from_requests": self.visible_from,
            "history_days": (self.days[0] - first_day).days,
        }


_ABOUT: tuple[tuple[float, int, Incident], ...] = (
    (0.62, 1, Incident(
        "new_api_key", "api_key", NEW_KEY, (), "from this day on another key of the same user",
    )),
    (0.70, 1, Incident(
        "error_rate", "model", FAILING_MODEL, (), "the model is overloaded: more than half of its calls fail",
    )),
    (0.77, 1, Incident(
        "cost_drop", "feature", UNTAGGED_FEATURE, (), "a release forgets the feature tag",
        (("cost_spike", "feature", "(unallocated)"),), visible_from=100_000,
    )),
    (0.80, 3, Incident(
        "blended_price", "feature", DEAR_FEATURE, (), "a wrong setting sends the feature to a dear model",
        (
            ("cost_spike", "feature", DEAR_FEATURE), ("cost_spike", "team", "platform"),
            ("cost_spike", "model", DEAR_MODEL), ("cost_drop", "model", "gpt-4o-mini"),
            ("blended_price", "team", "platform"), ("blended_price", "total", "(all)"),
            ("cost_spike", "total", "(all)"),
        ),
    )),
    (0.85, 1, Incident(
        "new_model", "model", NEW_MODEL, (), "from this day on a feature calls a model that nobody called before",
        (("cost_spike", "feature", NEW_MODEL_FEATURE), ("blended_price", "feature", NEW_MODEL_FEATURE)),
    )),
    (0.90, 2, Incident(
        "cache_miss_rate", "model", COLD_MODEL, (), "the model's prompt cache is not read: prompts begin with the time",
        (("cost_spike", "model", COLD_MODEL), ("cache_miss_rate", "total", "(all)")),
    )),
)  # fmt: skip
"""(share of the period at which it begins, days, what it is)"""


def new_key_hash(seed: int) -> str:
    return sha256(f"{seed}:{NEW_KEY}".encode()).hexdigest()


def plan(seed: int, days: Sequence[date], taken: Iterable[date]) -> tuple[Incident, ...]:
    """The incidents of a period on workdays that nothing else has `taken`; those that find none are left out."""
    busy = set(taken)
    found = []
    for share, count, about in _ABOUT:
        free = [day for day in days[int(len(days) * share) : -1] if day.weekday() < 5 and day not in busy]
        if len(free) < count:
            continue
        busy.update(free[:count])
        member = new_key_hash(seed) if about.member_id == NEW_KEY else about.member_id
        found.append(replace(about, member_id=member, days=tuple(free[:count])))
    return tuple(found)
