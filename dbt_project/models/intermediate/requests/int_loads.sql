{{ config(materialized='view') }}

with windows as (
    select
        source,
        source_instance,
        entity,
        window_start,
        window_end,
        cast(window_start as date) as window_date,
        load_id
    from {{ ref('stg_loads__files') }}
    where window_start is not null
),

-- What an API says later about the same time counts instead: also that a record is gone. Both are within one day.
superseded as (
    select older.load_id
    from windows as older
    inner join windows as newer
        on
            older.source = newer.source
            and older.source_instance = newer.source_instance
            and older.entity = newer.entity
            and older.window_date = newer.window_date
    where
        older.load_id < newer.load_id
        and older.window_start >= newer.window_start
        and older.window_end <= newer.window_end
    group by older.load_id
),

loads as (
    select
        load_id,
        loaded_at
    from {{ ref('stg_loads__packages') }}
    where load_id not in (select load_id from superseded)
    {% for name in var('llm_spend_request_models') if '.' in name %}
    union all
    select
        load_id,
        loaded_at
    from {{ request_model(name) }}
    {% endfor %}
),

final as (
    select
        load_id,
        max(loaded_at) as loaded_at
    from loads
    group by load_id
)

select * from final
