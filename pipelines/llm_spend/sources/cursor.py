"""Cursor's usage events: what was called, by whom, what of it is charged.

Facts (Cursor's Admin API): an event has no id, a time in milliseconds as text, and amounts in fractions of US cents.
`chargedCents` is the model's cost and Cursor's fee; it stands beside events that a plan includes, too, which are not
charged. Older answers have neither it nor `isChargeable`: then `kind` tells, and the tokens' cost. Input is apart from
the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from llm_spend.readers.api.values import amount, as_object, number
from llm_spend.sources.about import About, Setting
from llm_spend.sources.provider_rows import Row, bucket, numbered

LOOK_BACK = (timedelta(days=1), timedelta(days=3))

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1)
_DIMENSIONS = {"kind": "kind", "max_mode": "maxMode", "is_headless": "isHeadless", "is_free_bugbot": "isFreeBugbot"}
_GROUPING = ",".join(sorted(("model", "user_id", *_DIMENSIONS)))
_NOT_PAID = ("included", "not charged", "free")


def usage_rows(events: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows of provider__usage, one for each event."""
    return numbered({**_place(event), "usage_type": "events", "requests": 1, **_tokens(event)} for event in events)


def cost_rows(events: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows of provider__costs, one for each event that has an amount."""
    return numbered(
        {
            **_place(event),
            "line_item": event.get("kind"),
            "requests": 1,
            "amount": amount(cents),
            "cost_unit": "cent",
            "currency": "USD",
            "is_cash": is_cash(event),
        }
        for event in events
        if (cents := charged(event)) is not None
    )


def charged(event: Row) -> Any:
    """What an event costs, in cents; None for one that is counted in requests only."""
    if event.get("chargedCents") is not None:
        return event["chargedCents"]
    tokens = number(as_object(event.get("tokenUsage")).get("totalCents"))
    return None if tokens is None else tokens + (number(event.get("cursorTokenFee")) or Decimal(0))


def is_cash(event: Row) -> bool:
    """Whether an event is paid for; else a plan or a grant covers it, or it failed."""
    said = event.get("isChargeable")
    if isinstance(said, bool):
        return said
    kind = str(event.get("kind") or "").lower().replace("_", " ")
    return not event.get("isFreeBugbot") and not any(word in kind for word in _NOT_PAID)


def unpriced(events: Iterable[Row]) -> int:
    """How many events are paid for without an amount."""
    return sum(charged(event) is None and is_cash(event) for event in events)


def moment_of(event: Row) -> datetime | None:
    """The naive UTC time of an event; None when it has none."""
    found = number(event.get("timestamp"))
    return None if found is None else _EPOCH + int(found) * _MILLISECOND


def milliseconds(moment: datetime) -> int:
    """A naive UTC time as Cursor wants it."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _place(event: Row) -> dict[str, Any]:
    moment = moment_of(event)
    email = event.get("userEmail")
    others = {ours: event[theirs] for ours, theirs in _DIMENSIONS.items() if event.get(theirs) is not None}
    return {
        "provider": "cursor",
        **(bucket(moment, moment + _MILLISECOND, LOOK_BACK[-1]) if moment else {}),
        "profile": "primary",
        "grouping": _GROUPING,
        "user_id": str(email).lower() if email else None,
        "model": event.get("model"),
        "dimensions": others or None,
        "raw": event,
    }


def _tokens(event: Row) -> dict[str, Any]:
    used = as_object(event.get("tokenUsage"))
    names = ("inputTokens", "cacheReadTokens", "cacheWriteTokens")
    parts = [part for name in names if (part := number(used.get(name))) is not None]
    return {
        "input_tokens": amount(sum(parts)) if parts else None,
        "cache_read_tokens": amount(used.get("cacheReadTokens")),
        "cache_write_5m_tokens": amount(used.get("cacheWriteTokens")),
        "output_tokens": amount(used.get("outputTokens")),
    }


def member_rows(members: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__members`, under the address that events call a person by."""
    for member in members:
        if email := member.get("email"):
            yield {
                "member_type": "user",
                "member_id": str(email).lower(),
                "name": member.get("name"),
                "email": email,
                "status": "removed" if member.get("isRemoved") else "active",
                "is_deleted": bool(member.get("isRemoved")),
                "raw": {name: member[name] for name in ("id", "role") if name in member},
            }


def limit_rows(spends: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__limits`: of everybody who has a limit, in dollars for a billing cycle."""
    for spend in spends:
        limit = _limit(spend)
        if limit is not None:
            yield {
                "limit_id": _limit_id(spend),
                "name": spend.get("name"),
                "limit_kind": "budget",
                "scope_type": "user",
                "scope": {"user": _address(spend)},
                "counter_keys": ["user"],
                "measure": "cost",
                "limit_value": amount(limit),
                "limit_unit": "usd",
                "window_unit": "month",
                "window_length": 1,
                "window_anchor": "billing_cycle",
                "enforcement": "enforce",
                "evaluation": "all_match",
                "alert_thresholds": [],
                "raw": {name: spend[name] for name in _LIMITS if name in spend},
            }


def limit_usage_rows(spends: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows of `gateway__limit_usage`: what everybody spent in this billing cycle beyond what is included."""
    for spend in spends:
        cycle, limit = number(spend.get("subscriptionCycleStart")), _limit(spend)
        used = number(spend.get("spendCents"))
        is_known = used is not None and limit is not None
        yield {
            "limit_id": _limit_id(spend),
            "entity": _address(spend),
            "period_start": None if cycle is None else (_EPOCH + int(cycle) * _MILLISECOND).isoformat() + "Z",
            "used_value": amount(used),
            "used_unit": "us_cent",
            "limit_value": amount(limit),
            "status": ("exhausted" if used >= limit * 100 else "active") if is_known else None,  # type: ignore[operator]
            "raw": dict(spend),
        }


_LIMITS = ("monthlyLimitDollars", "hardLimitOverrideDollars")


def _limit(spend: Row) -> Decimal | None:
    """The limit of a person in dollars; an override of 0 is none."""
    limit, override = (number(spend.get(name)) for name in _LIMITS)
    return limit if limit is not None else override or None


def _limit_id(spend: Row) -> str:
    return f"user:{_address(spend) or spend.get('userId')}"


def _address(spend: Row) -> str | None:
    """What events and members call a person."""
    return str(spend["email"]).lower() if spend.get("email") else None


ABOUT = About(
    title="Cursor",
    grain="A usage event: a call of a model, as Cursor charges it.",
    cost="`chargedCents`, the model's cost and Cursor's fee, in US cents. What a plan includes is there with"
    " `is_cash = false` and not part of the bill. Seats are not in it: give them in `rules/seats.csv`. Events that are"
    " charged by request have no amount, and the load says how many.",
    tokens="Input, cache reads and cache writes are apart; their sum is the input here. Some events tell no tokens.",
    attribution="The e-mail address of the person, the model, the kind of event.",
    lateness="Cursor adds up by the hour. A day is there when it is over, and is asked for again after a day and after"
    " three.",
    cannot_tell="Which request of a gateway an event is: events have no id. Keys and projects.",
    api="`POST /teams/filtered-usage-events`, `/teams/spend` and `GET /teams/members`, with a key of the Admin API (a"
    " team's administrator makes it). Cursor allows 20 questions a minute, of 100 events each.",
    settings=(
        Setting("api_key", "key of the Admin API", is_secret=True, is_required=True),
        Setting("base_url", "`https://api.cursor.com` if not given"),
    ),
)
