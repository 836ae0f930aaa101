with

seed_rows as (

    select * from {{ ref('business_events') }}

),

final as (

    select
        {{ llm_spend.seed_number('event_date', 'date') }} as event_date,
        trim(event_type) as event_type,
        nullif(trim(feature_id), '') as feature_id,
        nullif(trim(customer_id), '') as customer_id,
        {{ llm_spend.seed_number('quantity', llm_spend.type_money()) }} as quantity,
        upper(nullif(trim(currency), '')) as currency,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as usd_per_unit,
        coalesce(nullif(lower(trim(covers)), ''), 'day') as covers
    from seed_rows

)

select * from final
