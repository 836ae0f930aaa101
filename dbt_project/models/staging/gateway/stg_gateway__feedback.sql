with feedback as (
    select * from {{ source('gateway', 'gateway__feedback') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        given_at,
        record_id,
        trace_id,
        cast(value as {{ type_decimal(18, 6) }}) as feedback_value,
        cast(coalesce(weight, 1) as {{ type_decimal(18, 6) }}) as weight,
        _dlt_load_id as load_id
    from feedback
    where _problem is null
)

select * from final
