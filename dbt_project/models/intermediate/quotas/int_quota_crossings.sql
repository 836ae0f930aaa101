{{ config(**llm_spend.by_usage_date('quota_version')) }}

{%- set starts = {
    'minute': dbt.date_trunc('minute', 'started_at'), 'hour': dbt.date_trunc('hour', 'started_at'), 'day': 'usage_date'
} %}
{%- set attributes = llm_spend.quota_attributes() %}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

breached_windows as (
    select * from {{ ref('llm_quota_usage') }}
    where
        status = 'breached'
        and {{ llm_spend.is_to_build(version='quota_version') }}
),

match_rules as (
    {{ llm_spend.quota_match_rules() }}
),

rules as (
    {{ llm_spend.quota_match_rules_of('match_rules', 'breached_windows') }}
),

windows_of_other_kinds as (
    select
        window_unit,
        window_start
    from breached_windows
    where
        subject_type not in (
            {%- for attribute in attributes %}
            '{{ attribute }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )
),

-- Those that may be in a breached window: of its hour, for one, and of its user. Counters of other kinds, such as a
-- tag, are told apart later. Dates without breached windows have no row here, and so are to build each time.
requests as (
    select * from {{ ref('fct_llm_requests') }}
    where
        is_of_record
        and {{ llm_spend.is_to_build(version='quota_version') }}
        and usage_date in (select usage_date from breached_windows)
        and (
            {% for unit, start in starts.items() -%}
            cast({{ start }} as {{ llm_spend.type_timestamp() }}) in (
                select window_start from breached_windows
                where window_unit = '{{ unit }}'
            )
            {{ 'or ' if not loop.last }}
            {%- endfor %}
        )
        and (
            {% for attribute, column in attributes.items() -%}
            {{ column }} in (
                select subject from breached_windows
                where subject_type = '{{ attribute }}'
            )
            or {% endfor -%}
            {% for unit, start in starts.items() -%}
            cast({{ start }} as {{ llm_spend.type_timestamp() }}) in (
                select window_start from windows_of_other_kinds
                where window_unit = '{{ unit }}'
            )
            {{ 'or ' if not loop.last }}
            {%- endfor %}
        )
),

matches as (
    {{ llm_spend.quota_matches('rules', 'requests') }}
),

numbered_windows as (
    select
        breached_windows.*,
        rule_keys.key_number
    from breached_windows
    inner join (select distinct key_number, rule_key from rules) as rule_keys
        on breached_windows.rule_key = rule_keys.rule_key
),

-- Running totals only for windows that ended above their limit: few, however many requests there are.
running as (
    select
        numbered_windows.rule_key,
        numbered_windows.subject,
        numbered_windows.window_start,
        numbered_windows.limit_to,
        matches.request_key,
        matches.started_at,
        matches.loaded_at,
        matches.quantity,
        sum(matches.quantity) over (
            partition by numbered_windows.key_number, numbered_windows.subject, numbered_windows.window_start
            order by matches.started_at, matches.request_key
            rows between unbounded preceding and current row
        ) as used_so_far
    from matches
    inner join numbered_windows
        on
            matches.key_number = numbered_windows.key_number
            and matches.counter_subject = numbered_windows.subject
            and matches.window_start = numbered_windows.window_start
    where not matches.is_by_load
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

-- By load, of which few windows have many.
loaded as (
    select
        rule_key,
        subject,
        window_start,
        limit_to,
        loaded_at,
        sum(quantity) as quantity
    from running
    group by rule_key, subject, window_start, limit_to, loaded_at
),

running_by_load as (
    select
        loaded.*,
        sum(quantity) over (
            partition by rule_key, subject, window_start
            order by loaded_at
            rows between unbounded preceding and current row
        ) as loaded_so_far
    from loaded
),

detections as (
    select
        rule_key,
        subject,
        window_start,
        min(loaded_at) as detected_at
    from running_by_load
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
