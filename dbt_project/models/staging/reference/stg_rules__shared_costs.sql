with

seed_rows as (

    select * from {{ ref('shared_costs') }}

),

final as (

    select
        trim(shared_cost_id) as shared_cost_id,
        coalesce(trim(description), '') as description,
        case when lower(trim(source)) like 'team:%' then 'team' else lower(trim(source)) end as source,
        case
            when lower(trim(source)) like 'team:%' then trim(substr(trim(source), 6))
            when lower(trim(source)) = 'unallocated' then {{ unallocated() }}
        end as source_team_id,
        lower(nullif(trim(provider), '')) as provider,
        {{ llm_spend.seed_number('amount', llm_spend.type_money()) }} as amount,
        upper(nullif(trim(currency), '')) as currency,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as usd_per_unit,
        lower(trim(method)) as method,
        {{ llm_spend.seed_number('valid_from', 'date') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as valid_to
    from seed_rows

)

select * from final
