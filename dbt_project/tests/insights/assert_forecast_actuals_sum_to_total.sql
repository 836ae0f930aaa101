-- The known part of a month is the same by team, feature, customer, model and in all, and no interval leaves it.
{{ config(severity='error') }}

with forecasts as (
    select * from {{ ref('llm_spend_forecast') }}
),

totals as (
    select
        billing_period,
        actual_usd
    from forecasts
    where member_type = 'total'
),

parts as (
    select
        billing_period,
        member_type,
        sum(actual_usd) as actual_usd
    from forecasts
    where member_type <> 'total'
    group by billing_period, member_type
),

final as (
    select
        parts.billing_period,
        parts.member_type,
        '(all)' as member_id
    from parts
    left join totals on parts.billing_period = totals.billing_period
    where coalesce(parts.actual_usd <> totals.actual_usd, true)
    union all
    select
        billing_period,
        member_type,
        member_id
    from forecasts
    where
        (status = 'forecast' and (forecast_usd is null or reason is not null))
        or (status = 'refused' and (forecast_usd is not null or reason is null))
        -- Both are rounded to cents, and what is known is not.
        or lower_usd < round(actual_usd, 2)
        or lower_usd > forecast_usd
        or upper_usd < forecast_usd
)

select * from final
