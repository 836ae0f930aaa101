with files as (
    select * from {{ source('loads', 'llm_spend__files') }}
),

packages as (
    select * from {{ ref('stg_loads__packages') }}
),

final as (
    select
        files.source,
        files.source_instance,
        files.path,
        files.size_bytes,
        files.modified_at,
        files.window_start,
        files.window_end,
        coalesce(files.entity, 'requests') as entity,
        files._dlt_load_id as load_id
    from files
    inner join packages on files._dlt_load_id = packages.load_id
)

select * from final
