with quarantine as (
    select * from {{ source('loads', 'llm_spend__quarantine') }}
),

packages as (
    select * from {{ ref('stg_loads__packages') }}
),

final as (
    select
        quarantine.source,
        quarantine.source_instance,
        quarantine.table_name,
        quarantine.file,
        quarantine.line,
        quarantine.reason,
        quarantine.found_in_load_id as load_id
    from quarantine
    inner join packages on quarantine._dlt_load_id = packages.load_id
)

select * from final
