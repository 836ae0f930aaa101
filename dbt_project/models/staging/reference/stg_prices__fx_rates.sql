with

seed_rows as (

    select * from {{ ref('fx_rates') }}

),

final as (

    select
        upper(trim(currency)) as currency,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as usd_per_unit,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        nullif(trim(source), '') as source
    from seed_rows

)

select * from final
