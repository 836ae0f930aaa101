{{ config(materialized='view') }}

with files as (
    select * from {{ ref('stg_loads__files') }}
),

loads as (
    select * from {{ ref('int_loads') }}
),

arrived as (
    select
        files.path,
        files.window_start is not null as is_window,
        files.load_id,
        -- When it was written; where the storage does not tell, when it was loaded.
        coalesce(files.modified_at, loads.loaded_at) as asked_at,
        row_number() over (
            partition by files.source, files.source_instance, files.entity, files.path
            order by files.load_id desc
        ) as choice
    from files
    inner join loads on files.load_id = loads.load_id
),

-- A window that was asked for again is out of int_loads already; of a file the newest version counts.
final as (
    select
        load_id,
        path,
        is_window,
        max(asked_at) as asked_at
    from arrived
    where is_window or choice = 1
    group by load_id, path, is_window
)

select * from final
