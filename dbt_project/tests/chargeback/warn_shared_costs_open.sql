-- Amounts that teams share in a currency without a rate on the month's first day (statements have them as NULL: add the
-- rate to fx_rates, or usd_per_unit to shared_costs), and those that nobody shares: they are `(unallocated)`.
{{ config(severity='warn') }}

select
    billing_period,
    shared_cost_id,
    provider,
    case when shared_usd is null then 'no rate' else 'nobody shares it' end as problem
from {{ ref('int_shared_costs') }}
where shared_usd is null or total_weight is null
group by 1, 2, 3, 4
