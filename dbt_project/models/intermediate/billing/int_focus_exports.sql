{{ config(materialized='view') }}

{% set bill = ['source_instance', 'profile', 'billing_account_id', 'sub_account_id', 'billing_period_start'] %}

with charges as (
    select * from {{ ref('stg_provider__focus') }}
),

files as (
    select * from {{ ref('int_focus_files') }}
),

covered as (
    select
        {% for column in bill -%}
        charges.{{ column }},
        {% endfor -%}
        charges.export_path,
        min(charges.charge_date) as covered_from,
        max(charges.covered_to) as covered_to,
        max(files.modified_at) as exported_at,
        max(charges.load_id) as load_id
    from charges
    inner join files
        on
            charges.source_instance = files.source_instance
            and charges.path = files.path
            and charges.load_id = files.load_id
    group by
        {% for column in bill -%}
        charges.{{ column }},
        {% endfor -%}
        charges.export_path
),

final as (
    select
        *,
        row_number() over (partition by {{ bill | join(', ') }} order by exported_at, load_id, export_path)
            as export_number
    from covered
)

select * from final
