"""Who LiteLLM knows and what it limits, from the rows of its tables: the database and the API have the same ones.

A budget is an amount for a period. It stands in the row of its owner, or in a row of budgets that owners share; each
owner has a counter of its own, `spend`, which goes back to 0 with every period. A key may have several budgets with
periods of their own (`budget_limits`) and budgets by model (`model_max_budget`). Amounts are USD.

Facts of the proxy: `1d` and `24h` end at midnight, `7d` on Monday, `30d` and `1mo` on the first of a month, in a time
zone that only its configuration tells, so it is the moment of the next reset that counts; other periods, and all of
them in older versions, are counted from when they were set. A rise of a budget that has ended counts no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from llm_spend.log import redact

Row = Mapping[str, Any]
"""A row of a table of the proxy, by column; columns that its version lacks are missing."""

_LIMITS = ("max_budget", "soft_budget", "budget_duration", "budget_reset_at", "budget_id", "model_max_budget")
_RATES = ("tpm_limit", "rpm_limit", "tpd_limit")
_TIMES = ("created_at", "deleted_at")

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "LiteLLM_VerificationToken": (
        "token", "key_alias", "user_id", "team_id", "project_id", "organization_id", "agent_id", "spend",
        "total_spend", "models", "blocked", "expires", "metadata", "settings_updated_at", "budget_limits",
        *_LIMITS, *_RATES, *_TIMES,
    ),
    "LiteLLM_TeamTable": (
        "team_id", "team_alias", "organization_id", "spend", "models", "blocked", "metadata", "budget_limits",
        *_LIMITS, *_RATES, *_TIMES,
    ),
    "LiteLLM_UserTable": (
        "user_id", "user_alias", "user_email", "user_role", "teams", "organization_id", "spend", "models", "metadata",
        *_LIMITS, *_RATES, *_TIMES,
    ),
    "LiteLLM_EndUserTable": ("user_id", "alias", "spend", "blocked", "budget_id"),
    "LiteLLM_OrganizationTable": (
        "organization_id", "organization_alias", "spend", "models", "metadata", "budget_id", *_TIMES,
    ),
    "LiteLLM_ProjectTable": (
        "project_id", "project_alias", "description", "team_id", "spend", "models", "blocked", "metadata", "budget_id",
        *_TIMES,
    ),
    "LiteLLM_TagTable": ("tag_name", "description", "spend", "models", "budget_id", *_TIMES),
    "LiteLLM_TeamMembership": ("user_id", "team_id", "spend", "total_spend", "budget_id"),
    "LiteLLM_BudgetTable": (*_LIMITS, *_RATES, "temp_budget_increase", "temp_budget_expiry"),
    "LiteLLM_BudgetWindowSpend": ("entity_type", "entity_id", "window_duration", "window_start", "spend"),
}  # fmt: skip
"""The columns of each table that say something here. No key, no password and no prompt is among them."""

ARCHIVES: Mapping[str, str] = {
    "LiteLLM_VerificationToken": "LiteLLM_DeletedVerificationToken",
    "LiteLLM_TeamTable": "LiteLLM_DeletedTeamTable",
}
"""By table where its deleted rows go, with the same columns."""


@dataclass(frozen=True)
class Owner:
    """Rows of a table that own something: what they are called here, and in which columns they say what."""

    member_type: str
    table: str
    id: str
    name: str
    entity_type: str = ""
    """How the proxy calls them where it counts their periods."""

    def identify(self, row: Row) -> str:
        return str(row.get(self.id) or "")


KEY = Owner("api_key", "LiteLLM_VerificationToken", "token", "key_alias", "key")
TEAM = Owner("team", "LiteLLM_TeamTable", "team_id", "team_alias", "team")
USER = Owner("user", "LiteLLM_UserTable", "user_id", "user_alias", "user")
END_USER = Owner("end_user", "LiteLLM_EndUserTable", "user_id", "alias", "end_user")
ORGANIZATION = Owner(
    "organization", "LiteLLM_OrganizationTable", "organization_id", "organization_alias", "organization"
)
PROJECT = Owner("project", "LiteLLM_ProjectTable", "project_id", "project_alias", "project")
TAG = Owner("tag", "LiteLLM_TagTable", "tag_name", "tag_name", "tag")
OWNERS = (KEY, TEAM, USER, END_USER, ORGANIZATION, PROJECT, TAG)

_SECRET = re.compile(r"(?i)secret|token|password|passwd|credential|(api|private|access)_?key|auth(?!or(?!i))|cookie")
# Who knows the address of a webhook may post to it: its path is the key.
_SECRET_URL = re.compile(r"(?i)://[^/\s?#]*@|://\S*hook|hooks\.slack\.com|api\.telegram\.org|maker\.ifttt\.com")
_KEPT = ("max_budget", "budget_duration", "budget_id", "models", "user_role", "description", "project_id", "agent_id")


def members(owner: Owner, rows: Iterable[Row], *, are_deleted: bool = False) -> Iterator[dict[str, Any]]:
    """A row of `gateway__members` each. What the proxy counts is left out: it would be a change with every call."""
    for row in rows:
        # A tag is what limits say it is: nobody that could be looked up.
        if owner is TAG or not owner.identify(row):
            continue
        yield {
            "member_type": owner.member_type,
            "member_id": owner.identify(row),
            "name": row.get(owner.name),
            "email": row.get("user_email"),
            "status": "deleted" if are_deleted else "blocked" if row.get("blocked") is True else "active",
            "is_deleted": are_deleted,
            **_belongs_to(owner, row),
            "team_ids": _teams(owner, row),
            "organization_id": None if owner is ORGANIZATION else row.get("organization_id"),
            "created_at": _moment_text(row.get("created_at")),
            "updated_at": _moment_text(row.get("settings_updated_at")),
            "expires_at": _moment_text(row.get("expires")),
            "deleted_at": _moment_text(row.get("deleted_at")),
            "metadata": plain_metadata(row.get("metadata")),
            "raw": {name: kept for name in _KEPT if (kept := _harmless(row.get(name))) not in (None, [], "")},
        }


def plain_metadata(metadata: Any) -> dict[str, Any]:
    """What people tagged a member with: the texts, numbers and lists of them; callbacks with their keys are objects."""
    document = _document(metadata)
    if not isinstance(document, dict):
        return {}
    plain = {
        name: _harmless(value) for name, value in document.items() if not _SECRET.search(name) and _is_plain(value)
    }
    return {name: value for name, value in plain.items() if value is not None}


def _harmless(value: Any) -> Any:
    """A value without what looks like a secret; None for an address that is one."""
    if isinstance(value, list):
        return [kept for each in value if (kept := _harmless(each)) is not None]
    if not isinstance(value, str):
        return value
    return None if _SECRET_URL.search(value) else redact(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, str | int | float | bool) for each in value)
    return isinstance(value, str | int | float | bool)


def _belongs_to(owner: Owner, row: Row) -> dict[str, Any]:
    if owner is KEY:
        for owner_type, name in (("user", "user_id"), ("team", "team_id")):
            if row.get(name):
                return {"owner_type": owner_type, "owner_id": row[name]}
    if owner is PROJECT and row.get("team_id"):
        return {"owner_type": "team", "owner_id": row["team_id"]}
    return {"owner_type": None, "owner_id": None}


def _teams(owner: Owner, row: Row) -> list[str]:
    found = row.get("teams") if owner is USER else [row.get("team_id")]
    return [] if owner is TEAM else [team for team in found or [] if isinstance(team, str) and team]


@dataclass(frozen=True)
class Limit:
    """One limit of an owner and what was counted against it; amounts as text of a number."""

    limit_id: str
    name: str
    scope_type: str
    scope: Mapping[str, str]
    measure: str
    limit_value: str
    period: Period
    enforcement: str = "enforce"
    status: str = "active"
    next_reset_at: datetime | None = None
    used: str | None = None
    used_from: datetime | None = None
    raw: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Period:
    """How long a limit counts: `unit` as in `gateway__limits`, None where it is none of those."""

    unit: str | None
    length: int | None
    anchor: str | None

    def start(self, end: datetime) -> datetime | None:
        """When a period began that ends at a moment, where that is sure."""
        match self.unit:
            case "minute" | "hour":
                return end - timedelta(**{f"{self.unit}s": self.length or 1})
            case "day" | "days":
                return end - timedelta(days=self.length or 1)
            case "week":
                return end - timedelta(days=7)
            case "month":
                # Older proxies took 30 days for a month.
                return _months_before(end, self.length or 1) if end.day == 1 else None
            case _:
                return None


MINUTE, DAY = Period("minute", 1, "rolling"), Period("day", 1, "utc_midnight")
LIFETIME = Period("lifetime", None, None)
_RATE_WINDOWS = (("tpm_limit", "tokens", MINUTE), ("rpm_limit", "requests", MINUTE), ("tpd_limit", "tokens", DAY))
_WORDS = {"hourly": "1h", "daily": "24h", "weekly": "7d", "monthly": "30d"}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAY = 86400


def period(duration: Any) -> Period:
    """What a `budget_duration` means; none is the life of its owner, an unknown one has no unit."""
    if not duration:
        return LIFETIME
    text = str(duration).strip().lower()
    found = re.fullmatch(r"(\d+)\s*(mo|[smhdw])", _WORDS.get(text, text))
    if not found or not int(found[1]):
        return Period(None, None, "next_reset_at")
    count, unit = int(found[1]), found[2]
    if unit == "mo":
        return Period("month", count, "next_reset_at")
    return _fixed_period(count * _UNITS[unit])


def _fixed_period(seconds: int) -> Period:
    for unit, length in (("month", 30 * _DAY), ("week", 7 * _DAY)):
        if seconds == length:
            return Period(unit, 1, "next_reset_at")
    for unit, length in (("days", _DAY), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            count = seconds // length
            return Period("day" if unit == "days" and count == 1 else unit, count, "next_reset_at")
    return Period(None, None, "next_reset_at")


@dataclass(frozen=True)
class Counters:
    """Budgets that owners share, by id, and what was counted in periods of their own, by owner and duration."""

    budgets: Mapping[str, Row]
    windows: Mapping[tuple[str, str, str], Row]

    @staticmethod
    def of(budgets: Iterable[Row], windows: Iterable[Row] = ()) -> Counters:
        return Counters(
            {str(row["budget_id"]): row for row in budgets if row.get("budget_id")},
            {(str(row["entity_type"]), str(row["entity_id"]), str(row["window_duration"])): row for row in windows},
        )


@dataclass(frozen=True)
class _Holder:
    """Who is limited: `row` says how, and `counted_as` where what he used in other periods is counted."""

    prefix: str
    scope_type: str
    scope: Mapping[str, str]
    label: str
    row: Row
    counted_as: tuple[str, str] = ("", "")

    def limit(self, name: str, measure: str, value: str, window: Period, **others: Any) -> Limit:
        """A limit of his, with a name that no other one of his has."""
        values: dict[str, Any] = {
            "scope": self.scope,
            "status": "blocked" if self.row.get("blocked") is True else "active",
            **others,
        }
        return Limit(
            f"{self.prefix}:{name}",
            f"{self.label}: {name}",
            self.scope_type,
            measure=measure,
            limit_value=value,
            period=window,
            **values,
        )


def limits_of(owner: Owner, rows: Iterable[Row], counters: Counters, now: datetime) -> Iterator[Limit]:
    """Every limit of owners of a kind, at a moment (naive UTC)."""
    for row in rows:
        if member := owner.identify(row):
            kind, label = owner.member_type, str(row.get(owner.name) or member)
            holder = _Holder(f"{kind}:{member}", kind, {kind: member}, label, row, (owner.entity_type, member))
            yield from _limits(holder, counters, now)


def limits_of_memberships(rows: Iterable[Row], counters: Counters, now: datetime) -> Iterator[Limit]:
    """What each user may spend in a team."""
    for row in rows:
        if (user := row.get("user_id")) and (team := row.get("team_id")):
            holder = _Holder(
                f"membership:{team}:{user}", "user", {"team": team, "user": user}, f"{user} in {team}", row
            )
            yield from _limits(holder, counters, now)


def _limits(holder: _Holder, counters: Counters, now: datetime) -> Iterator[Limit]:
    row = holder.row
    shared = counters.budgets.get(str(row.get("budget_id") or ""), {})
    # What its own row says wins over the budget that it shares.
    terms = {name: _first(row.get(name), shared.get(name)) for name in (*_LIMITS, *_RATES)}
    raises = (shared, plain_metadata(row.get("metadata")))
    whole, resets = period(terms["budget_duration"]), _moment(terms["budget_reset_at"])
    counted = {
        "next_reset_at": resets,
        "used": amount(row.get("spend")),
        "used_from": whole.start(resets) if resets else None,
        "raw": {name: row[name] for name in ("budget_id", "total_spend") if row.get(name) is not None}
        | ({"budget_duration": terms["budget_duration"]} if terms["budget_duration"] else {}),
    }
    if (limit := amount(terms["max_budget"])) is not None:
        yield holder.limit("max_budget", "cost", _raised(limit, raises, now), whole, **counted)
    if (limit := amount(terms["soft_budget"])) is not None:
        yield holder.limit("soft_budget", "cost", limit, whole, enforcement="soft", **counted)
    yield from _rates(holder, "", terms, holder.scope)
    yield from _limits_by_model(holder, terms["model_max_budget"])
    yield from _limits_by_period(holder, counters)


def _rates(holder: _Holder, suffix: str, terms: Row, scope: Mapping[str, str]) -> Iterator[Limit]:
    for name, measure, window in _RATE_WINDOWS:
        if (limit := amount(terms.get(name))) is not None:
            yield holder.limit(f"{name}{suffix}", measure, limit, window, scope=scope)


def _limits_by_model(holder: _Holder, budgets: Any) -> Iterator[Limit]:
    for model, terms in (_document(budgets) or {}).items():
        values = terms if isinstance(terms, dict) else {"max_budget": terms}
        scope, suffix = {**holder.scope, "model": model}, f":{model}"
        whole = period(_first(values.get("budget_duration"), values.get("time_period")))
        if (limit := amount(_first(values.get("max_budget"), values.get("budget_limit")))) is not None:
            yield holder.limit(f"max_budget{suffix}", "cost", limit, whole, scope=scope)
        yield from _rates(holder, suffix, values, scope)


def _limits_by_period(holder: _Holder, counters: Counters) -> Iterator[Limit]:
    for entry in _document(holder.row.get("budget_limits")) or []:
        if not isinstance(entry, dict) or (limit := amount(entry.get("max_budget"))) is None:
            continue
        duration = str(entry.get("budget_duration") or "")
        counted = counters.windows.get((*holder.counted_as, duration), {})
        yield holder.limit(
            f"max_budget:{duration}",
            "cost",
            limit,
            period(duration),
            next_reset_at=_moment(entry.get("reset_at")),
            used=amount(counted.get("spend")),
            used_from=_moment(counted.get("window_start")),
            raw={"budget_duration": duration},
        )


def limit_row(limit: Limit) -> dict[str, Any]:
    """A row of `gateway__limits`."""
    return {
        "limit_id": limit.limit_id,
        "name": limit.name,
        "limit_kind": "budget" if limit.measure == "cost" else "rate_limit",
        "scope_type": limit.scope_type,
        "scope": dict(limit.scope),
        "counter_keys": sorted(limit.scope),
        "measure": limit.measure,
        "limit_value": limit.limit_value,
        "limit_unit": {"cost": "usd", "requests": "count", "tokens": "tokens"}[limit.measure],
        "window_unit": limit.period.unit,
        "window_length": limit.period.length,
        "window_anchor": limit.period.anchor,
        "enforcement": limit.enforcement,
        "evaluation": "all_match",
        "rule_order": None,
        "alert_thresholds": [],
        "status": limit.status,
        "next_reset_at": _moment_text(limit.next_reset_at),
        "raw": dict(limit.raw or {}),
    }


def usage_row(limit: Limit) -> dict[str, Any] | None:
    """A row of `gateway__limit_usage`, for a limit that the proxy counts in its database."""
    if limit.used is None:
        return None
    is_spent = Decimal(limit.used) >= Decimal(limit.limit_value)
    return {
        "limit_id": limit.limit_id,
        "entity": ":".join(limit.scope[key] for key in sorted(limit.scope)),
        "period_start": _moment_text(limit.used_from),
        "period_end": _moment_text(limit.next_reset_at),
        "used_value": limit.used,
        "used_unit": "usd",
        "limit_value": limit.limit_value,
        "status": "exhausted" if is_spent and limit.enforcement == "enforce" else limit.status,
        "raw": dict(limit.raw or {}),
    }


def limit_rows(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Rows of `gateway__limits`."""
    return [limit_row(limit) for limit in limits]


