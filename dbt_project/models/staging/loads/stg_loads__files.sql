with files as (
    select * from {{ source('loads', 'llm_spend__files') }}
),

final as (
    select
        source,
        source_instance,
        path,
        size_bytes,
        modified_at,
        _dlt_load_id as load_id
    from files
)

select * from final
