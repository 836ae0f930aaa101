with kpis as (
    select * from {{ ref('stg_mapping__kpis') }}
),

events as (
    select * from {{ ref('int_business_event_days') }}
),

by_feature as (
    select * from {{ ref('llm_usage_by_feature_daily') }}
),

by_customer as (
    select * from {{ ref('llm_usage_by_customer_daily') }}
),

usage_days as (
    select
        usage_date,
        'total' as member_type,
        '(all)' as member_id,
        sum(cost_usd) as cost_usd
    from by_feature
    group by usage_date
    union all
    select
        usage_date,
        'feature' as member_type,
        feature_id as member_id,
        cost_usd
    from by_feature
    union all
    select
        usage_date,
        'customer' as member_type,
        customer_id as member_id,
        cost_usd
    from by_customer
),

-- A quantity of the month tells of each of its days with usage.
records as (
    select
        member_type,
        member_id,
        event_date as usage_date,
        event_type,
        case when is_said_of_member then 1 else 0 end as is_said
    from events
    where not covers_month
    union all
    select
        events.member_type,
        events.member_id,
        usage_days.usage_date,
        events.event_type,
        case when events.is_said_of_member then 1 else 0 end as is_said
    from events
    inner join usage_days
        on
            events.member_type = usage_days.member_type
            and events.member_id = usage_days.member_id
            and events.billing_period = {{ month_start('usage_days.usage_date') }}
    where events.covers_month
),

recorded as (
    select
        member_type,
        member_id,
        usage_date,
        event_type,
        max(is_said) as is_said
    from records
    group by member_type, member_id, usage_date, event_type
),

kpi_events as (
    select
        kpi_id,
        numerator_event as event_type
    from kpis
    where numerator_event is not null
    {{ llm_spend.union_distinct() }}
    select
        kpi_id,
        denominator_event as event_type
    from kpis
    where denominator_event is not null
),

needed as (
    select
        kpi_id,
        count(*) as event_types
    from kpi_events
    group by kpi_id
),

kpi_days as (
    select
        recorded.member_type,
        recorded.member_id,
        recorded.usage_date,
        kpi_events.kpi_id,
        min(recorded.is_said) as is_said,
        count(*) as event_types
    from recorded
    inner join kpi_events on recorded.event_type = kpi_events.event_type
    group by recorded.member_type, recorded.member_id, recorded.usage_date, kpi_events.kpi_id
),

covered_days as (
    select
        kpi_days.member_type,
        kpi_days.member_id,
        kpi_days.usage_date,
        kpi_days.kpi_id,
        -- What is said of parts only covers their cost, and not that of the total.
        case
            when kpi_days.member_type <> 'total' or kpi_days.is_said = 1 then coalesce(usage_days.cost_usd, 0)
            else 0
        end as cost_usd
    from kpi_days
    inner join needed
        on kpi_days.kpi_id = needed.kpi_id and kpi_days.event_types = needed.event_types
    left join usage_days
        on
            kpi_days.member_type = usage_days.member_type
            and kpi_days.member_id = usage_days.member_id
            and kpi_days.usage_date = usage_days.usage_date
),

covered_types as (
    select
        usage_date,
        kpi_id,
        member_type,
        sum(cost_usd) as cost_usd
    from covered_days
    -- Events of no known customer are no events of the usage that has none.
    where member_id <> {{ unallocated() }}
    group by usage_date, kpi_id, member_type
),

-- Of the total, on each day, what its features or its customers cover, or the whole.
covered_totals as (
    select
        'total' as member_type,
        '(all)' as member_id,
        usage_date,
        kpi_id,
        max(cost_usd) as cost_usd
    from covered_types
    group by usage_date, kpi_id
),

covered as (
    select
        member_type,
        member_id,
        usage_date,
        kpi_id,
        cost_usd
    from covered_days
    where member_type <> 'total'
    union all
    select
        member_type,
        member_id,
        usage_date,
        kpi_id,
        cost_usd
    from covered_totals
),

final as (
    select
        {{ month_start('usage_date') }} as billing_period,
        member_type,
        member_id,
        kpi_id,
        count(*) as days_with_events,
        cast(sum(cost_usd) as {{ type_money() }}) as cost_usd
    from covered
    group by {{ month_start('usage_date') }}, member_type, member_id, kpi_id
)

select * from final