def usage_rows(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Rows of `gateway__limit_usage`."""
    return [row for limit in limits if (row := usage_row(limit))]


def amount(value: Any) -> str | None:
    """An amount as text of a number without an exponent; None for nothing and for what is no number."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return format(found, "f") if found.is_finite() else None


def _raised(limit: str, terms: Iterable[Row], now: datetime) -> str:
    """A budget with its rises that are not over: of a shared budget, and of a key, whose metadata has it."""
    for each in terms:
        rise, ends = amount(each.get("temp_budget_increase")), _moment(each.get("temp_budget_expiry"))
        if rise is not None and ends and ends > now:
            limit = format(Decimal(limit) + Decimal(rise), "f")
    return limit


def _document(value: Any) -> Any:
    """A JSON document, that may be text."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _first(*values: Any) -> Any:
    return next((value for value in values if value not in (None, {}, [])), None)


def _moment(value: Any) -> datetime | None:
    """A naive UTC time from a time or from ISO text, which means UTC when it has no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _moment_text(value: Any) -> str | None:
    moment = _moment(value)
    return f"{moment.isoformat()}Z" if moment else None


def _months_before(first: datetime, months: int) -> datetime:
    """The first day of a month that was so many months before another one."""
    year, month = divmod(first.year * 12 + first.month - 1 - months, 12)
    return first.replace(year=year, month=month + 1)
