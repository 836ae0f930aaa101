-- Amounts that teams share in a currency without a rate on the month's first day (statements have them as NULL: add the
-- rate to fx_rates, or usd_per_unit to shared_costs), and what nobody shares: an amount is `(unallocated)` then, and what
-- a team or nobody costs stays where it is.
{{ config(severity='warn') }}

with shared as (
    select
        billing_period,
        shared_cost_id,
        provider,
        max(case when shared_usd is null then 1 else 0 end) as is_without_rate,
        max(case when total_weight is null then 1 else 0 end) as is_without_sharers
    from {{ ref('int_shared_costs') }}
    group by billing_period, shared_cost_id, provider
),

costs as (
    select
        billing_period,
        team_id,
        provider,
        sum(restated_cost_usd) as cost_usd
    from {{ ref('int_cost_lines') }}
    group by billing_period, team_id, provider
    having sum(restated_cost_usd) <> 0
)

select
    billing_period,
    shared_cost_id,
    provider,
    case when is_without_rate = 1 then 'no rate' else 'nobody shares it' end as problem
from shared
where is_without_rate = 1 or is_without_sharers = 1
union all
select
    costs.billing_period,
    shared_costs.shared_cost_id,
    costs.provider,
    'nobody shares it' as problem
from {{ ref('stg_rules__shared_costs') }} as shared_costs
inner join costs
    on
        shared_costs.source_team_id = costs.team_id
        and costs.billing_period >= shared_costs.valid_from
        and costs.billing_period < shared_costs.valid_to
left join shared
    on
        costs.billing_period = shared.billing_period
        and shared_costs.shared_cost_id = shared.shared_cost_id
        and costs.provider = shared.provider
where shared.billing_period is null
