-- Business events and plans of designs in a currency without a rate on their date: their amounts are NULL.
{{ config(severity='warn') }}

with months as (
    select distinct billing_period from {{ ref('llm_customer_plan_usage') }}
),

plans as (
    select * from {{ ref('stg_rules__plan_designs') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
)

select
    'business_events' as seed,
    event_type as name,
    billing_period
from {{ ref('int_business_events') }}
where unknown_rows > 0
group by event_type, billing_period
union all
select distinct
    'plan_designs' as seed,
    {{ llm_spend.seed_line(['plans.design_id', 'plans.plan_id']) }} as name,
    months.billing_period
from months
cross join plans
left join fx_rates
    on {{ llm_spend.rate_holds('fx_rates', 'plans.currency', 'months.billing_period') }}
where coalesce(plans.usd_per_unit, {{ llm_spend.usd_rate('plans.currency', 'fx_rates') }}) is null
