"""Every question of the dashboard as SQL on the public tables: in DuckDB's words, which `open_marts` translates.

Usage comes from `llm_usage_daily`; with a tag, which no mart can tell apart from all the others, from the requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from llm_spend.answers.known import KNOWN_SQL, KNOWN_TABLES
from llm_spend.answers.marts import MARTS, MODEL_NAME, UNALLOCATED, Query
from llm_spend.dashboard.filters import Days, Filters
from llm_spend.months import next_month

OTHERS = "(others)"
MOST_MEMBERS = 1_000
PAGE = 100
"""Requests on a page."""


@dataclass(frozen=True)
class Line:
    """A statement line, as far as it says which requests are behind it."""

    billing_period: date
    line_id: str
    line_type: str
    cost_center_id: str
    team_id: str
    provider: str
    model_id: str
    original_period: date


_SUMS = """
    cast(coalesce(sum(requests), 0) as bigint) as requests,
    cast(coalesce(sum(attempts), 0) as bigint) as attempts,
    cast(coalesce(sum(errors), 0) as bigint) as errors,
    cast(coalesce(sum(blocked_requests), 0) as bigint) as blocked_requests,
    cast(coalesce(sum(cache_hits), 0) as bigint) as cache_hits,
    cast(coalesce(sum(input_tokens), 0) as bigint) as input_tokens,
    cast(coalesce(sum(output_tokens), 0) as bigint) as output_tokens,
    cast(coalesce(sum(cache_read_tokens), 0) as bigint) as cache_read_tokens,
    cast(coalesce(sum(total_tokens), 0) as bigint) as total_tokens,
    sum(cost_usd) as cost_usd,
    sum(gateway_reported_usd) as gateway_reported_usd,
    cast(coalesce(sum(unpriced_requests), 0) as bigint) as unpriced_requests,
    cast(coalesce(sum(unpriced_tokens), 0) as bigint) as unpriced_tokens,
    sum(feedback_score_sum) as feedback_score_sum,
    cast(coalesce(sum(requests_with_feedback), 0) as bigint) as requests_with_feedback,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at
"""
"""The measures of usage, in the order of the fields of `Usage`."""

# A model that is in no price list goes by the name that its provider gave it.
_DAILY_COLUMNS: Mapping[str, str] = {
    "environment": "environment",
    "team": "team_id",
    "cost_center": "cost_center_id",
    "user": "user_id",
    "feature": "feature_id",
    "customer": "customer_id",
    "model": MODEL_NAME,
    "provider": "provider",
}
_REQUEST_COLUMNS: Mapping[str, str] = {
    **_DAILY_COLUMNS,
    "provider": "coalesce(provider, '(unknown)')",
}
_PERFORMANCE_COLUMNS: Mapping[str, str] = {"provider": "provider"}


def _member(dimension: str) -> str:
    """The column that a dimension has in a table expression of usage."""
    return f"{dimension}_member"


def _members(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} as {_member(dimension)}" for dimension, sql in columns.items())


_DAILY = f"""
    select
        usage_date, {_members(_DAILY_COLUMNS)},
        requests, attempts, errors, blocked_requests, cache_hits, input_tokens, output_tokens, cache_read_tokens,
        total_tokens, cost_usd, gateway_reported_usd, unpriced_requests, unpriced_tokens, feedback_score_sum,
        requests_with_feedback, first_seen_at, last_seen_at
    from {MARTS}.llm_usage_daily
