-- A month's customers, with those that no request names, use and cost what the days do; the lines of a statement are its
-- revenue, and its models and its charges both are all tokens that the customer used.
{{ config(severity='error') }}

with days as (
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        sum(total_tokens) as used_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_usage_by_customer_daily') }}
    group by {{ llm_spend.month_start('usage_date') }}
),

months as (
    select
        billing_period,
        sum(used_tokens) as used_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_customer_plan_usage') }}
    group by billing_period
),

statements as (
    select
        billing_period,
        customer_id,
        sum(amount_usd) as amount_usd,
        sum(case when is_charged and amount_usd is null then 1 else 0 end) as unknown_amounts,
        sum(case when line_type in ('included', 'overage') then quantity_tokens end) as charged_tokens,
        sum(case when line_type = 'usage' then quantity_tokens else 0 end) as model_tokens
    from {{ ref('llm_customer_statements') }}
    group by billing_period, customer_id
),

final as (
    select
        coalesce(days.billing_period, months.billing_period) as billing_period,
        'all customers' as customer_id
    from days
    full outer join months on days.billing_period = months.billing_period
    where
        coalesce(days.used_tokens <> months.used_tokens, true)
        or days.cost_usd <> months.cost_usd
        or days.unpriced_tokens <> months.unpriced_tokens
    union all
    select
        usage.billing_period,
        usage.customer_id
    from {{ ref('llm_customer_plan_usage') }} as usage
    left join statements
        on
            usage.billing_period = statements.billing_period
            and usage.customer_id = statements.customer_id
    where
        usage.customer_id <> {{ llm_spend.unallocated() }}
        and (
            coalesce(statements.model_tokens, 0) <> usage.used_tokens
            or coalesce(statements.charged_tokens, usage.used_tokens) <> usage.used_tokens
            or (usage.revenue_usd is null and usage.plan_id is not null and statements.unknown_amounts = 0)
            or (usage.revenue_usd is not null and coalesce(statements.amount_usd <> usage.revenue_usd, true))
        )
)

select * from final
