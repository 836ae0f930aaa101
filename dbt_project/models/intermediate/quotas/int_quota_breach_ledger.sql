{{ config(
    materialized='incremental',
    incremental_strategy=llm_spend.replace_by_key(),
    unique_key=['rule_key', 'subject', 'window_start'],
    on_schema_change='append_new_columns',
    full_refresh=false
) }}

{%- set found = llm_spend.quota_breach_columns() + [
    'breached_at', 'breach_request_key', 'used', 'observed_blocks', 'detected_at', 'rule_key', 'usage_date'
] %}
{%- set columns = found + ['crossing_date', 'used_before', 'crossing_version'] %}
{%- set dates_to_build = llm_spend.constants('quota_version') if is_incremental() else none %}
{%- set first_date = (dates_to_build or ['9999-12-31']) | min %}
{%- set since = 'true' if dates_to_build is none else "usage_date >= date '" ~ first_date ~ "'" %}

with crossings_within_dates as (
    select * from {{ ref('int_quota_crossings') }}
),

sums as (
    select * from {{ ref('int_quota_sums') }}
    where is_by_load
),

dates as (
    select * from {{ ref('int_usage_dates') }}
),

rules as (
    {{ llm_spend.quota_rule_versions() }}
),

windows as (
    {{ llm_spend.added_up_quota_windows('sums') }}
),

judged as (
    {{ llm_spend.quota_windows('windows', 'rules') }}
),

breached_windows as (
    select * from judged
    where status = 'breached'
),

parts as (
    select
        breached_windows.rule_key,
        breached_windows.subject,
        breached_windows.window_start,
        breached_windows.limit_to,
        breached_windows.measure,
        sums.usage_date,
        sums.loaded_at,
        {{ llm_spend.quota_used('breached_windows.measure', 'sums') }} as amount
    from breached_windows
    inner join sums
        on
            breached_windows.rule_key = sums.rule_key
            and breached_windows.subject = sums.counter_subject
            and breached_windows.window_start = sums.window_start
),

{% for kind, column in {'day': 'usage_date', 'load': 'loaded_at'}.items() -%}
by_{{ kind }} as (
    select
        rule_key,
        subject,
        window_start,
        limit_to,
        measure,
        {{ column }},
        sum(amount) as amount
    from parts
    group by rule_key, subject, window_start, limit_to, measure, {{ column }}
),

running_by_{{ kind }} as (
    select
        by_{{ kind }}.*,
        sum(amount) over (
            partition by rule_key, subject, window_start
            order by {{ column }}
            rows between unbounded preceding and current row
        ) as used_so_far
    from by_{{ kind }}
),

{% endfor -%}

detections as (
    select
        rule_key,
        subject,
        window_start,
        min(loaded_at) as detected_at
    from running_by_load
    where used_so_far > limit_to
    group by rule_key, subject, window_start
),

-- The date on which the limit was crossed: the one day with less before it, and more after it.
crossing_days as (
    select
        running_by_day.rule_key,
        running_by_day.subject,
        running_by_day.window_start,
        running_by_day.limit_to,
        running_by_day.measure,
        running_by_day.usage_date as crossing_date,
        cast(running_by_day.used_so_far - running_by_day.amount as {{ llm_spend.type_money() }}) as used_before,
        dates.quota_version as crossing_version
    from running_by_day
    inner join dates
        on running_by_day.usage_date = dates.usage_date
    where
        running_by_day.used_so_far > running_by_day.limit_to
        and running_by_day.used_so_far - running_by_day.amount <= running_by_day.limit_to
),

{% if is_incremental() -%}
known as (
    select * from {{ this }}
    where voided_at is null
),

-- Of a day that is as it was, the request that crossed is known.
known_crossings as (
    select
        crossing_days.rule_key,
        crossing_days.subject,
        crossing_days.window_start,
        known.breached_at,
        known.breach_request_key
    from crossing_days
    inner join known
        on
            crossing_days.rule_key = known.rule_key
            and crossing_days.subject = known.subject
            and crossing_days.window_start = known.window_start
            and crossing_days.limit_to = known.limit_to
            and crossing_days.crossing_version = known.crossing_version
            and crossing_days.used_before = known.used_before
),

