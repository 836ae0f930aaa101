{{ config(materialized='view') }}

with loads as (
    select
        load_id,
        loaded_at
    from {{ ref('stg_loads__packages') }}
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
