"""What happened, as the generator meant it: client calls and their upstream attempts, before any log format.

Writers turn these records into the files of a gateway; the ledger turns the same records into the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from llm_spend.demo.organisation import TEAMS, ApiKey, Organisation
from llm_spend.demo.pricing import Tokens

UNALLOCATED = "(unallocated)"
UNRESOLVED = "(unresolved)"
"""The member of the model dimension that stands for rows whose model is unknown."""

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Model:
    """A model as callers name it. `model_id` None: nobody knows a price."""

    raw: str
    model_id: str | None
    provider: str
    input_size: float = 6.7
    output_size: float = 5.3
    kind: str = "chat"


@dataclass(slots=True)
class Attempt:
    """One upstream attempt. `tokens` None: the log row has no usage. Amounts are in 1e-12 USD."""

    record_id: str
    started_ms: int
    latency_ms: int
    model: Model
    status: str = "success"
    http_status: int = 200
    error_type: str = ""
    tokens: Tokens | None = None
    price_status: str = ""
    cost: int | None = None
    gateway_cost: int | None = 0
    is_cache_hit: bool = False
    is_final: bool = False
    cache_split: bool = True
    conflicting_1h: int = 0
    prompt_hash: str | None = None


@dataclass(slots=True)
class Call:
    """One request of a client. `tags` are what the client meant to send, before a gateway escapes them."""

    source: str
    instance: str
    day: date
    outcome: str
    trace_id: str
    attempts: list[Attempt]
    tags: dict[str, str] = field(default_factory=dict)
    user_key: str | None = None
    tagged_user: str | None = None
    tagged_team: str | None = None
    feature: str | None = None
    customer: str | None = None
    environment: str | None = None
    gateway_user: str | None = None
    gateway_team: str | None = None
    gateway_teams: tuple[str, ...] = ()
    virtual_account: str | None = None
    key: ApiKey | None = None
    end_user: str = ""
    is_stream: bool = False
    has_trace: bool = True
    delivery: str = "once"
    prompt: str | None = None
    max_tokens: int | None = None
    rating: int | None = None
    """What somebody thought of the answer, from 1 to 5."""
    style: float = 0.0
    """A uniform number in [0, 1) from which writers choose among equivalent ways to write the same call."""


class Owner(NamedTuple):
    """Who pays, and by which step of the attribution order that was found."""

    user: str
    user_step: str
    team: str
    team_step: str
    cost_center: str
    feature: str
    customer: str
    environment: str


def owner_of(call: Call, org: Organisation) -> Owner:
    """The attribution order, applied to known facts: tag, gateway, key owner, HR list."""
    key_user, key_team = call.key.owner_on(call.day) if call.key is not None else (None, None)
    user, user_step = _first(
        ("metadata", call.tagged_user),
        ("gateway", call.gateway_user),
        ("api_key", key_user),
    )
    employer = org.member_team(user, call.day)
    team, team_step = _first(
        ("metadata", call.tagged_team),
        ("gateway", call.gateway_team),
        ("api_key", key_team),
        ("member", employer),
    )
    if team != UNALLOCATED and team not in TEAMS:
        team, team_step = UNALLOCATED, "unknown"
    cost_center = UNALLOCATED if team == UNALLOCATED else org.cost_center(team, call.day)
    return Owner(
        user=user,
        user_step=user_step,
        team=team,
        team_step=team_step,
        cost_center=cost_center,
        feature=call.feature or UNALLOCATED,
        customer=call.customer or UNALLOCATED,
        environment=call.environment or UNALLOCATED,
    )


def _first(*candidates: tuple[str, str | None]) -> tuple[str, str]:
    for step, value in candidates:
        if value:
            return value, step
    return UNALLOCATED, "missing"


_EPOCH_DAY = date(1970, 1, 1).toordinal()


def day_start_ms(day: date) -> int:
    """Milliseconds since the epoch at 00:00 UTC."""
    return (day.toordinal() - _EPOCH_DAY) * DAY_MS


def clock(epoch_ms: int) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm` in UTC."""
    days, rest = divmod(epoch_ms, DAY_MS)
    seconds, millis = divmod(rest, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{_day_text(days)} {minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{millis:03d}"


@lru_cache(maxsize=8)
def _day_text(days: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days).isoformat()
