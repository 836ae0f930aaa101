-- Our list cost of a model is more than 10 times, or less than a tenth of, what the gateway says: a price, an alias or a unit
-- is wrong on one of the two sides. Only attempts for which both are known, on the dates that were built, per month and
-- above one dollar.
{{ config(severity='warn') }}

with compared as (
    select
        {{ month_start('usage_date') }} as billing_period,
        source_system,
        channel,
        model_id,
        sum(list_cost_usd) as list_cost_usd,
        sum(gateway_reported_usd) as gateway_reported_usd
    from {{ ref('fct_llm_requests') }}
    where
        price_status in ('priced', 'parent_unit', 'assumed_standard')
        and gateway_reported_usd > 0
        and {{ recently_built() }}
    group by 1, 2, 3, 4
)

select *
from compared
where
    greatest(list_cost_usd, gateway_reported_usd) > 1
    and (list_cost_usd > gateway_reported_usd * 10 or gateway_reported_usd > list_cost_usd * 10)
