-- In every design a month's customers use and cost what they did, whatever the plans; the plans are the sums of their customers.
{{ config(severity='error') }}

with months as (
    select
        billing_period,
        sum(used_tokens) as used_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(case when customer_id = {{ llm_spend.unallocated() }} then 0 else 1 end) as customers
    from {{ ref('llm_customer_plan_usage') }}
    group by billing_period
),

designs as (
    select distinct design_id
    from {{ ref('stg_rules__plan_designs') }}
),

by_customer as (
    select
        billing_period,
        design_id,
        sum(used_tokens) as used_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(case when customer_id = {{ llm_spend.unallocated() }} then 0 else 1 end) as customers,
        coalesce(sum(revenue_usd), 0) as revenue_usd
    from {{ ref('llm_plan_design_customers') }}
    group by billing_period, design_id
),

by_plan as (
    select
        billing_period,
        design_id,
        sum(used_tokens) as used_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(customers) as customers,
        coalesce(sum(revenue_usd), 0) as revenue_usd
    from {{ ref('llm_plan_designs') }}
    group by billing_period, design_id
)

select
    months.billing_period,
    designs.design_id
from months
cross join designs
left join by_customer
    on months.billing_period = by_customer.billing_period and designs.design_id = by_customer.design_id
left join by_plan
    on months.billing_period = by_plan.billing_period and designs.design_id = by_plan.design_id
where
    coalesce(by_customer.used_tokens <> months.used_tokens, true)
    or by_customer.cost_usd <> months.cost_usd
    or by_customer.customers <> months.customers
    or coalesce(by_plan.used_tokens <> by_customer.used_tokens, true)
    or by_plan.cost_usd <> by_customer.cost_usd
    or by_plan.customers <> by_customer.customers
    or by_plan.revenue_usd <> by_customer.revenue_usd
