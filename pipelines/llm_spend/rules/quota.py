"""A quota rule, as the warehouse keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Evaluation = Literal["first_match", "all_match"]


@dataclass(frozen=True)
class QuotaRule:
    """One rule of a rule set. `limit_to` is in the unit's requests or tokens; `order` starts at 1."""

    rule_set: str
    rule_id: str
    order: int
    evaluation: Evaluation
    subjects: tuple[tuple[str, str], ...]
    models: tuple[str, ...]
    metadata: tuple[str, str] | None
    applies_per: tuple[str, ...]
    unit: str
    limit_to: int
