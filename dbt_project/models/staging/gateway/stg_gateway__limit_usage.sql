with limit_usage as (
    select * from {{ source('gateway', 'gateway__limit_usage') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        limit_id,
        entity,
        period_start,
        period_end,
        case when used_unit = 'us_cent' then {{ cents_to_usd('used_value') }} else used_value end as used_value,
        case when used_unit = 'us_cent' then 'usd' else used_unit end as used_unit,
        limit_value,
        lower(status) as status,
        observed_at,
        _dlt_load_id as load_id
    from limit_usage
    where _problem is null
)

select * from final
