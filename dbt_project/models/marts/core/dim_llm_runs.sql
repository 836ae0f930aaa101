with runs as (
    select * from {{ ref('stg_tracking__runs') }}
    where load_id in (select load_id from {{ ref('int_loads') }})
),

-- A list does not say less later: a run that is gone from it was deleted or is too old to be listed, and stays.
ranked as (
    select
        *,
        row_number() over (
            partition by source_system, source_instance, run_id
            order by
                load_id desc, observed_at desc, coalesce(status, ''), coalesce(run_name, ''),
                coalesce(experiment_id, ''), coalesce({{ document_text('tags') }}, ''),
                coalesce({{ document_text('metrics') }}, '')
        ) as choice
    from runs
),

final as (
    select
        source_system,
        source_instance,
        run_id,
        run_name,
        experiment_id,
        experiment_name,
        status,
        lower(user_id) as user_id,
        started_at,
        ended_at,
        coalesce(lifecycle_stage = 'deleted', false) as is_deleted,
        tags,
        params,
        metrics,
        observed_at
    from ranked
    where choice = 1
)

select * from final
