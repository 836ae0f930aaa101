with

seed_rows as (

    select * from {{ ref('customer_plans') }}

),

typed as (

    select
        trim(plan_id) as plan_id,
        coalesce(nullif(trim(plan_name), ''), trim(plan_id)) as plan_name,
        {{ llm_spend.seed_number('monthly_fee', llm_spend.type_money()) }} as monthly_fee,
        upper(nullif(trim(currency), '')) as currency,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as usd_per_unit,
        -- Some warehouses would round what is no whole number.
        case
            when {{ llm_spend.regex_found("trim(included_tokens)", "'^[0-9]+$'") }}
                then {{ llm_spend.seed_number('included_tokens', dbt.type_bigint()) }}
        end as included_tokens,
        case
            when coalesce(trim(tier_from_tokens), '') = '' then 0
            when {{ llm_spend.regex_found("trim(tier_from_tokens)", "'^[0-9]+$'") }}
                then {{ llm_spend.seed_number('tier_from_tokens', dbt.type_bigint()) }}
        end as tier_from_tokens,
        {{ llm_spend.seed_number('price_per_million_tokens', llm_spend.type_decimal(18, 6)) }} as price_per_million,
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
