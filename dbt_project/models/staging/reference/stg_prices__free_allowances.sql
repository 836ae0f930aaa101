with

seed_rows as (

    select * from {{ ref('free_allowances') }}

),

final as (

    select
        nullif(trim(allowance_id), '') as allowance_id,
        {{ llm_spend.pattern_column('channel') }} as channel,
        {{ llm_spend.pattern_column('model_pattern') }} as model_pattern,
        lower(trim(usage_unit)) as usage_unit,
        {{ llm_spend.seed_number('quantity', dbt.type_bigint()) }} as quantity,
        lower(trim(period)) as period,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        nullif(trim(source_url), '') as source_url
    from seed_rows

)

select * from final