days_to_search as (
    select crossing_days.*
    from crossing_days
    left join known_crossings
        on
            crossing_days.rule_key = known_crossings.rule_key
            and crossing_days.subject = known_crossings.subject
            and crossing_days.window_start = known_crossings.window_start
    where known_crossings.rule_key is null
),
{%- else -%}
days_to_search as (
    select * from crossing_days
),
{%- endif %}

match_rules as (
    {{ llm_spend.quota_match_rules() }}
),

rules_to_search as (
    {{ llm_spend.quota_match_rules_of('match_rules', 'days_to_search') }}
),

-- Whatever moves the crossing of a window to another date is on that date or before it.
requests as (
    select * from {{ ref('fct_llm_requests') }}
    where
        is_of_record
        and {{ since }}
        and usage_date in (select crossing_date from days_to_search)
),

matches as (
    {{ llm_spend.quota_matches('rules_to_search', 'requests') }}
),

running as (
    select
        days_to_search.rule_key,
        days_to_search.subject,
        days_to_search.window_start,
        days_to_search.limit_to,
        matches.request_key,
        matches.started_at,
        days_to_search.used_before + sum({{ llm_spend.quota_used('days_to_search.measure', 'matches') }}) over (
            partition by days_to_search.rule_key, days_to_search.subject, days_to_search.window_start
            order by matches.started_at, matches.request_key
            rows between unbounded preceding and current row
        ) as used_so_far
    from matches
    inner join days_to_search
        on
            matches.usage_date = days_to_search.crossing_date
            and matches.rule_key = days_to_search.rule_key
            and matches.counter_subject = days_to_search.subject
            and matches.window_start = days_to_search.window_start
),

numbered as (
    select
        running.*,
        row_number() over (
            partition by rule_key, subject, window_start
            order by started_at, request_key
        ) as crossing_number
    from running
    where used_so_far > limit_to
),

crossings as (
    select
        rule_key,
        subject,
        window_start,
        started_at as breached_at,
        request_key as breach_request_key
    from numbered
    where crossing_number = 1
    {% if is_incremental() -%}
    union all
    select * from known_crossings
    {%- endif %}
),

live as (
    select
        {{ found | join(',\n        ') }},
        usage_date as crossing_date,
        cast(0 as {{ llm_spend.type_money() }}) as used_before,
        date_version as crossing_version
    from crossings_within_dates
    union all
    select
        {{ llm_spend.columns_of('breached_windows', llm_spend.quota_breach_columns()) }},
        cast(crossings.breached_at as {{ llm_spend.type_timestamp() }}) as breached_at,
        crossings.breach_request_key,
        breached_windows.used,
        breached_windows.observed_blocks,
        cast(detections.detected_at as {{ llm_spend.type_timestamp() }}) as detected_at,
        breached_windows.rule_key,
        breached_windows.usage_date,
        crossing_days.crossing_date,
        crossing_days.used_before,
        crossing_days.crossing_version
    from breached_windows
    inner join crossing_days
        on
            breached_windows.rule_key = crossing_days.rule_key
            and breached_windows.subject = crossing_days.subject
            and breached_windows.window_start = crossing_days.window_start
    inner join crossings
        on
            breached_windows.rule_key = crossings.rule_key
            and breached_windows.subject = crossings.subject
            and breached_windows.window_start = crossings.window_start
    inner join detections
        on
            breached_windows.rule_key = detections.rule_key
            and breached_windows.subject = detections.subject
            and breached_windows.window_start = detections.window_start
),

final as (
    select
        {{ columns | join(',\n        ') }},
        cast(null as {{ llm_spend.type_timestamp() }}) as voided_at
    from live
    {% if is_incremental() -%}
    union all
    select
        {{ llm_spend.columns_of('known', columns) }},
        {{ llm_spend.build_started_at() }} as voided_at
    from known
    left join live
        on
            known.rule_key = live.rule_key
            and known.subject = live.subject
            and known.window_start = live.window_start
    where live.rule_key is null
    {%- endif %}
)

select * from final
