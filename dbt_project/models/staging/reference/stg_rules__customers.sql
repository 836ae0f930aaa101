with

seed_rows as (

    select * from {{ ref('customers') }}

),

final as (

    select
        trim(customer_id) as customer_id,
        nullif(trim(customer_name), '') as customer_name,
        nullif(trim(plan_id), '') as plan_id,
        nullif(trim(account_owner), '') as account_owner,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as valid_to
    from seed_rows

)

select * from final
