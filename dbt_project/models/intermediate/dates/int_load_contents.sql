{{ config(materialized='incremental', incremental_strategy=llm_spend.add_rows(), on_schema_change='fail') }}

with loads as (
    select * from {{ ref('int_loads') }}
),

-- By id, not by time: a load that was imported from elsewhere keeps the time that it has there.
new_loads as (
    select load_id
    from loads
    where
        {{ llm_spend.is_new_load() }}
        {% if is_incremental() %}
        and load_id not in (select load_id from {{ this }})
        {% endif %}
),

arrived as (
    select
        load_id,
        source_system,
        source_instance,
        usage_date,
        raw_provider,
        raw_model,
        count(*) as rows_loaded,
        min(started_at) as first_event_at,
        max(started_at) as last_event_at
    from {{ ref('int_requests_unioned') }}
    where
        load_id in (select load_id from new_loads)
        and {{ llm_spend.is_new_load() }}
    group by load_id, source_system, source_instance, usage_date, raw_provider, raw_model
),

-- A load without a request has a row too: else it would be looked for again in every build.
final as (
    select
        new_loads.load_id,
        arrived.source_system,
        arrived.source_instance,
        arrived.usage_date,
        arrived.raw_provider,
        arrived.raw_model,
        coalesce(arrived.rows_loaded, 0) as rows_loaded,
        arrived.first_event_at,
        arrived.last_event_at
    from new_loads
    left join arrived on new_loads.load_id = arrived.load_id
)

select * from final
