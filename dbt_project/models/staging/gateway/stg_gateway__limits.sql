with limits as (
    select * from {{ source('gateway', 'gateway__limits') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        limit_id,
        name as limit_name,
        limit_kind,
        scope_type,
        {{ stored_json('scope') }} as scope,
        {{ stored_json('counter_keys') }} as counter_keys,
        measure,
        case when limit_unit = 'us_cent' then {{ cents_to_usd('limit_value') }} else limit_value end as limit_value,
        case when limit_unit = 'us_cent' then 'usd' else limit_unit end as limit_unit,
        window_unit,
        window_length,
        window_anchor,
        enforcement,
        evaluation,
        rule_order,
        {{ stored_json('alert_thresholds') }} as alert_thresholds,
        lower(status) as status,
        next_reset_at,
        observed_at,
        _file as list_path,
        _dlt_load_id as load_id
    from limits
    where _problem is null
)

select * from final
