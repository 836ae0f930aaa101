{{ config(materialized='view') }}

with files as (
    select * from {{ ref('stg_loads__files') }}
),

-- A list has no window: it was asked for as a whole. A list that had not changed was not loaded.
lists as (
    select
        source as source_system,
        source_instance,
        entity,
        load_id,
        path as list_path,
        max(modified_at) as observed_at
    from files
    where
        entity not in ('requests', 'usage', 'costs')
        and window_start is null
    group by source, source_instance, entity, load_id, path
),

final as (
    select
        *,
        row_number() over (partition by source_system, source_instance, entity order by load_id, list_path)
            as listing_number
    from lists
)

select * from final
