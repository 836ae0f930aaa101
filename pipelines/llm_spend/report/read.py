"""Read what the report is made of: queries on the public marts."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from llm_spend.answers.bills import RECONCILIATION, bills
from llm_spend.answers.formats import month_name
from llm_spend.answers.known import KNOWN_SQL, KNOWN_TABLES, Known, known_usage
from llm_spend.answers.marts import MARTS, MODEL_NAME, UNRESOLVED, Marts, nothing_loaded, open_marts
from llm_spend.answers.sources import status
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.months import back, last_day, month_of
from llm_spend.report.cube import USAGE, read_usage
from llm_spend.report.found import (
    LINE_TYPES,
    Breach,
    Budget,
    Cause,
    Found,
    Listed,
    Performance,
    Quota,
    Statement,
    UnpricedModel,
)
from llm_spend.report.insights import TABLES as INSIGHTS
from llm_spend.report.insights import read_insights
from llm_spend.report.periods import inside
from llm_spend.report.tags import TAGS, read_tags

MONTHS = 13
"""Those that the report has: the month and the year before it."""

# Together some four megabytes in the file.
_MOST_JOINT_ROWS = 120_000
_MOST_ROWS_OF_ONE = 25_000
_MOST_TAG_ROWS = 40_000
_MOST_SERIES = 40
_MOST_QUOTAS = 15
_MOST_BREACHES = 30

_PERFORMANCE = "llm_performance_daily"
_BUDGETS, _QUOTAS, _BREACHES = "llm_budget_status", "llm_quota_usage", "llm_quota_breaches"
_STATEMENTS, _LINES = "llm_chargeback_statements", "llm_chargeback_lines"
_UNPRICED, _RULES = "llm_unpriced_models", "llm_quota_rules"
_TABLES = KNOWN_TABLES.union(
    INSIGHTS,
    (USAGE, TAGS, _PERFORMANCE, _BUDGETS, _QUOTAS, _BREACHES, _STATEMENTS, _LINES, RECONCILIATION, _UNPRICED, _RULES),
)


def read(
    destination: Destination,
    month: date | None,
    *,
    now: datetime,
    seeds: Path | None = None,
    billing_timezone: str = "UTC",
) -> Found:
    """Read the marts for the month that `month` lies in, or the latest with usage; `now` is a naive UTC time, `seeds` a
    folder of seeds that say what words mean, `billing_timezone` the setting.

    Raises UserError when nothing was loaded or built, and when there is no usage in the month.
    """
    state = status(destination, now=now)
    with open_marts(destination, _TABLES) as marts:
        start, known = _chosen_month(marts, destination, month)
        first = back(start, MONTHS - 1)
        performance, left_out = _performance(marts, back(start, 2), start)
        return Found(
            made_at=now,
            month=start,
            first=first,
            known=known,
            usage=read_usage(marts, first, start, most_rows=_MOST_JOINT_ROWS, most_rows_of_one=_MOST_ROWS_OF_ONE),
            tags=read_tags(marts, first, start, _MOST_TAG_ROWS),
            performance=performance,
            unresolved_models=_unresolved_models(marts, first, start),
            series_left_out=left_out,
            budgets=_budgets(marts, start),
            quotas=_quotas(marts, start),
            quota_rules=marts.rows(f"select count(distinct rule_key) from {MARTS}.{_RULES}")[0][0],
            breaches=_breaches(marts, start),
            statements=_statements(marts, start),
            bill_by_provider=_bill_by_provider(marts, start),
            bills=bills(marts, start),
            causes=_causes(marts, start),
            unpriced=_unpriced(marts),
            status=state,
            insights=read_insights(marts, start, seeds),
            billing_timezone=billing_timezone,
        )


def _chosen_month(marts: Marts, destination: Destination, month: date | None) -> tuple[date, Known]:
    known = known_usage(marts.rows(KNOWN_SQL)[0])
    if known is None:
        raise nothing_loaded(destination)
    start = month_of(month or known.as_of)
    used = f"select max(usage_date) from {MARTS}.{USAGE} where usage_date >= ? and usage_date <= ?"
    if marts.rows(used, start, last_day(start))[0][0] is None:
        raise UserError(
            f"{destination.label} has no usage in {month_name(start)}.",
            f"It has usage from {known.first} to {known.last}.",
        )
    return start, known


def _performance(marts: Marts, first: date, month: date) -> tuple[tuple[Performance, ...], int]:
    inside = "usage_date >= ? and usage_date <= ?"
    rows = marts.rows(
        f"""
        with ranked as (
            select
                provider, model_id, operation,
                row_number() over (order by sum(attempts) desc, provider, model_id, operation) as place
            from {MARTS}.{_PERFORMANCE}
            where {inside}
            group by provider, model_id, operation
        )

        select
            days.usage_date, days.provider, days.model_id, days.operation, days.attempts, days.failed_attempts,
            days.p50_latency_ms, days.p90_latency_ms, days.p99_latency_ms,
            days.p50_ttft_ms, days.p90_ttft_ms
        from {MARTS}.{_PERFORMANCE} as days
        inner join ranked
            on days.provider = ranked.provider
            and days.model_id = ranked.model_id
            and days.operation = ranked.operation
        where days.{inside.replace("and usage_date", "and days.usage_date")} and ranked.place <= {_MOST_SERIES}
        order by ranked.place, days.usage_date
        """,
        first,
        last_day(month),
        first,
        last_day(month),
    )
    series = marts.rows(
        f"select count(*) from (select distinct provider, model_id, operation from {MARTS}.{_PERFORMANCE}"
        f" where {inside}) as series",
        first,
        last_day(month),
    )[0][0]
    found = tuple(
        Performance(day, provider, model, operation, attempts, failed, (p50, p90, p99), (first50, first90))
        for day, provider, model, operation, attempts, failed, p50, p90, p99, first50, first90 in rows
    )
    return found, max(0, series - _MOST_SERIES)


def _unresolved_models(marts: Marts, first: date, month: date) -> frozenset[str]:
    rows = marts.rows(
        f"select distinct {MODEL_NAME} from {MARTS}.{USAGE}"
        f" where {inside(first, month)} and coalesce(model_id, '{UNRESOLVED}') = '{UNRESOLVED}'"
    )
    return frozenset(name for (name,) in rows)


def _budgets(marts: Marts, month: date) -> tuple[Budget, ...]:
    """Those of a day or longer; a period without an end counts from its start."""
    rows = marts.rows(
        f"""
        select
            rule_id, subject_type, subject, unit, period_start, period_end, budget_usd, spent_usd, used_ratio,
            forecast_usd, status, reliability = 'exact'
        from {MARTS}.{_BUDGETS}
        where cast(period_start as date) <= ? and (period_end is null or cast(period_end as date) >= ?)
        order by rule_id, subject_type, subject, period_start
        """,
        last_day(month),
        month,
    )
    return tuple(budget for row in rows if (budget := Budget(*row)).has_part_in(month))


def _quotas(marts: Marts, month: date) -> Listed:
    """Quotas of requests and tokens, and of cost by the hour; longer ones by cost are budgets."""
    of_month = f"""
        from {MARTS}.{_QUOTAS}
        where usage_date >= ? and usage_date <= ?
            and not (measure = 'cost' and coalesce(window_unit, '') not in ('minute', 'hour'))
    """
    rows = marts.rows(
        f"""
        with placed as (
            select
                *,
                row_number() over (
                    partition by rule_key, subject_type, subject order by used_ratio desc nulls last, window_start desc
                ) as place
            {of_month}
        )

        select
            rule_id, subject_type, subject, unit,
            count(*) as windows,
            cast(sum(case when status = 'breached' then 1 else 0 end) as bigint) as breached,
            cast(sum(case when status = 'warning' then 1 else 0 end) as bigint) as near,
            max(case when place = 1 then used end) as used,
            max(case when place = 1 then limit_to end) as limit_to,
            max(used_ratio) as highest,
            cast(sum(observed_blocks) as bigint) as observed_blocks,
            min(case when is_reliable then 1 else 0 end) = 1 as is_reliable
        from placed
        group by rule_key, rule_id, subject_type, subject, unit
        order by highest desc nulls last, rule_id, subject_type, subject
        limit {_MOST_QUOTAS}
        """,
        month,
        last_day(month),
    )
    counted = f"select count(*) from (select distinct rule_key, subject_type, subject {of_month}) as counters"
    counters = marts.rows(counted, month, last_day(month))[0][0]
    return Listed(tuple(Quota(*row) for row in rows), counters - len(rows))


def _breaches(marts: Marts, month: date) -> Listed:
    of_month = f"""
        from {MARTS}.{_BREACHES}
        where voided_at is null and cast(breached_at as date) >= ? and cast(breached_at as date) <= ?
    """
    rows = marts.rows(
        f"""
        select
            breached_at, rule_id, subject_type, subject, unit, limit_to, used, observed_blocks, breach_request_key
        {of_month}
        order by breached_at desc, rule_id, subject
        limit {_MOST_BREACHES}
        """,
        month,
        last_day(month),
    )
    breaches = marts.rows(f"select count(*) {of_month}", month, last_day(month))[0][0]
    return Listed(tuple(Breach(*row) for row in rows), breaches - len(rows))


def _statements(marts: Marts, month: date) -> tuple[Statement, ...]:
    amounts = ", ".join(f"{line_type}_usd" for line_type in LINE_TYPES)
    rows = marts.rows(
        f"""
        select cost_center_id, team_id, {amounts}, total_usd, share_of_bill, unpriced_requests, is_closed
        from {MARTS}.{_STATEMENTS}
        where billing_period = ?
        order by cost_center_id, total_usd desc nulls last, team_id
        """,
        month,
    )
    return tuple(Statement(row[0], row[1], tuple(row[2:-4]), *row[-4:]) for row in rows)


def _bill_by_provider(marts: Marts, month: date) -> tuple[tuple[str, Decimal | None], ...]:
    rows = marts.rows(
        f"""
        select provider, sum(amount_usd) as amount_usd
        from {MARTS}.{_LINES}
        where billing_period = ?
        group by provider
        order by amount_usd desc nulls last, provider
        """,
        month,
    )
    return tuple((provider, amount) for provider, amount in rows)


def _causes(marts: Marts, month: date) -> tuple[Cause, ...]:
    rows = marts.rows(
        f"""
        select provider, cause, amount_usd, explanation
        from {MARTS}.{RECONCILIATION}
        where billing_period = ? and provider_usd is not null
        order by provider, cause_number
        """,
        month,
    )
    return tuple(Cause(*row) for row in rows)


def _unpriced(marts: Marts) -> tuple[UnpricedModel, ...]:
    grouped = f"""
        select
            provider, {MODEL_NAME} as model, price_status,
            cast(sum(unpriced_requests) as bigint) as attempts, cast(sum(unpriced_tokens) as bigint) as tokens,
            min(first_seen_at) as first_seen_at, max(last_seen_at) as last_seen_at, max(seed_file) as seed_file
        from {MARTS}.{_UNPRICED}
        group by provider, {MODEL_NAME}, price_status
    """
    rows = marts.rows(f"{grouped} order by tokens desc, attempts desc, provider, model, price_status")
    return tuple(UnpricedModel(*row) for row in rows)
