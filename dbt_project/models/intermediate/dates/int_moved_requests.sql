{{ config(materialized='incremental', incremental_strategy=llm_spend.add_rows(), on_schema_change='fail') }}

with loads as (
    select distinct load_id from {{ ref('int_load_contents') }}
),

requests as (
    select
        source_system,
        source_instance,
        source_record_id,
        {{ llm_spend.short_hash('source_record_id') }} as record_hash,
        usage_date,
        load_id
    from {{ ref('int_requests_unioned') }}
    where load_id in (select load_id from loads)
),

new_loads as (
    select load_id
    from loads
    {% if is_incremental() %}
    where load_id not in (select load_id from {{ this }})
    {% endif %}
),

-- Hashes of ids first: few of them lead to a request on two dates, and only for those keys are made and compared.
{% if is_incremental() %}
candidates as (
    select record_hash
    from requests
    where load_id in (select load_id from new_loads)
    group by record_hash
),
{% else %}
candidates as (
    select record_hash
    from requests
    group by record_hash
    having min(usage_date) <> max(usage_date)
),
{% endif %}

found as (
    select
        source_system,
        source_instance,
        source_record_id,
        usage_date,
        load_id
    from requests
    where record_hash in (select record_hash from candidates)
    group by source_system, source_instance, source_record_id, usage_date, load_id
),

versions as (
    select
        {{ llm_spend.request_key() }} as request_key,
        usage_date,
        load_id
    from found
),

moved_keys as (
    select request_key
    from versions
    group by request_key
    having min(usage_date) <> max(usage_date)
),

moved as (
    select
        versions.load_id,
        versions.request_key,
        versions.usage_date
    from versions
    inner join moved_keys on versions.request_key = moved_keys.request_key
    {% if is_incremental() %}
    left join {{ this }} as known
        on
            versions.load_id = known.load_id
            and versions.request_key = known.request_key
            and versions.usage_date = known.usage_date
    where known.load_id is null
    {% endif %}
),

final as (
    select load_id, request_key, usage_date from moved
    union all
    -- A load that moved nothing has been looked at too.
    select
        new_loads.load_id,
        cast(null as {{ dbt.type_string() }}) as request_key,
        cast(null as date) as usage_date
    from new_loads
    left join moved on new_loads.load_id = moved.load_id
    where moved.load_id is null
)

select * from final
