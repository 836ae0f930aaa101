with

period_close as (

    select * from {{ ref('stg_rules__period_close') }}

),

final as (

    select
        billing_period,
        cast(billing_period as {{ llm_spend.type_timestamp() }}) as starts_at,
        cast({{ dbt.dateadd('month', 1, 'billing_period') }} as {{ llm_spend.type_timestamp() }}) as ends_at,
        max(closed_at) as closed_at,
        max(closing) as closing
    from period_close
    group by billing_period

)

select * from final
