"""The questions that people bring, answered from the public marts.

Only queries and typed rows. Amounts are exact USD, times are UTC. The parts of a breakdown (the top names,
the others, the unallocated) add up to its total.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from llm_spend.answers.bills import RECONCILIATION, Bills, bills
from llm_spend.answers.formats import month_name, ratio
from llm_spend.answers.known import KNOWN_SQL, known_usage
from llm_spend.answers.marts import MARTS, MODEL_NAME, UNALLOCATED, Marts, nothing_loaded, open_marts
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.months import back, month_of, next_month

_USER, _FEATURE = "llm_usage_by_user_daily", "llm_usage_by_feature_daily"
_TEAM, _CUSTOMER = "llm_usage_by_team_daily", "llm_usage_by_customer_daily"
_MODEL = "llm_usage_by_model_daily"
_REQUESTS = "fct_llm_requests"
_BREACHES, _RULES, _QUOTA_USAGE = "llm_quota_breaches", "llm_quota_rules", "llm_quota_usage"
_LINES, _STATEMENTS = "llm_chargeback_lines", "llm_chargeback_statements"
_UNPRICED, _HEALTH = "llm_unpriced_models", "llm_source_health"
_TABLES = frozenset(
    {_USER, _FEATURE, _TEAM, _CUSTOMER, _MODEL, _REQUESTS, _BREACHES, _RULES, _QUOTA_USAGE}
    | {_LINES, _STATEMENTS, RECONCILIATION, _UNPRICED, _HEALTH}
)


@dataclass(frozen=True)
class Usage:
    """Measures of the usage marts, summed. `unpriced_attempts` have no cost and are in no amount."""

    requests: int
    attempts: int
    tokens: int | None
    cost_usd: Decimal | None
    unpriced_attempts: int
    unpriced_tokens: int | None


@dataclass(frozen=True)
class Part:
    """One name of a breakdown, or all the others in one (`names` of them), or what belongs to nobody."""

    kind: Literal["top", "others", "unallocated"]
    name: str | None
    names: int
    usage: Usage
    share_of_cost: Decimal | None


@dataclass(frozen=True)
class Breakdown:
    """The usage of a month by one dimension; `parts` are in order and add up to `total`."""

    table: str
    ranked_by: Literal["cost_usd", "tokens"]
    parts: tuple[Part, ...]
    total: Usage


@dataclass(frozen=True)
class Breach:
    """A quota that was exceeded, and the request that crossed it.

    `used`, `limit_to` and `overage` are in `unit`: whole requests or tokens, or USD.
    """

    breached_at: datetime
    rule_id: str
    subject_type: str
    subject: str
    unit: str | None
    limit_to: Decimal | int
    used: Decimal | int
    overage: Decimal | int
    observed_blocks: int | None
    request_key: str
    request_model: str | None
    request_user_id: str | None


@dataclass(frozen=True)
class Quotas:
    """The quota breaches of a month, latest first. `highest_used_ratio` over its windows: 1 = the limit."""

    table: str
    rules: int
    breaches: int
    latest: tuple[Breach, ...]
    highest_used_ratio: Decimal | None


@dataclass(frozen=True)
class Statement:
    """What a team pays for the month, whole cents; None when no cost is known."""

    cost_center_id: str
    team_id: str
    total_usd: Decimal | None
    share_of_bill: Decimal | None
    unpriced_attempts: int


@dataclass(frozen=True)
class CostCenter:
    """What a cost centre pays: the sum of its statements."""

    cost_center_id: str
    total_usd: Decimal | None


@dataclass(frozen=True)
class Chargeback:
    """The month's statements, highest cost centre and team first, and the bill that they have to add up to.

    `bill_usd` is the sum of the bills per provider, each rounded to cents once; `exact_usd` is not rounded.
    """

    table: str
    cost_centers: tuple[CostCenter, ...]
    statements: tuple[Statement, ...]
    total_usd: Decimal | None
    bill_usd: Decimal | None
    bill_by_provider: tuple[tuple[str, Decimal | None], ...]
    exact_usd: Decimal | None
    is_closed: bool | None
    is_whole: bool


@dataclass(frozen=True)
class Unpriced:
    """Usage of all months without a cost: one model without a price, or all models with one other reason.

    `tokens` is None when the reason is that nobody counted them.
    """

    reason: str
    model: str | None
    models: int
    attempts: int
    tokens: int | None
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True)
class UnpricedUsage:
    """Everything without a cost: of the month as shares, of every month by reason, most tokens first."""

    table: str
    share_of_attempts: Decimal | None
    share_of_tokens: Decimal | None
    reasons: tuple[Unpriced, ...]


@dataclass(frozen=True)
class Unallocated:
    """What of the month belongs to no user, team, ...; `reasons` counts attempts by why, most first."""

    dimension: str
    attempts: int
    share_of_attempts: Decimal | None
    cost_usd: Decimal | None
    share_of_cost: Decimal | None
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class UnallocatedUsage:
    """The unallocated usage of the month, by dimension."""

    table: str
    dimensions: tuple[Unallocated, ...]


@dataclass(frozen=True)
class Quality:
    """What could not be read or was left out, of everything that was loaded."""

    table: str
    lines_quarantined: int
    duplicate_rows: int
    attempts: int
    attempts_with_unreadable_metadata: int
    attempts_without_usage: int


@dataclass(frozen=True)
class Answers:
    """Everything that the screen answers. `last_usage_date` is the last day of the month that has usage."""

    month: date
    first_usage_date: date
    last_usage_date: date
    total: Usage
    previous_month: date
    previous_cost_usd: Decimal | None
    users: Breakdown
    features: Breakdown
    teams: Breakdown
    customers: Breakdown
    models: Breakdown
    quotas: Quotas
    chargeback: Chargeback
    bills: Bills
    unpriced: UnpricedUsage
    unallocated: UnallocatedUsage
    quality: Quality


@dataclass(frozen=True)
class _Month:
    """The marts, and the month to ask them about: `start` included, `end` not."""

    marts: Marts
    start: date
    end: date
    top: int = 5

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.marts.rows(sql, *parameters)


_SUMS = """
    cast(sum(requests) as bigint), cast(sum(attempts) as bigint), cast(sum(total_tokens) as bigint),
    sum(cost_usd),
    cast(sum(unpriced_requests) as bigint), cast(sum(unpriced_tokens) as bigint)
