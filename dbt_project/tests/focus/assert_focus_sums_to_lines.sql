-- The charges of a month are the lines with a known amount, each once, and cost what the statement does, to the cent.
with charges as (
    select
        x_BillingPeriod as billing_period,
        count(*) as charges,
        sum(BilledCost) as billed_usd,
        sum(EffectiveCost) as effective_usd
    from {{ ref('focus_cost_and_usage') }}
    group by x_BillingPeriod
),

lines as (
    select
        billing_period,
        count(*) as charges,
        sum(amount_usd) as amount_usd
    from {{ ref('llm_chargeback_lines') }}
    where amount_usd is not null
    group by billing_period
),

final as (
    select
        coalesce(lines.billing_period, charges.billing_period) as billing_period,
        lines.charges as lines,
        charges.charges,
        lines.amount_usd,
        charges.billed_usd,
        charges.effective_usd
    from lines
    full outer join charges on lines.billing_period = charges.billing_period
    where
        coalesce(lines.charges, 0) <> coalesce(charges.charges, 0)
        or coalesce(lines.amount_usd, 0) <> coalesce(charges.billed_usd, 0)
        or coalesce(lines.amount_usd, 0) <> coalesce(charges.effective_usd, 0)
)

select * from final
