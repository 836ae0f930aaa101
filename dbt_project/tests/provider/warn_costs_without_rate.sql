-- What is billed in a currency that fx_rates has no rate for on that date: billed_usd is NULL, and every sum lacks it.
{{ config(severity='warn') }}

select
    provider,
    source_instance,
    billing_currency,
    billing_period,
    sum(billed_amount) as billed_amount
from {{ ref('fct_llm_provider_costs') }}
where is_of_record and billed_usd is null
group by provider, source_instance, billing_currency, billing_period
