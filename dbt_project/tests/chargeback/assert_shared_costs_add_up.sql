-- Per month, shared cost and provider: an amount is shared out whole, and what a team or nobody costs only moves.
{{ config(severity='error') }}

with shared_costs as (
    select * from {{ ref('stg_rules__shared_costs') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

months as (
    select distinct billing_period
    from {{ ref('int_cost_lines') }}
),

amounts as (
    select
        months.billing_period,
        shared_costs.shared_cost_id,
        shared_costs.provider,
        {{ in_usd(
            'shared_costs.amount',
            'shared_costs.currency',
            'coalesce(shared_costs.usd_per_unit, ' ~ usd_rate('shared_costs.currency', 'fx_rates') ~ ')'
        ) }} as amount_usd
    from months
    inner join shared_costs
        on months.billing_period >= shared_costs.valid_from and months.billing_period < shared_costs.valid_to
    left join fx_rates
        on {{ rate_holds('fx_rates', 'shared_costs.currency', 'months.billing_period') }}
    where shared_costs.source = 'amount'
),

sides as (
    select
        shared.billing_period,
        shared.shared_cost_id,
        shared.provider,
        shared.exact_cost_usd
    from {{ ref('int_shared_costs') }} as shared
    inner join months on shared.billing_period = months.billing_period
    union all
    select
        billing_period,
        shared_cost_id,
        provider,
        -amount_usd as exact_cost_usd
    from amounts
)

select
    billing_period,
    shared_cost_id,
    provider,
    sum(exact_cost_usd) as difference_usd
from sides
group by billing_period, shared_cost_id, provider
having sum(exact_cost_usd) <> 0
