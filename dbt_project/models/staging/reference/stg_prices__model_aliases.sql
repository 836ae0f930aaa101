with

seed_rows as (

    select * from {{ ref('model_aliases') }}

),

final as (

    select
        nullif(trim(provider), '') as provider,
        lower(trim(channel)) as channel,
        trim(model_id) as model_id,
        lower(trim(match_type)) as match_type,
        lower(trim(pattern)) as pattern,
        nullif(lower(trim(excluded_pattern)), '') as excluded_pattern,
        cast(catalogue_order as {{ dbt.type_bigint() }}) as catalogue_order
    from seed_rows

)

select * from final
