"""The organisation's rate limits (a TrueFoundry `gateway-rate-limiting-config`) and who really broke them.

The first rule in file order that matches a request counts it. Windows are calendar hours and days in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

import yaml

from llm_spend.demo.calls import DAY_MS, UNALLOCATED, Attempt, Call, Owner, clock

CONFIG_NAME = "northwind-rate-limits"
_WINDOW_MS = {"hour": DAY_MS // 24, "day": DAY_MS}


@dataclass(frozen=True)
class Rule:
    """One rule. A condition that is None doesn't restrict; `per` None: all that match share one counter."""

    rule_id: str
    measure: Literal["requests", "tokens"]
    window: Literal["hour", "day"]
    limit: int
    team: str | None = None
    virtual_account: str | None = None
    tag: tuple[str, str] | None = None
    per: str | None = None

    @property
    def unit(self) -> str:
        return f"{self.measure}_per_{self.window}"

    def matches(self, call: Call, owner: Owner) -> bool:
        return (
            (self.team is None or owner.team == self.team)
            and (self.virtual_account is None or call.virtual_account == self.virtual_account)
            and (self.tag is None or call.tags.get(self.tag[0]) == self.tag[1])
        )

    def subject(self, call: Call, owner: Owner) -> str | None:
        """Whose counter a matching request moves; None: nobody's, it lacks what the rule counts by."""
        match self.per:
            case None:
                return self.team or self.virtual_account or "*"
            case "user":
                return None if owner.user == UNALLOCATED else owner.user
            case "virtualaccount":
                return call.virtual_account
            case per:
                return call.tags.get(per.removeprefix("metadata.")) or None

    @property
    def subject_type(self) -> str:
        """What kind of thing has a counter of its own: what `per` says, else the one subject of the rule."""
        if self.per is not None:
            return self.per
        if self.team is not None:
            return "team"
        return "*" if self.virtual_account is None else "virtualaccount"

    def to_config(self) -> dict[str, Any]:
        when: dict[str, Any] = {}
        if self.team is not None:
            when["subjects"] = [f"team:{self.team}"]
        if self.virtual_account is not None:
            when["subjects"] = [f"virtualaccount:{self.virtual_account}"]
        if self.tag is not None:
            when["metadata"] = {self.tag[0]: self.tag[1]}
        config: dict[str, Any] = {"id": self.rule_id, "when": when, "limit_to": self.limit, "unit": self.unit}
        if self.per is not None:
            config["rate_limit_applies_per"] = [self.per]
        return config


def rules(daily_requests: float) -> tuple[Rule, ...]:
    """The rules, in the order they are tried. Limits grow with traffic, so every size has some breaches."""

    def scaled(share: float, least: int) -> int:
        return max(least, ceil(daily_requests * share))

    return (
        Rule(
            "nightly-batch-hourly", "requests", "hour", scaled(0.028, 3),
            virtual_account="nightly-batch", per="virtualaccount",
        ),
        Rule(
            "free-plan-daily-tokens", "tokens", "day", scaled(0.022, 3) * 12_000,
            tag=("plan", "free"), per="metadata.customer_id",
        ),
        Rule("support-emea-daily", "requests", "day", scaled(0.26, 5), team="support-emea"),
        Rule("data-science-daily-tokens", "tokens", "day", scaled(0.26, 5) * 5_000, team="data-science"),
        Rule("everyone-daily", "requests", "day", scaled(0.19, 6), per="user"),
    )  # fmt: skip


def write_config(entries: Iterable[Rule], path: Path) -> None:
    config = {
        "name": CONFIG_NAME,
        "type": "gateway-rate-limiting-config",
        "rules": [rule.to_config() for rule in entries],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


class DayCounters:
    """Counters of one UTC day; no window is longer than a day."""

    def __init__(self, entries: tuple[Rule, ...]) -> None:
        self._rules = entries
        self._moves: dict[tuple[int, str, int], list[tuple[int, int]]] = {}

    def count(self, call: Call, owner: Owner, attempt: Attempt) -> None:
        for index, rule in enumerate(self._rules):
            if not rule.matches(call, owner):
                continue
            subject = rule.subject(call, owner)
            amount = _amount(rule, attempt)
            if subject is not None and amount:
                window = _WINDOW_MS[rule.window]
                key = (index, subject, attempt.started_ms // window * window)
                self._moves.setdefault(key, []).append((attempt.started_ms, amount))
            return

    def breaches(self) -> list[dict[str, Any]]:
        """Windows over their limit; `breached_at` is the start of the request that crossed it."""
        found: list[dict[str, Any]] = []
        for (index, subject, start), moves in sorted(self._moves.items()):
            rule = self._rules[index]
            used = sum(amount for _, amount in moves)
            if used <= rule.limit:
                continue
            found.append(
                {
                    "rule_id": rule.rule_id,
                    "subject_type": rule.subject_type,
                    "subject": subject,
                    "unit": rule.unit,
                    "window_start": clock(start),
                    "window_end": clock(start + _WINDOW_MS[rule.window]),
                    "used": used,
                    "limit_to": rule.limit,
                    "breached_at": clock(_crossed_at(moves, rule.limit)),
                }
            )
        return found


def _amount(rule: Rule, attempt: Attempt) -> int:
    if rule.measure == "requests":
        return int(attempt.is_final)
    return 0 if attempt.is_cache_hit or attempt.tokens is None else attempt.tokens.total


def _crossed_at(moves: list[tuple[int, int]], limit: int) -> int:
    used = 0
    for at, amount in sorted(moves):
        used += amount
        if used > limit:
            return at
    raise ValueError("these moves stay within the limit")
