-- Per month and provider: the lines add up to the cost of the days rounded once, and carry all their tokens.
{{ config(severity='error') }}

with days as (
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(provider, '(unknown)') as provider,
        {{ llm_spend.whole_cents_to_usd(llm_spend.round_to_cents('sum(cost_usd)')) }} as total_usd,
        sum(total_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('int_requests_daily') }}
    group by 1, 2
),

lines as (
    select
        billing_period,
        provider,
        sum(amount_usd) as total_usd,
        sum(quantity_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_chargeback_lines') }}
    group by billing_period, provider
),

final as (
    select
        coalesce(days.billing_period, lines.billing_period) as billing_period,
        coalesce(days.provider, lines.provider) as provider,
        days.total_usd as days_usd,
        lines.total_usd as lines_usd
    from days
    full outer join lines
        on days.billing_period = lines.billing_period
        and days.provider = lines.provider
    where days.billing_period is null
        or lines.billing_period is null
        or coalesce(days.total_usd, 0) <> coalesce(lines.total_usd, 0)
        or (days.total_usd is null) <> (lines.total_usd is null)
        or days.quantity_tokens <> lines.quantity_tokens
        or days.unpriced_tokens <> lines.unpriced_tokens
)

select * from final
