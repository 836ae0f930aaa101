with

seed_rows as (

    select * from {{ ref('plan_designs') }}

),

typed as (

    select
        trim(design_id) as design_id,
        coalesce(nullif(trim(design_name), ''), trim(design_id)) as design_name,
        coalesce(nullif(lower(trim(assignment)), ''), 'cheapest') as assignment,
        {{ llm_spend.plan_columns() }}
    from seed_rows

),

final as (

    select
        *,
        lead(tier_from_tokens) over (partition by design_id, plan_id order by tier_from_tokens) as tier_to_tokens
    from typed

)

select * from final
