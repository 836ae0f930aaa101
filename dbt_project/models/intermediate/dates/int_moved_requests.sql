{{ config(materialized='incremental', incremental_strategy=llm_spend.add_rows(), on_schema_change='fail') }}

with places as (
    select
        load_id,
        usage_date,
        {{ llm_spend.place_hash() }} as place_hash
    from {{ ref('int_load_contents') }}
    where usage_date is not null
    group by load_id, usage_date
),

new_places as (
    select place_hash
    from {{ ref('int_seen_requests') }}
    {% if is_incremental() %}
    where place_hash not in (select place_hash from {{ this }})
    {% endif %}
    group by place_hash
),

{% if is_incremental() %}
arrived as (
    select request_hash
    from {{ ref('int_seen_requests') }}
    where place_hash in (select place_hash from new_places)
    group by request_hash
),
{% endif %}

moved_hashes as (
    select seen.request_hash
    from {{ ref('int_seen_requests') }} as seen
    inner join places on seen.place_hash = places.place_hash
    {% if is_incremental() %}
    where seen.request_hash in (select request_hash from arrived)
    {% endif %}
    group by seen.request_hash
    having min(places.usage_date) <> max(places.usage_date)
),

versions as (
    select
        seen.place_hash,
        seen.request_hash
    from {{ ref('int_seen_requests') }} as seen
    where seen.request_hash in (select request_hash from moved_hashes)
    group by seen.place_hash, seen.request_hash
),

moved as (
    select
        versions.place_hash,
        versions.request_hash
    from versions
    {% if is_incremental() %}
    left join {{ this }} as known
        on versions.place_hash = known.place_hash and versions.request_hash = known.request_hash
    where known.place_hash is null
    {% endif %}
),

-- A place where nothing moved has been looked at too.
final as (
    select
        places.load_id,
        places.usage_date,
        places.place_hash,
        moved.request_hash
    from places
    left join moved on places.place_hash = moved.place_hash
    where
        moved.place_hash is not null
        or places.place_hash in (select place_hash from new_places)
)

select * from final
