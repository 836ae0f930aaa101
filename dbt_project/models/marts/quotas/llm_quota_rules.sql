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
        nullif(applies_per, '') as applies_per,
        unit,
        case when unit like 'tokens%' then 'tokens' else 'requests' end as measure,
        case
            when unit like '%minute' then 'minute'
            when unit like '%hour' then 'hour'
            when unit like '%day' then 'day'
        end as window_unit,
        {{ llm_spend.try_cast('limit_to', 'bigint') }} as limit_to,
        {{ llm_spend.try_cast('valid_from', 'date') }} as valid_from,
        {{ llm_spend.try_cast("nullif(valid_to, '')", 'date') }} as valid_to
    from seed_rows
),

keyed as (
    select
        typed.*,
        rule_set || '|' || rule_id || '|' || {{ llm_spend.date_text('valid_from') }} as rule_key
    from typed
),

subjects_per_rule as (
    select
        rule_key,
        count(*) as subjects
    from keyed
    group by rule_key
),

final as (
    select
        keyed.rule_key,
        keyed.rule_set,
        keyed.rule_id,
        keyed.rule_order,
        keyed.evaluation,
        keyed.subject_type,
        keyed.subject,
        keyed.models,
        keyed.metadata_key,
        keyed.metadata_value,
        keyed.applies_per,
        case
            when keyed.applies_per is not null then keyed.applies_per
            when subjects_per_rule.subjects > 1 then 'rule'
            else keyed.subject_type
        end as counter_subject_type,
        case
            when keyed.applies_per is not null then null
            when subjects_per_rule.subjects > 1 then keyed.rule_id
            else keyed.subject
        end as counter_subject,
        keyed.unit,
        keyed.measure,
        keyed.window_unit,
        keyed.limit_to,
        keyed.valid_from,
        keyed.valid_to
    from keyed
    inner join subjects_per_rule
        on keyed.rule_key = subjects_per_rule.rule_key
)

select * from final
