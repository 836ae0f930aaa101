with rules as (
    select * from {{ ref('attribution_rules') }}
),

final as (
    select
        lower(trim(dimension)) as dimension,
        lower(trim(source_system)) as source_system,
        trim(metadata_key) as metadata_key,
        cast(priority as {{ dbt.type_int() }}) as priority
    from rules
)

select * from final
