-- Per month and provider: both sides of the reconciliation are what gateways estimate and what is billed, nothing lost
-- and nothing twice, and its causes add up to their difference, to the last digit.
{{ config(severity='error') }}

with requests as (
    select
        {{ month_start('usage_date') }} as billing_period,
        channel as provider,
        sum(gateway_usd) as gateway_usd,
        0 as provider_usd
    from {{ ref('int_requests_reconciled_daily') }}
    group by {{ month_start('usage_date') }}, channel
),

costs as (
    select
        {{ month_start('cost_date') }} as billing_period,
        provider,
        0 as gateway_usd,
        coalesce(sum(billed_usd), 0) as provider_usd
    from {{ ref('fct_llm_provider_costs') }}
    where is_of_record
    group by {{ month_start('cost_date') }}, provider
),

sides as (
    select
        billing_period,
        provider,
        sum(gateway_usd) as gateway_usd,
        sum(provider_usd) as provider_usd
    from (
        select * from requests
        union all
        select * from costs
    ) as both_sides
    group by billing_period, provider
),

reconciled as (
    select
        billing_period,
        provider,
        max(gateway_usd) as gateway_usd,
        max(provider_usd) as provider_usd,
        sum(amount_usd) as explained_usd
    from {{ ref('llm_reconciliation') }}
    group by billing_period, provider
)

select
    sides.billing_period,
    sides.provider,
    sides.gateway_usd,
    reconciled.gateway_usd as reconciled_gateway_usd,
    sides.provider_usd,
    reconciled.provider_usd as reconciled_provider_usd,
    reconciled.explained_usd
from sides
left join reconciled on sides.billing_period = reconciled.billing_period and sides.provider = reconciled.provider
where
    reconciled.provider is null
    or sides.gateway_usd <> coalesce(reconciled.gateway_usd, 0)
    or sides.provider_usd <> coalesce(reconciled.provider_usd, 0)
    or sides.provider_usd - sides.gateway_usd <> reconciled.explained_usd
