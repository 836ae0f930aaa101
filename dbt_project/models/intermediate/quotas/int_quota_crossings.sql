{{ config(**llm_spend.by_usage_date('quota_version')) }}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

breached_windows as (
    select * from {{ ref('llm_quota_usage') }}
    where
        status = 'breached'
        and {{ llm_spend.is_to_build(version='quota_version') }}
),

matches as (
    select * from {{ ref('int_quota_matches') }}
    where not is_by_load and {{ llm_spend.is_to_build(version='quota_version') }}
),

-- Running totals only for windows that ended above their limit: few, however many requests there are.
running as (
    select
        breached_windows.rule_key,
        breached_windows.subject,
        breached_windows.window_start,
        breached_windows.limit_to,
        matches.request_key,
        matches.started_at,
        matches.loaded_at,
        sum(matches.quantity) over (
            partition by breached_windows.rule_key, breached_windows.subject, breached_windows.window_start
            order by matches.started_at, matches.request_key
            rows between unbounded preceding and current row
        ) as used_so_far,
        sum(matches.quantity) over (
            partition by breached_windows.rule_key, breached_windows.subject, breached_windows.window_start
            order by matches.loaded_at, matches.started_at, matches.request_key
            rows between unbounded preceding and current row
        ) as loaded_so_far
    from matches
    inner join breached_windows
        on
            matches.rule_key = breached_windows.rule_key
            and matches.counter_subject = breached_windows.subject
            and matches.window_start = breached_windows.window_start
),

crossings as (
    select
        running.*,
        row_number() over (
            partition by rule_key, subject, window_start
            order by started_at, request_key
        ) as crossing_number
    from running
    where used_so_far > limit_to
),

detections as (
    select
        rule_key,
        subject,
        window_start,
        min(loaded_at) as detected_at
    from running
    where loaded_so_far > limit_to
    group by rule_key, subject, window_start
),

final as (
    select
        {{ llm_spend.columns_of('breached_windows', llm_spend.quota_breach_columns()) }},
        cast(crossings.started_at as {{ llm_spend.type_timestamp() }}) as breached_at,
        crossings.request_key as breach_request_key,
        breached_windows.used,
        breached_windows.observed_blocks,
        cast(detections.detected_at as {{ llm_spend.type_timestamp() }}) as detected_at,
        breached_windows.rule_key,
        breached_windows.usage_date,
        dates_to_build.date_version
    from breached_windows
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
    inner join dates_to_build
        on breached_windows.usage_date = dates_to_build.usage_date
    where crossings.crossing_number = 1
)

select * from final