"""


def _of_providers(bucket: str) -> str:
    """Tokens that a provider worked on, as the marts count them."""
    return f"case when is_gateway_cache_hit then 0 else coalesce({bucket}, 0) end as {bucket}"


_REQUESTS = f"""
    select
        usage_date, {_members(_REQUEST_COLUMNS)},
        case when is_final_attempt then 1 else 0 end as requests,
        1 as attempts,
        case when is_final_attempt and status = 'error' then 1 else 0 end as errors,
        case when is_final_attempt and status like 'blocked%' then 1 else 0 end as blocked_requests,
        case when is_gateway_cache_hit then 1 else 0 end as cache_hits,
        {_of_providers("input_tokens")}, {_of_providers("output_tokens")}, {_of_providers("cache_read_tokens")},
        {_of_providers("total_tokens")},
        cost_usd, gateway_reported_usd,
        case when cost_usd is null then 1 else 0 end as unpriced_requests,
        case when cost_usd is null then coalesce(total_tokens, 0) else 0 end as unpriced_tokens,
        feedback_score as feedback_score_sum,
        case when feedback_score is not null then 1 else 0 end as requests_with_feedback,
        started_at as first_seen_at, started_at as last_seen_at
"""


def _tag(dialect: str) -> str:
    """The value of a tag of a request, as the marts find it; `?` is its key."""
    match dialect:
        case "snowflake":
            return "cast(get(metadata, ?) as varchar)"
        case "bigquery":
            return "json_value(metadata[?])"
        case _:
            return "cast(metadata as map(varchar, varchar))[?]"


def _usage(filters: Filters, dialect: str, tag: str | None = None) -> Query:
    """The usage that the filters let through, as a table expression with the measures; with a `tag`, its value too."""
    if not (filters.tag_values or tag):
        where, parameters = _where(filters, _DAILY_COLUMNS, dialect)
        return Query(f"({_DAILY} where {where})", parameters, frozenset({"llm_usage_daily"}))
    where, parameters = _where(filters, _REQUEST_COLUMNS, dialect)
    selected = _REQUESTS
    if tag:
        selected = f"{_REQUESTS}, {_tag(dialect)} as tag"
        parameters = (tag, *parameters)
    sql = f"({selected} from {MARTS}.fct_llm_requests where is_of_record and {where})"
    return Query(sql, parameters, frozenset({"fct_llm_requests"}))


def _where(filters: Filters, columns: Mapping[str, str], dialect: str) -> tuple[str, tuple[Any, ...]]:
    conditions, parameters = ["usage_date >= ? and usage_date < ?"], _days(filters.days)
    for dimension, members in filters.members:
        conditions.append(f"{columns[dimension]} in ({_marks(members)})")
        parameters += members
    if filters.tag_key and filters.tag_values:
        conditions.append(f"{_tag(dialect)} in ({_marks(filters.tag_values)})")
        parameters += [filters.tag_key, *filters.tag_values]
    return " and ".join(conditions), tuple(parameters)


def _days(days: Days) -> list[Any]:
    """For comparisons with a date: BigQuery compares no time with it."""
    return [days.first, days.end]


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))


def known() -> Query:
    """From when and up to when there is usage, for `known_usage`."""
    return Query(KNOWN_SQL, (), KNOWN_TABLES)


def _daily(sql: str, *parameters: Any) -> Query:
    return Query(sql, parameters, frozenset({"llm_usage_daily"}))


def members(dimension: str, days: Days) -> Query:
    """The members of a dimension in these days, dearest first."""
    return _daily(
        f"""
        select member
        from (
            select {_DAILY_COLUMNS[dimension]} as member, cost_usd from {MARTS}.llm_usage_daily
            where usage_date >= ? and usage_date < ?
        ) as daily
        group by member
        order by sum(cost_usd) desc nulls last, member
        limit {MOST_MEMBERS}
        """,
        *_days(days),
    )


def total(filters: Filters, dialect: str) -> Query:
    """One row of measures."""
    usage = _usage(filters, dialect)
    return usage._replace(sql=f"select {_SUMS} from {usage.sql} as usage")


def by_day(filters: Filters, dialect: str, dimension: str, names: tuple[str, ...]) -> Query:
    """Day, name and cost of these members; all others go by `(others)`."""
    usage = _usage(filters, dialect)
    member = _member(dimension)
    name = f"case when {member} in ({_marks(names)}) then {member} else '{OTHERS}' end" if names else f"'{OTHERS}'"
    return Query(
        f"""
        select usage_date, name, sum(cost_usd) as cost_usd, cast(sum(unpriced_requests) as bigint)
        from (select usage_date, {name} as name, cost_usd, unpriced_requests from {usage.sql} as usage) as named
        group by usage_date, name
        order by usage_date, name
        """,
        (*names, *usage.parameters),
        usage.tables,
    )


def by_member(filters: Filters, dialect: str, dimension: str, most: int = MOST_MEMBERS) -> Query:
    """Name, how many members it is, and measures: the dearest members, `(others)`, `(unallocated)`.

    The rows add up to the total.
    """
    usage = _usage(filters, dialect)
    return usage._replace(sql=_ranked(usage.sql, _member(dimension), most))


def by_tag_value(filters: Filters, dialect: str, key: str, most: int = MOST_MEMBERS) -> Query:
    """As `by_member`, for the values of a tag; requests without it are in no row.

    Without filters from the mart, which has one row, `(too many values)`, where a key has too many on a day.
    """
    if filters.has_members or filters.tag_values:
        usage = _usage(filters, dialect, key)
        # As in the mart: nothing and a nested document are no tag.
        tagged = f"(select * from {usage.sql} as usage where tag <> '' and substr(tag, 1, 1) not in ('{{', '['))"
        return usage._replace(sql=_ranked(tagged, "tag", most))
    tags = """(
        select
            *, tag_value as tag,
            avg_weighted_feedback * requests_with_feedback as feedback_score_sum
        from llm_spend.llm_usage_by_tag_daily
        where usage_date >= ? and usage_date < ? and tag_key = ?
    )"""
    return Query(_ranked(tags, "tag", most), (*_days(filters.days), key), frozenset({"llm_usage_by_tag_daily"}))


def _ranked(usage: str, name: str, most: int) -> str:
    return f"""
        with named as (
            select {name} as name, {_SUMS} from {usage} as usage group by {name}
        ),

        ranked as (
            select
                *,
                row_number() over (
                    partition by case when name = '{UNALLOCATED}' then 1 else 0 end
                    order by cost_usd desc nulls last, total_tokens desc, name
                ) as place
            from named
        ),

        placed as (
            select *, case when name = '{UNALLOCATED}' or place <= {most} then name else '{OTHERS}' end as shown
            from ranked
        )

        select shown, count(*) as members, {_SUMS}
        from placed
        group by shown
        order by
            case shown when '{UNALLOCATED}' then 2 when '{OTHERS}' then 1 else 0 end,
            min(place)
    """


def tag_keys(days: Days) -> Query:
    """The tags that callers sent, most used first, with their attempts."""
    return Query(
        """
        select tag_key, cast(sum(attempts) as bigint) as tagged from llm_spend.llm_usage_by_tag_daily
        where usage_date >= ? and usage_date < ?
        group by tag_key
        order by tagged desc, tag_key
        limit 500
        """,
        tuple(_days(days)),
        frozenset({"llm_usage_by_tag_daily"}),
    )


def tag_values(key: str, days: Days) -> Query:
    """The values of a tag, most used first."""
    return Query(
        f"""
        select tag_value from llm_spend.llm_usage_by_tag_daily
        where usage_date >= ? and usage_date < ? and tag_key = ? and tag_value <> '(too many values)'
        group by tag_value
        order by sum(attempts) desc, tag_value
        limit {MOST_MEMBERS}
        """,
        (*_days(days), key),
        frozenset({"llm_usage_by_tag_daily"}),
    )


def performance(filters: Filters) -> Query:
    """Provider, model, operation: attempts, failed ones, with a latency, lowest and highest percentiles of a day."""
    where, parameters, tables = _performance(filters)
    ranges = ", ".join(
        f"min({name}), max({name})" for name in ("p50_latency_ms", "p90_latency_ms", "p99_latency_ms", "p50_ttft_ms")
    )
    return Query(
        f"""
        select
            provider, model_id, operation, cast(sum(attempts) as bigint) as tried,
            cast(sum(failed_attempts) as bigint) as failed, cast(sum(attempts_with_latency) as bigint) as measured,
            {ranges}
        from llm_spend.llm_performance_daily
        where {where}
        group by provider, model_id, operation
        order by tried desc, provider, model_id, operation
        """,
        parameters,
        tables,
    )


def performance_by_day(filters: Filters, provider: str, model_id: str, operation: str) -> Query:
    """Day, p50, p90 and p99 of the latency, p50 of the time to the first token, attempts and failed ones."""
    where, parameters, tables = _performance(filters)
    return Query(
        f"""
        select
            usage_date, p50_latency_ms, p90_latency_ms, p99_latency_ms, p50_ttft_ms, attempts, failed_attempts
        from llm_spend.llm_performance_daily
        where {where} and provider = ? and model_id = ? and operation = ?
        order by usage_date
        """,
        (*parameters, provider, model_id, operation),
        tables,
    )


def _performance(filters: Filters) -> Query:
    """What of llm_performance_daily the filters let through, as a condition.

    It calls all models that are in no price list `(unresolved)`: what filters call them is looked up in the usage.
    """
    where, parameters = _where(filters.only("provider"), _PERFORMANCE_COLUMNS, "")
    models = dict(filters.members).get("model")
    if models is None:
        return Query(where, parameters, frozenset({"llm_performance_daily"}))
    of_names, names = _where(filters.only("model"), _DAILY_COLUMNS, "")
    return Query(
        f"{where} and model_id in (select model_id from {MARTS}.llm_usage_daily where {of_names})",
        (*parameters, *names),
        frozenset({"llm_performance_daily", "llm_usage_daily"}),
    )


def budgets() -> Query:
    """The budgets of the periods that now is in, fullest first."""
    return Query(
        """
        select
            rule_id, subject_type, subject, unit, enforcement, period_start, period_end, budget_usd, spent_usd,
            remaining_usd, used_ratio, forecast_usd, status, reliability, unpriced_requests, as_of
        from llm_spend.llm_budget_status
        where is_current
        order by used_ratio desc nulls last, rule_id, subject
        """,
        (),
        frozenset({"llm_budget_status"}),
    )


def quotas(days: Days) -> Query:
    """Each rule, subject and limit: windows in these days, breached and warned ones, the fullest, the newest."""
    return Query(
        f"""
        select
            rule_id, subject_type, subject, unit, limit_to, count(*) as windows,
            cast(sum(case when status = 'breached' then 1 else 0 end) as bigint) as breached,
            cast(sum(case when status = 'warning' then 1 else 0 end) as bigint) as warned,
            max(used_ratio) as highest, max(used) as most_used, max(window_start) as newest,
            cast(sum(case when is_reliable then 0 else 1 end) as bigint) as unreliable
        from llm_spend.llm_quota_usage
        where cast(window_start as date) >= ? and cast(window_start as date) < ?
        group by rule_id, subject_type, subject, unit, limit_to
        order by breached desc, highest desc nulls last, rule_id, subject
        limit {MOST_MEMBERS}
        """,
        tuple(_days(days)),
        frozenset({"llm_quota_usage"}),
    )


def breaches(days: Days) -> Query:
    """The breaches of these days that stand, newest first."""
    return Query(
        f"""
        select
            breached_at, rule_id, subject_type, subject, unit, limit_to, used, overage, observed_blocks, detected_at,
            breach_request_key
        from llm_spend.llm_quota_breaches
        where voided_at is null and cast(breached_at as date) >= ? and cast(breached_at as date) < ?
        order by breached_at desc, rule_id, subject
        limit {MOST_MEMBERS}
        """,
        tuple(_days(days)),
        frozenset({"llm_quota_breaches"}),
    )


def statement_months() -> Query:
    """The months that have a statement, newest first, and whether they are closed."""
    return _statements(
        "select billing_period, bool_and(is_closed) from llm_spend.llm_chargeback_statements"
        " group by billing_period order by billing_period desc"
    )


def statements(month: date) -> Query:
    """What each cost centre and team pays."""
    return _statements(
        """
        select
            cost_center_id, team_id, total_usd, share_of_bill, direct_usd, shared_usd, unallocated_usd, true_up_usd,
            commitment_usd, credit_usd, restatement_usd, unpriced_requests, unpriced_tokens
        from llm_spend.llm_chargeback_statements
        where billing_period = ?
        order by
            case when team_id = '(unallocated)' then 1 else 0 end, total_usd desc nulls last, cost_center_id, team_id
        """,
        month,
    )


def _statements(sql: str, *parameters: Any) -> Query:
    return Query(sql, parameters, frozenset({"llm_chargeback_statements"}))


def lines(month: date, cost_center_id: str, team_id: str) -> Query:
    """The lines of a statement: the fields of `Line`, then what they charge."""
    return Query(
        """
        select
            billing_period, line_id, line_type, cost_center_id, team_id, provider, model_id, original_period,
            allocation_method, quantity_tokens, exact_cost_usd, amount_usd, cost_basis, restatement_reason, is_closed,
            unpriced_requests, unpriced_tokens
        from llm_spend.llm_chargeback_lines
        where billing_period = ? and cost_center_id = ? and team_id = ?
        order by amount_usd desc nulls last, line_id
        """,
        (month, cost_center_id, team_id),
        frozenset({"llm_chargeback_lines"}),
    )


REQUEST_COLUMNS: Mapping[str, str] = {
    "started_at": "Started (UTC)",
    "cost_usd": "Cost, USD",
    "provider": "Provider",
    "model": "Model",
    "operation": "Operation",
    "status": "Status",
    "user_id": "User",
    "team_id": "Team",
    "feature_id": "Feature",
    "customer_id": "Customer",
    "environment": "Environment",
    "input_tokens": "Input tokens",
    "cache_read_tokens": "Cached",
    "output_tokens": "Output tokens",
    "cost_basis": "Basis",
    "price_status": "Price",
    "latency_ms": "Latency, ms",
    "request_key": "Request",
}
"""What a page of requests shows. What callers and models said is in no table."""


def requests_behind(line: Line, page: int) -> tuple[Query, Query]:
    """Of the requests behind a statement line: how many, their cost and unpriced ones; a page of them, dearest first.

    The line's usage is of its original month, which the closing of months and late data can change afterwards.
    """
    return _requests(
        """
        usage_date >= ? and usage_date < ? and cost_center_id = ? and team_id = ?
        and coalesce(provider, '(unknown)') = ? and coalesce(model_id, '(unresolved)') = ?
        """,
        (
            line.original_period, next_month(line.original_period), line.cost_center_id, line.team_id, line.provider,
            line.model_id,
        ),
        page,
    )  # fmt: skip


def requests(filters: Filters, dialect: str, page: int) -> tuple[Query, Query]:
    """As `requests_behind`, of all that the filters let through."""
    return _requests(*_where(filters, _REQUEST_COLUMNS, dialect), page)


def request(request_key: str) -> Query:
    """One request."""
    return _requests("request_key = ?", (request_key,), 1)[1]


def _requests(where: str, parameters: tuple[Any, ...], page: int) -> tuple[Query, Query]:
    source = f"from {MARTS}.fct_llm_requests where is_of_record and {where}"
    names = ", ".join(
        "coalesce(model_id, resolved_model) as model" if name == "model" else name for name in REQUEST_COLUMNS
    )
    tables = frozenset({"fct_llm_requests"})
    return (
        Query(
            "select count(*), sum(cost_usd), cast(coalesce(sum(case when cost_usd is null then 1 else 0 end), 0) as"
            f" bigint) {source}",
            parameters,
            tables,
        ),
        Query(
            f"select {names} {source} order by cost_usd desc nulls last, started_at, request_key"
            f" limit {PAGE} offset {PAGE * (page - 1)}",
            parameters,
            tables,
        ),
    )


def bill_months() -> Query:
    """The months of the reconciliation, newest first."""
    return _reconciliation(
        "select distinct billing_period from llm_spend.llm_reconciliation order by billing_period desc"
    )


def reconciliation(month: date) -> Query:
    """The causes of a month, by provider, in the order in which they are best read."""
    return _reconciliation(
        """
        select
            provider, cause, amount_usd, gateway_usd, provider_usd, difference_usd, unexplained_usd, unexplained_ratio,
            is_final, explanation
        from llm_spend.llm_reconciliation
        where billing_period = ?
        order by provider, cause_number
        """,
        month,
    )


def _reconciliation(sql: str, *parameters: Any) -> Query:
    return Query(sql, parameters, frozenset({"llm_reconciliation"}))


def unpriced() -> Query:
    """What has no price, most tokens first, and what to do about it."""
    return Query(
        f"""
        select
            provider, resolved_model, price_status, cast(sum(unpriced_requests) as bigint) as attempts,
            cast(sum(unpriced_tokens) as bigint) as tokens, sum(gateway_reported_usd) as gateway_usd,
            min(first_seen_at) as first_seen, max(last_seen_at) as last_seen, max(seed_file) as seed
        from llm_spend.llm_unpriced_models
        group by provider, resolved_model, price_status
        order by tokens desc, attempts desc, provider, resolved_model, price_status
        limit {MOST_MEMBERS}
        """,
        (),
        frozenset({"llm_unpriced_models"}),
    )


def unallocated(filters: Filters, dialect: str, dimension: str) -> Query:
    """The usage of the filters that belongs to no member of a dimension: one row of measures."""
    usage = _usage(filters, dialect)
    return usage._replace(sql=f"select {_SUMS} from {usage.sql} as usage where {_member(dimension)} = '{UNALLOCATED}'")


def sources() -> Query:
    """How complete and how fresh each source is."""
    return Query(
        """
        select
            source_system, source_instance, attempts, last_event_at, last_loaded_at, lines_quarantined, duplicate_rows,
            unpriced_attempts, attempts_without_team, attempts_without_usage, known_to,
            case when is_waited_for then 'yes' else 'no' end
        from llm_spend.llm_source_health
        order by source_system, source_instance
        """,
        (),
        frozenset({"llm_source_health"}),
    )


def loads() -> Query:
    """The newest loads."""
    return Query(
        """
        select loaded_at, source, source_instance, entity, files, rows_loaded, lines_quarantined, last_event_at
        from llm_spend.llm_load_history
        order by loaded_at desc, source, source_instance, entity
        limit 50
        """,
        (),
        frozenset({"llm_load_history"}),
    )


def totals_that_differ() -> Query:
    """Days on which a gateway counts more than was loaded, newest first."""
    return Query(
        """
        select usage_date, source_system, source_instance, counted_requests, gateway_requests, requests_difference_ratio
        from llm_spend.llm_gateway_totals_check
        where is_partial_suspected
        order by usage_date desc, source_system, source_instance
        limit 100
        """,
        (),
        frozenset({"llm_gateway_totals_check"}),
    )


def overlaps() -> Query:
    """Sources that log the same calls, so that some count twice."""
    return Query(
        """
        select
            source_system, source_instance, other_source_system, other_source_instance, calls_counted_twice,
            cost_counted_twice_usd
        from llm_spend.llm_source_overlaps
        where calls_counted_twice > 0
        order by calls_counted_twice desc, source_system, source_instance, other_source_system, other_source_instance
        """,
        (),
        frozenset({"llm_source_overlaps"}),
    )
