with

seed_rows as (

    select * from {{ ref('channel_fallbacks') }}

),

final as (

    select
        lower(trim(channel)) as channel,
        lower(trim(fallback_channel)) as fallback_channel,
        {{ llm_spend.seed_number('fallback_order', dbt.type_bigint()) }} as fallback_order
    from seed_rows

)

select * from final
