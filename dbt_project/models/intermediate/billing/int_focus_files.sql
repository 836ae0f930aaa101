{{ config(materialized='view') }}

with charges as (
    select * from {{ ref('stg_provider__focus') }}
),

versions as (
    select
        source_instance,
        path,
        load_id,
        modified_at,
        row_number() over (partition by source_instance, path order by load_id desc) as version_number,
        lead(load_id) over (partition by source_instance, path order by load_id desc) as previous_load_id
    from {{ ref('stg_loads__files') }}
    where source = 'focus'
),

places as (
    select distinct
        source_instance,
        path,
        export_path
    from charges
),

newest as (
    select
        versions.source_instance,
        versions.path,
        places.export_path,
        versions.load_id,
        versions.previous_load_id,
        versions.modified_at
    from versions
    inner join places on versions.source_instance = places.source_instance and versions.path = places.path
    where versions.version_number = 1
),

-- Of an export that was written again with fewer parts, those that were not written again.
stale as (
    select distinct
        newest.source_instance,
        newest.path
    from newest
    inner join newest as others
        on newest.source_instance = others.source_instance and newest.export_path = others.export_path
    where
        others.load_id > newest.load_id
        and others.previous_load_id >= newest.load_id
),

final as (
    select
        newest.source_instance,
        newest.path,
        newest.export_path,
        newest.load_id,
        newest.modified_at
    from newest
    left join stale on newest.source_instance = stale.source_instance and newest.path = stale.path
    where stale.path is null
)

select * from final
