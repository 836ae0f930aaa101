with

period_close as (

    select * from {{ ref('stg_rules__period_close') }}

),

openings as (

    select
        billing_period,
        max(closed_at) as opened_at
    from period_close
    where action = 'reopen'
    group by billing_period

),

-- The first closing since the month was open: one that follows it changes nothing that was published.
ranked as (

    select
        period_close.*,
        row_number() over (
            partition by period_close.billing_period
            order by period_close.closed_at, period_close.closing
        ) as choice
    from period_close
    left join openings on period_close.billing_period = openings.billing_period
    where
        period_close.action = 'close'
        and (openings.opened_at is null or period_close.closed_at >= openings.opened_at)

),

final as (

    select
        billing_period,
        cast(billing_period as {{ llm_spend.type_timestamp() }}) as starts_at,
        cast({{ dbt.dateadd('month', 1, 'billing_period') }} as {{ llm_spend.type_timestamp() }}) as ends_at,
        closed_at,
        closing
    from ranked
    where choice = 1

)

select * from final
