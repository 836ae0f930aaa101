with quarantine as (
    select * from {{ source('loads', 'llm_spend__quarantine') }}
),

final as (
    select
        source,
        source_instance,
        table_name,
        file,
        line,
        reason,
        found_in_load_id as load_id
    from quarantine
)

select * from final
