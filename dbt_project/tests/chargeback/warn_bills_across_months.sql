-- Charges whose time reaches into the next month. Statements have them whole in the month in which they begin, so the next
-- month's days cost what the price book says beside it, as if the bill were not about them: split them by month, or say
-- the months in provider_invoices.
{{ config(severity='warn') }}

select
    billing_period,
    provider,
    account,
    count(*) as charges,
    max(covers_to) as last_covers_to,
    sum(billed_usd) as billed_usd
from {{ ref('int_bill_charges') }}
where
    is_charged
    and charge_category = 'Usage'
    and covers_to > cast({{ dbt.dateadd('month', 1, 'billing_period') }} as date)
group by billing_period, provider, account
