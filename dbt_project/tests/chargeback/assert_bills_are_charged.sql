-- Per month: what lines have of bills is what was billed, and what gives way to it is the usage that bills cover.
{{ config(severity='error') }}

with lines as (
    select
        billing_period,
        sum(billed_usd) as billed_usd,
        sum(usage_usd) as usage_usd,
        sum(exact_cost_usd) as exact_cost_usd
    from {{ ref('int_true_up_lines') }}
    group by billing_period
),

bills as (
    select
        billing_period,
        sum(case when allocation_method <> 'waiting' then billed_usd else 0 end) as billed_usd
    from {{ ref('int_bill_allocations') }}
    group by billing_period
),

covered as (
    select
        {{ llm_spend.month_start('requests.usage_date') }} as billing_period,
        sum(requests.cost_usd) as usage_usd
    from {{ ref('int_requests_daily') }} as requests
    inner join {{ ref('int_billed_days') }} as billed_days
        on {{ llm_spend.is_billed_day('requests', 'billed_days') }}
    where requests.is_of_record
    group by 1
),

periods as (
    select billing_period from lines
    {{ llm_spend.union_distinct() }}
    select billing_period from bills
    {{ llm_spend.union_distinct() }}
    select billing_period from covered
)

select
    periods.billing_period,
    bills.billed_usd as bills_usd,
    lines.billed_usd as lines_usd,
    covered.usage_usd as covered_usd,
    lines.usage_usd
from periods
left join lines on periods.billing_period = lines.billing_period
left join bills on periods.billing_period = bills.billing_period
left join covered on periods.billing_period = covered.billing_period
where
    coalesce(lines.billed_usd, 0) <> coalesce(bills.billed_usd, 0)
    or coalesce(lines.usage_usd, 0) <> coalesce(covered.usage_usd, 0)
    or coalesce(lines.exact_cost_usd, 0) <> coalesce(bills.billed_usd, 0) - coalesce(covered.usage_usd, 0)
