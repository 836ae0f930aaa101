{{ config(**llm_spend.by_usage_date('quota_version')) }}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

matches as (
    select * from {{ ref('int_quota_matches') }}
    where {{ llm_spend.is_to_build(version='quota_version') }}
),

rules as (
    select distinct
        rule_key,
        rule_set,
        rule_id,
        unit,
        window_unit,
        limit_to
    from {{ ref('llm_quota_rules') }}
),

windows as (
    select
        usage_date,
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        cast(sum(quantity) as bigint) as used,
        cast(sum(case when is_blocked then 1 else 0 end) as bigint) as observed_blocks,
        cast(sum(case when is_unmeasured then 1 else 0 end) as bigint) as unmeasured_requests
    from matches
    group by usage_date, rule_key, counter_subject_type, counter_subject, window_start
),

final as (
    select
        rules.rule_set,
        rules.rule_id,
        windows.counter_subject_type as subject_type,
        windows.counter_subject as subject,
        rules.unit,
        rules.limit_to,
        windows.window_start,
        case rules.window_unit
            {%- for unit in ['minute', 'hour', 'day'] %}
            when '{{ unit }}'
                then cast({{ dbt.dateadd(unit, 1, 'windows.window_start') }} as {{ llm_spend.type_timestamp() }})
            {%- endfor %}
        end as window_end,
        windows.used,
        {{ llm_spend.whole_ratio('windows.used', 'rules.limit_to') }} as used_ratio,
        case
            when windows.used > rules.limit_to then 'breached'
            -- 80 % in whole numbers: a rounded ratio could tip it.
            when windows.used > 0 and windows.used * 10 >= rules.limit_to * 8 then 'warning'
            else 'ok'
        end as status,
        windows.observed_blocks,
        windows.unmeasured_requests,
        rules.rule_key,
        windows.usage_date,
        dates_to_build.date_version
    from windows
    inner join rules
        on windows.rule_key = rules.rule_key
    inner join dates_to_build
        on windows.usage_date = dates_to_build.usage_date
)

select * from final
