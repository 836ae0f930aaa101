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

closings as (

    select
        *,
        {{ llm_spend.month_after('billing_period') }} as next_period
    from ranked
    where choice = 1

),

-- Where two closed months meet, the zone of the one that was closed first holds: its hours are published.
zoned as (

    select
        closings.*,
        case when earlier.closed_at <= closings.closed_at then earlier.time_zone else closings.time_zone end
            as zone_of_start,
        case when later.closed_at < closings.closed_at then later.time_zone else closings.time_zone end
            as zone_of_end
    from closings
    left join closings as earlier on closings.billing_period = earlier.next_period
    left join closings as later on closings.next_period = later.billing_period

),

final as (

    select
        billing_period,
        cast({{ llm_spend.local_midnight('billing_period', 'zone_of_start') }} as {{ llm_spend.type_timestamp() }})
            as starts_at,
        cast({{ llm_spend.local_midnight('next_period', 'zone_of_end') }} as {{ llm_spend.type_timestamp() }})
            as ends_at,
        closed_at,
        closing
    from zoned

)

select * from final