"""


def answers(destination: Destination, month: date | None = None, *, top: int = 5) -> Answers:
    """Answer everything for one month: the one that `month` lies in, or the latest with usage.

    Raises UserError when there is nothing to answer from, or no usage in that month.
    """
    with open_marts(destination, _TABLES) as marts:
        start = _chosen_month(marts, destination, month)
        asked = _Month(marts, start, next_month(start), top)
        first, last = asked.rows(
            f"select min(usage_date), max(usage_date) from {MARTS}.{_TEAM} where usage_date >= ? and usage_date < ?",
            asked.start,
            asked.end,
        )[0]
        previous = back(start, 1)
        teams = _breakdown(asked, _TEAM, "team_id")
        return Answers(
            month=start,
            first_usage_date=first,
            last_usage_date=last,
            total=teams.total,
            previous_month=previous,
            previous_cost_usd=_total(_Month(marts, previous, start), _TEAM).cost_usd,
            users=_breakdown(asked, _USER, "user_id", ranked_by="tokens"),
            features=_breakdown(asked, _FEATURE, "feature_id"),
            teams=teams,
            customers=_breakdown(asked, _CUSTOMER, "customer_id"),
            models=_breakdown(asked, _MODEL, _MODEL_NAME),
            quotas=_quotas(asked),
            chargeback=_chargeback(asked),
            bills=bills(marts, start),
            unpriced=_unpriced(asked, teams.total),
            unallocated=_unallocated(asked),
            quality=_quality(asked),
        )


_MODEL_NAME = f"coalesce(provider, '(unknown)') || ' / ' || {MODEL_NAME}"


def _chosen_month(marts: Marts, destination: Destination, month: date | None) -> date:
    known = known_usage(marts.rows(KNOWN_SQL)[0])
    if known is None:
        raise nothing_loaded(destination)
    if month is None:
        return month_of(known.as_of)
    start = month_of(month)
    used = f"select 1 from {MARTS}.{_TEAM} where usage_date >= ? and usage_date < ? limit 1"
    if not marts.rows(used, start, next_month(start)):
        raise UserError(
            f"{destination.label} has no usage in {month_name(start)}.",
            f"It has usage from {known.first} to {known.last}.",
        )
    return start


def _usage(row: tuple[Any, ...]) -> Usage:
    requests, attempts, tokens, cost_usd, unpriced_attempts, unpriced_tokens = row
    # No row at all: nothing was requested, and that is known; what it cost is not a number.
    return Usage(requests or 0, attempts or 0, tokens, cost_usd, unpriced_attempts or 0, unpriced_tokens)


def _total(asked: _Month, table: str) -> Usage:
    return _usage(
        asked.rows(
            f"select {_SUMS} from {MARTS}.{table} where usage_date >= ? and usage_date < ?",
            asked.start,
            asked.end,
        )[0]
    )


def _breakdown(
    asked: _Month, table: str, name_sql: str, ranked_by: Literal["cost_usd", "tokens"] = "cost_usd"
) -> Breakdown:
    """The top names, all others in one part, and the unallocated part; parts that are empty are left out."""
    column = "total_tokens" if ranked_by == "tokens" else "cost_usd"
    other_column = "cost_usd" if ranked_by == "tokens" else "total_tokens"
    rows = asked.rows(
        f"""
        with named as (
            select
                {name_sql} as name, sum(requests) as requests, sum(attempts) as attempts,
                sum(total_tokens) as total_tokens, sum(cost_usd) as cost_usd,
                sum(unpriced_requests) as unpriced_requests, sum(unpriced_tokens) as unpriced_tokens
            from {MARTS}.{table}
            where usage_date >= ? and usage_date < ?
            group by {name_sql}
        ),

        ranked as (
            select
                *,
                row_number() over (
                    partition by name = '{UNALLOCATED}'
                    order by {column} desc nulls last, {other_column} desc nulls last, name
                ) as rank
            from named
        ),

        placed as (
            select
                *,
                case
                    when name = '{UNALLOCATED}' then 'unallocated' when rank <= ? then 'top' else 'others'
                end as part
            from ranked
        )

        select part, case when part = 'top' then name end as shown, count(*), {_SUMS}
        from placed
        group by part, shown
        order by
            case part when 'top' then 1 when 'others' then 2 else 3 end,
            min(rank)
        """,
        asked.start,
        asked.end,
        asked.top,
    )
    total = _total(asked, table)
    parts = []
    for kind, name, names, *measures in rows:
        usage = _usage(tuple(measures))
        parts.append(Part(kind, name, names, usage, ratio(usage.cost_usd, total.cost_usd)))
    return Breakdown(f"{MARTS}.{table}", ranked_by, tuple(parts), total)


def _quotas(asked: _Month) -> Quotas:
    rules = asked.rows(f"select count(distinct rule_key) from {MARTS}.{_RULES}")[0][0]
    in_month = "voided_at is null and breached_at >= ? and breached_at < ?"
    found = asked.rows(f"select count(*) from {MARTS}.{_BREACHES} where {in_month}", asked.start, asked.end)[0][0]
    latest = asked.rows(
        f"""
        with breaches as (
            select * from {MARTS}.{_BREACHES}
            where {in_month}
            order by breached_at desc, rule_id, subject
            limit ?
        )

        select
            breaches.breached_at, breaches.rule_id, breaches.subject_type, breaches.subject, breaches.unit,
            breaches.limit_to, breaches.used, breaches.overage, breaches.observed_blocks,
            breaches.breach_request_key, coalesce(requests.model_id, requests.resolved_model),
            requests.user_id
        from breaches
        left join {MARTS}.{_REQUESTS} as requests on breaches.breach_request_key = requests.request_key
        order by breaches.breached_at desc, breaches.rule_id, breaches.subject
        """,
        asked.start,
        asked.end,
        asked.top,
    )
    highest = asked.rows(
        f"select max(used_ratio) from {MARTS}.{_QUOTA_USAGE} where window_start >= ? and window_start < ?",
        asked.start,
        asked.end,
    )[0][0]
    return Quotas(f"{MARTS}.{_BREACHES}", rules, found, tuple(_breach(row) for row in latest), highest)


def _breach(row: tuple[Any, ...]) -> Breach:
    """From the columns in the order of Breach. The mart has all amounts as decimals."""
    breach = Breach(*row)
    if breach.unit is None or breach.unit.startswith("cost"):
        return breach
    return replace(breach, limit_to=int(breach.limit_to), used=int(breach.used), overage=int(breach.overage))


def _chargeback(asked: _Month) -> Chargeback:
    centers = [
        CostCenter(*row)
        for row in asked.rows(
            f"""
            select cost_center_id, sum(total_usd) from {MARTS}.{_STATEMENTS} where billing_period = ?
            group by cost_center_id
            order by cost_center_id = '{UNALLOCATED}', sum(total_usd) desc nulls last, cost_center_id
            """,
            asked.start,
        )
    ]
    statements = [
        Statement(*row)
        for row in asked.rows(
            f"""
            select cost_center_id, team_id, total_usd, share_of_bill, unpriced_requests
            from {MARTS}.{_STATEMENTS}
            where billing_period = ?
            order by team_id = '{UNALLOCATED}', total_usd desc nulls last, team_id
            """,
            asked.start,
        )
    ]
    place = {center.cost_center_id: position for position, center in enumerate(centers)}
    total = asked.rows(f"select sum(total_usd) from {MARTS}.{_STATEMENTS} where billing_period = ?", asked.start)[0][0]
    lines = f"from {MARTS}.{_LINES} where billing_period = ?"
    bill, exact, closed = asked.rows(
        f"select sum(amount_usd), sum(exact_cost_usd), bool_and(is_closed) {lines}", asked.start
    )[0]
    by_provider = asked.rows(
        f"select provider, sum(amount_usd) as bill {lines} group by provider order by bill desc nulls last, provider",
        asked.start,
    )
    return Chargeback(
        table=f"{MARTS}.{_STATEMENTS}",
        cost_centers=tuple(centers),
        statements=tuple(sorted(statements, key=lambda statement: place[statement.cost_center_id])),
        total_usd=total,
        bill_usd=bill,
        bill_by_provider=tuple((provider, amount) for provider, amount in by_provider),
        exact_usd=exact,
        is_closed=closed,
        is_whole=total == bill,
    )


def _unpriced(asked: _Month, total: Usage) -> UnpricedUsage:
    """Models without a price are named one by one: each wants one. Of other reasons only the size matters."""
    rows = asked.rows(
        f"""
        with named as (
            select *, {_MODEL_NAME} as model
            from {MARTS}.{_UNPRICED}
        )

        select
            price_status, case when price_status = 'unpriced' then model end as shown, count(distinct model),
            cast(sum(unpriced_requests) as bigint),
            cast(
                case
                    when price_status in ('no_usage', 'unmeasured') then nullif(sum(unpriced_tokens), 0)
                    else sum(unpriced_tokens)
                end as bigint
            ) as tokens,
            min(first_seen_at), max(last_seen_at)
        from named
        group by price_status, shown
        order by price_status = 'unpriced' desc, tokens desc nulls last, price_status, shown
        """
    )
    return UnpricedUsage(
        table=f"{MARTS}.{_UNPRICED}",
        share_of_attempts=ratio(total.unpriced_attempts, total.attempts),
        share_of_tokens=ratio(total.unpriced_tokens, total.tokens),
        reasons=tuple(Unpriced(*row) for row in rows),
    )


def _unallocated(asked: _Month) -> UnallocatedUsage:
    in_month = f"from {MARTS}.{_REQUESTS} where usage_date >= ? and usage_date < ? and is_of_record"
    attempts, cost = asked.rows(f"select count(*), sum(cost_usd) {in_month}", asked.start, asked.end)[0]
    found = []
    for dimension in ("user", "team", "feature", "customer"):
        nobody = f"{in_month} and {dimension}_id = '{UNALLOCATED}'"
        nobodys, nobodys_cost = asked.rows(f"select count(*), sum(cost_usd) {nobody}", asked.start, asked.end)[0]
        reasons = asked.rows(
            f"select coalesce({dimension}_attribution, 'unknown') as reason, count(*) as attempts {nobody}"
            " group by reason order by attempts desc, reason",
            asked.start,
            asked.end,
        )
        found.append(
            Unallocated(
                dimension,
                nobodys,
                ratio(nobodys, attempts),
                nobodys_cost if nobodys else Decimal(0),
                ratio(nobodys_cost if nobodys else Decimal(0), cost),
                tuple((reason, number) for reason, number in reasons),
            )
        )
    return UnallocatedUsage(f"{MARTS}.{_REQUESTS}", tuple(found))


def _quality(asked: _Month) -> Quality:
    columns = (
        "lines_quarantined",
        "duplicate_rows",
        "attempts",
        "attempts_with_unreadable_metadata",
        "attempts_without_usage",
    )
    sums = ", ".join(f"cast(coalesce(sum({column}), 0) as bigint)" for column in columns)
    return Quality(f"{MARTS}.{_HEALTH}", *asked.rows(f"select {sums} from {MARTS}.{_HEALTH}")[0])
