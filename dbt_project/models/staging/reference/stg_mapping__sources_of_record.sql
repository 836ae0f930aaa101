with rules as (
    select * from {{ ref('sources_of_record') }}
),

final as (
    select
        {{ seed_number('rule_order', dbt.type_bigint()) }} as rule_order,
        {{ pattern_column('source_system') }} as source_system,
        coalesce(nullif(trim(source_instance), ''), '*') as source_instance,
        {{ pattern_column('provider') }} as provider,
        {{ pattern_column('model_pattern') }} as model_pattern,
        coalesce(cast(nullif(trim(valid_from), '') as date), cast('1900-01-01' as date)) as valid_from,
        coalesce(cast(nullif(trim(valid_to), '') as date), cast('9999-12-31' as date)) as valid_to,
        case
            when lower(trim(is_of_record)) in ('true', '1', 'yes') then true
            when lower(trim(is_of_record)) in ('false', '0', 'no') then false
        end as is_of_record,
        nullif(trim(reason), '') as reason
    from rules
)

select * from final
