with

seed_rows as (

    select * from {{ ref('shared_cost_weights') }}

),

final as (

    select
        trim(shared_cost_id) as shared_cost_id,
        trim(team_id) as team_id,
        nullif(trim(cost_center_id), '') as cost_center_id,
        {{ llm_spend.seed_number('weight', llm_spend.type_decimal(18, 6)) }} as weight,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as valid_to
    from seed_rows

)

select * from final
