with

seed_rows as (

    select * from {{ ref('unpriced_models') }}

),

final as (

    select
        {{ llm_spend.pattern_column('model_pattern') }} as model_pattern,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        nullif(trim(reason), '') as reason
    from seed_rows

)

select * from final
