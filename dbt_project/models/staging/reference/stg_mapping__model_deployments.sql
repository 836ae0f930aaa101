with

seed_rows as (

    select * from {{ ref('model_deployments') }}

),

final as (

    select
        lower(trim(channel)) as channel,
        lower(trim(deployment)) as deployment,
        trim(model_id) as model_id,
        cast(coalesce(nullif(trim(valid_from), ''), '1970-01-01') as {{ llm_spend.type_timestamp() }}) as valid_from,
        cast(coalesce(nullif(trim(valid_to), ''), '9999-12-31') as {{ llm_spend.type_timestamp() }}) as valid_to
    from seed_rows

)

select * from final
