with

period_close as (

    select * from {{ ref('stg_rules__period_close') }}

),

ranked as (

    select
        *,
        row_number() over (partition by billing_period order by closed_at desc, closing desc, action) as choice
    from period_close

),

final as (

    select
        billing_period,
        cast(billing_period as {{ llm_spend.type_timestamp() }}) as starts_at,
        cast({{ dbt.dateadd('month', 1, 'billing_period') }} as {{ llm_spend.type_timestamp() }}) as ends_at,
        closed_at,
        closing
    from ranked
    where choice = 1 and action = 'close'

)

select * from final
