-- Rows of one version differ only in their subject; versions of a rule, and rules of the same order, never overlap.
{{ config(severity='error') }}

with versions as (
    select distinct
        rule_key,
        rule_set,
        rule_id,
        rule_order,
        evaluation,
        models,
        metadata_key,
        metadata_value,
        conditions,
        applies_per,
        unit,
        limit_to,
        overrides,
        time_zone,
        enforcement,
        alert_thresholds,
        valid_from,
        coalesce(valid_to, cast('9999-12-31' as date)) as valid_to
    from {{ ref('llm_quota_rules') }}
),

disagreeing as (
    select rule_key
    from versions
    group by rule_key
    having count(*) > 1
),

overlapping as (
    select versions.rule_key
    from versions
    inner join versions as others
        on versions.rule_set = others.rule_set
        and versions.rule_key <> others.rule_key
        and versions.valid_from < others.valid_to
        and others.valid_from < versions.valid_to
    where versions.rule_id = others.rule_id
        or versions.rule_order = others.rule_order
),

final as (
    select rule_key, 'rows of one version disagree' as problem from disagreeing
    union all
    select rule_key, 'overlaps another version or has the same order as another rule' as problem from overlapping
)

select * from final
