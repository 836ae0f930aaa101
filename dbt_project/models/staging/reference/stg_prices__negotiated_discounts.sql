{% set discount = llm_spend.seed_number('discount_pct', llm_spend.type_decimal(12, 8)) %}
{% set unit_price = llm_spend.seed_number('unit_price', llm_spend.type_contract_price()) %}
{% set unit_size = llm_spend.seed_number('unit_size', dbt.type_bigint()) %}
with

seed_rows as (

    select * from {{ ref('negotiated_discounts') }}

),

final as (

    select
        nullif(trim(contract_id), '') as contract_id,
        {{ llm_spend.pattern_column('channel') }} as channel,
        {{ llm_spend.pattern_column('model_pattern') }} as model_pattern,
        {{ llm_spend.pattern_column('usage_unit') }} as usage_unit,
        {{ llm_spend.pattern_column('service_tier') }} as service_tier,
        {{ discount }} as discount_pct,
        -- What is left of a price: 0.88 of it at 12 %.
        cast(
            (100 - {{ discount }}) * cast('0.01' as {{ llm_spend.type_decimal(3, 2) }})
            as {{ llm_spend.type_decimal(14, 10) }}
        ) as factor,
        {{ unit_price }} as unit_price,
        {{ unit_size }} as unit_size,
        {{ llm_spend.price_of_one(unit_price, unit_size, 'lower(trim(usage_unit))', llm_spend.type_contract_price()) }}
            as fixed_price,
        {{ llm_spend.seed_number('stack_order', dbt.type_bigint(), when_empty='1') }} as stack_order,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        nullif(trim(reason), '') as reason
    from seed_rows

)

select * from final
