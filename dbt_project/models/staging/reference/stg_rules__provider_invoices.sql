with

seed_rows as (

    select * from {{ ref('provider_invoices') }}

),

final as (

    select
        {{ llm_spend.seed_number('billing_period', 'date') }} as billing_period,
        lower(trim(provider)) as provider,
        coalesce(trim(provider_instance), '') as provider_instance,
        coalesce(trim(invoice_id), '') as invoice_id,
        {{ llm_spend.seed_number('invoice_date', 'date') }} as invoice_date,
        coalesce(nullif(trim(charge_category), ''), 'Usage') as charge_category,
        coalesce(trim(description), '') as description,
        {{ llm_spend.seed_number('amount', llm_spend.type_money()) }} as amount,
        upper(nullif(trim(currency), '')) as currency,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as usd_per_unit,
        lower(nullif(trim(cost_type), '')) as cost_type
    from seed_rows

)

select * from final
