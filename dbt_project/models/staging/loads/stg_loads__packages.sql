with packages as (
    select * from {{ source('loads', '_dlt_loads') }}
),

-- Status 0: complete. Rows of a load that never completed are not there for any model.
final as (
    select
        load_id,
        schema_name as source,
        {{ utc_timestamp('inserted_at') }} as loaded_at
    from packages
    where status = 0
)

select * from final
