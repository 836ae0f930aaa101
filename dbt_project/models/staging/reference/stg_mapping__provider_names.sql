with

seed_rows as (

    select * from {{ ref('provider_names') }}

),

final as (

    select
        lower(trim(source_system)) as source_system,
        lower(trim(raw_provider)) as raw_provider,
        lower(trim(provider)) as provider,
        lower(trim(channel)) as channel
    from seed_rows

)

select * from final
