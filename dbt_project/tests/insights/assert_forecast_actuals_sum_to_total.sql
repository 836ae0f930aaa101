-- The known part of a month is the same by team, feature, customer, model and in all, and no interval leaves it.
{{ config(severity='error') }}

with forecasts as (
    select * from {{ ref('llm_spend_forecast') }}
),

types as (
    {% for member_type in ['team', 'feature', 'customer', 'model'] -%}
    select '{{ member_type }}' as member_type
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- Of each month each kind, also one that is missing.
asked as (
    select
        months.billing_period,
        types.member_type
    from (select distinct billing_period from forecasts) as months
    cross join types
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
        asked.billing_period,
        asked.member_type,
        '(all)' as member_id
    from asked
    left join totals on asked.billing_period = totals.billing_period
    left join parts
        on
            asked.billing_period = parts.billing_period
            and asked.member_type = parts.member_type
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
