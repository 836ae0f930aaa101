with contents as (
    select * from {{ ref('int_load_contents') }}
),

final as (
    select distinct
        source_system,
        raw_provider,
        raw_model
    from contents
    where source_system is not null
)

select * from final
