-- Files of an export do not count any more, since others of it were written again without them, and they hold more than
-- those that count. Where the export has not shrunk, a single part was corrected: write all of its parts again.
{{ config(severity='warn') }}

with versions as (
    select
        source_instance,
        path,
        max(load_id) as load_id
    from {{ ref('stg_loads__files') }}
    where source = 'focus'
    group by source_instance, path
),

charges as (
    select
        charges.source_instance,
        charges.export_path,
        charges.billing_currency,
        charges.billed_amount,
        files.path is not null as is_counted
    from {{ ref('stg_provider__focus_costs') }} as charges
    inner join versions
        on
            charges.source_instance = versions.source_instance
            and charges.path = versions.path
            and charges.load_id = versions.load_id
    left join {{ ref('int_focus_files') }} as files
        on
            versions.source_instance = files.source_instance
            and versions.path = files.path
            and versions.load_id = files.load_id
),

summed as (
    select
        source_instance,
        export_path,
        billing_currency,
        sum(case when is_counted then billed_amount else 0 end) as counted_amount,
        sum(case when is_counted then 0 else billed_amount end) as left_behind_amount
    from charges
    group by source_instance, export_path, billing_currency
)

select * from summed
where left_behind_amount > counted_amount
