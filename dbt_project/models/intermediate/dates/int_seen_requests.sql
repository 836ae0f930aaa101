{{ config(materialized='incremental', incremental_strategy=llm_spend.add_rows(), on_schema_change='fail') }}

with loads as (
    select * from {{ ref('int_loads') }}
),

places as (
    select
        load_id,
        usage_date,
        {{ llm_spend.place_hash() }} as place_hash
    from {{ ref('int_load_contents') }}
    where
        usage_date is not null
        and load_id in (select load_id from loads)
        and {{ llm_spend.is_new_load() }}
    group by load_id, usage_date
),

-- Told which loads are new, it does not look at its own rows, which are many. After a build that failed some are here
-- already: a request that was seen twice in one place is no other than one that was seen once.
new_places as (
    select places.*
    from places
    {% if is_incremental() and llm_spend.constants('new_loads') is none %}
    left join (select place_hash from {{ this }} group by place_hash) as noted on places.place_hash = noted.place_hash
    where noted.place_hash is null
    {% endif %}
),

-- By load, raw tables are skipped that a join of load and date would read.
requests as (
    select
        request_key,
        load_id,
        usage_date
    from {{ ref('int_requests_unioned') }}
    where
        load_id in (select load_id from new_places)
        and {{ llm_spend.is_new_load() }}
),

final as (
    select
        {{ llm_spend.short_hash('requests.request_key') }} as request_hash,
        new_places.place_hash
    from requests
    inner join new_places
        on requests.load_id = new_places.load_id and requests.usage_date = new_places.usage_date
)

select * from final
