with seed_rows as (
    select * from {{ ref('quota_rules') }}
),

-- Some warehouses load an empty seed cell as '', others as NULL.
typed as (
    select
        rule_set,
        rule_id,
        {{ llm_spend.try_cast('rule_order', 'bigint') }} as rule_order,
        evaluation,
        subject_type,
        case when subject_type = 'user' then lower(trim(subject)) else trim(subject) end as subject,
        nullif(models, '') as models,
        nullif(metadata_key, '') as metadata_key,
        nullif(metadata_value, '') as metadata_value,
        nullif(conditions, '') as conditions,
        nullif(applies_per, '') as applies_per,
        unit,
        {{ dbt.split_part('unit', "'_per_'", 1) }} as measure,
        {{ dbt.split_part('unit', "'_per_'", 2) }} as window_name,
        {{ llm_spend.try_cast("nullif(limit_to, '')", llm_spend.type_money()) }} as limit_to,
        nullif(overrides, '') as overrides,
        nullif(nullif(time_zone, ''), 'UTC') as time_zone,
        coalesce(nullif(enforcement, ''), 'enforce') as enforcement,
        coalesce(nullif(alert_thresholds, ''), '80') as alert_thresholds,
        {{ llm_spend.try_cast('valid_from', 'date') }} as valid_from,
        {{ llm_spend.try_cast("nullif(valid_to, '')", 'date') }} as valid_to
    from seed_rows
),

windowed as (
    select
        typed.*,
        rule_set || '|' || rule_id || '|' || {{ llm_spend.date_text('valid_from') }} as rule_key,
        case
            when {{ llm_spend.regex_found('window_name', "'^[0-9]+d$'") }} then 'days'
            else window_name
        end as window_unit,
        {{ llm_spend.try_cast("nullif(replace(window_name, 'd', ''), '')", 'bigint') }} as window_days
    from typed
),

-- A row for each threshold, to find the lowest that is below the limit.
thresholds as (
    {%- for number in range(1, llm_spend.quota_slots() + 1) %}
    select
        rule_key,
        {{ llm_spend.try_cast(dbt.split_part('alert_thresholds', "'|'", number), 'bigint') }} as threshold
    from windowed
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

warnings as (
    select
        rule_key,
        min(threshold) as warning_at
    from thresholds
    where threshold < 100
    group by rule_key
),

subjects_per_rule as (
    select
        rule_key,
        count(*) as subjects
    from windowed
    group by rule_key
),

final as (
    select
        windowed.rule_key,
        windowed.rule_set,
        windowed.rule_id,
        windowed.rule_order,
        windowed.evaluation,
        windowed.subject_type,
        windowed.subject,
        windowed.models,
        windowed.metadata_key,
        windowed.metadata_value,
        windowed.conditions,
        windowed.applies_per,
        case
            when windowed.applies_per is not null then windowed.applies_per
            when subjects_per_rule.subjects > 1 then 'rule'
            else windowed.subject_type
        end as counter_subject_type,
        case
            when windowed.applies_per is not null then null
            when subjects_per_rule.subjects > 1 then windowed.rule_id
            else windowed.subject
        end as counter_subject,
        windowed.unit,
        windowed.measure,
        windowed.window_unit,
        windowed.window_days,
        windowed.limit_to,
        windowed.overrides,
        case when windowed.window_unit not in ('minute', 'hour') then windowed.time_zone end as time_zone,
        windowed.enforcement,
        windowed.alert_thresholds,
        warnings.warning_at,
        windowed.valid_from,
        windowed.valid_to
    from windowed
    inner join subjects_per_rule
        on windowed.rule_key = subjects_per_rule.rule_key
    left join warnings
        on windowed.rule_key = warnings.rule_key
)

select * from final
