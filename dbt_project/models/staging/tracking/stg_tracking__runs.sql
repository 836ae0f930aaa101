with runs as (
    select * from {{ source('tracking', 'tracking__runs') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        run_id,
        run_name,
        experiment_id,
        experiment_name,
        lower(status) as status,
        user_id,
        started_at,
        ended_at,
        lower(lifecycle_stage) as lifecycle_stage,
        {{ stored_json('tags') }} as tags,
        {{ stored_json('params') }} as params,
        {{ stored_json('metrics') }} as metrics,
        observed_at,
        _dlt_load_id as load_id
    from runs
    where _problem is null
)

select * from final
