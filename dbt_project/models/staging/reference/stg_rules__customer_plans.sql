with

seed_rows as (

    select * from {{ ref('customer_plans') }}

),

typed as (

    select
        {{ llm_spend.plan_columns() }},
        coalesce(lower(trim(is_offered)), '') <> 'false' as is_offered,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as valid_to
    from seed_rows

),

final as (

    select
        plan_id,
        plan_name,
        monthly_fee,
        currency,
        usd_per_unit,
        included_tokens,
        tier_from_tokens,
        lead(tier_from_tokens) over (partition by plan_id, valid_from order by tier_from_tokens) as tier_to_tokens,
        price_per_million,
        is_offered,
        valid_from,
        valid_to
    from typed

)

select * from final
