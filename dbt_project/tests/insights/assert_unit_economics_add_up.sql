-- Of each KPI, features and customers add up to the total in cost, tokens and events, and the total is that of the days
-- and of what was recorded. Its value is one side by the other, to six places.
{{ config(severity='error') }}

with economics as (
    select * from {{ ref('llm_unit_economics') }}
),

days as (
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(total_tokens) as total_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_usage_daily') }}
    group by {{ llm_spend.month_start('usage_date') }}
),

summed as (
    select
        billing_period,
        kpi_id,
        member_type,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(total_tokens) as total_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from economics
    group by billing_period, kpi_id, member_type
),

event_sums as (
    select
        billing_period,
        event_type,
        member_type,
        sum(quantity) as events
    from {{ ref('int_business_event_days') }}
    where not is_level
    group by billing_period, event_type, member_type
    having count(*) = count(quantity)
),

event_totals as (
    select
        billing_period,
        event_type,
        case when sum(unknown_rows) = 0 then sum(quantity) end as events
    from {{ ref('int_business_events') }}
    where not is_level
    group by billing_period, event_type
),

-- Each KPI of a month with usage that counts such an event, and what its rows say of it.
sides as (
    {% for side in ['numerator', 'denominator'] -%}
    select
        event_totals.billing_period,
        event_totals.event_type,
        event_totals.events,
        kpis.kpi_id,
        economics.member_type,
        sum(economics.{{ side }}_value) as said
    from event_totals
    inner join days on event_totals.billing_period = days.billing_period
    inner join {{ ref('stg_mapping__kpis') }} as kpis on event_totals.event_type = kpis.{{ side }}
    left join economics
        on event_totals.billing_period = economics.billing_period and kpis.kpi_id = economics.kpi_id
    group by
        event_totals.billing_period, event_totals.event_type, event_totals.events, kpis.kpi_id, economics.member_type
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

final as (
    select
        summed.billing_period,
        summed.kpi_id as name,
        summed.member_type
    from summed
    inner join days on summed.billing_period = days.billing_period
    where
        summed.cost_usd <> days.cost_usd
        or summed.total_tokens <> days.total_tokens
        or summed.unpriced_tokens <> days.unpriced_tokens
    union all
    select
        event_sums.billing_period,
        event_sums.event_type as name,
        event_sums.member_type
    from event_sums
    inner join event_totals
        on
            event_sums.billing_period = event_totals.billing_period
            and event_sums.event_type = event_totals.event_type
    where event_sums.events <> event_totals.events
    union all
    select
        billing_period,
        kpi_id as name,
        member_type
    from sides
    where events is not null and coalesce(said <> events, true)
    union all
    select
        billing_period,
        kpi_id as name,
        member_type
    from economics
    where
        (kpi_value is null) <> (numerator_value is null or coalesce(denominator_value, 0) <= 0)
        or abs(kpi_value * cast(denominator_value as {{ type_decimal(38, 6) }}) - numerator_value * per)
        > (abs(kpi_value) + denominator_value) * {{ exact('0.000001') }}
)

select * from final
