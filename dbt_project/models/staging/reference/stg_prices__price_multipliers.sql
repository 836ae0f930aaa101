with

seed_rows as (

    select * from {{ ref('price_multipliers') }}

),

final as (

    select
        {{ llm_spend.pattern_column('channel') }} as channel,
        {{ llm_spend.pattern_column('model_pattern') }} as model_pattern,
        {{ llm_spend.pattern_column('usage_unit') }} as usage_unit,
        {{ llm_spend.pattern_column('service_tier') }} as service_tier,
        {{ llm_spend.pattern_column('region') }} as region,
        {{ llm_spend.seed_number('multiplier', llm_spend.type_decimal(12, 8)) }} as multiplier,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        nullif(trim(reason), '') as reason,
        nullif(trim(source_url), '') as source_url
    from seed_rows

)

select * from final
