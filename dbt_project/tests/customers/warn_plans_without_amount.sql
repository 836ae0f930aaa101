-- Customers whose plan has no row in customer_plans for the month, or is in a currency without a rate: what they pay is NULL.
{{ config(severity='warn') }}

select
    billing_period,
    plan_id,
    plan_currency,
    count(*) as customers
from {{ ref('llm_customer_plan_usage') }}
where plan_id is not null and fee_usd is null
group by billing_period, plan_id, plan_currency
