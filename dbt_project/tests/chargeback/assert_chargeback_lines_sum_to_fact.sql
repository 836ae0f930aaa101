-- Per month and provider: the lines add up to the fact's cost rounded once, and carry all its tokens.
{{ config(severity='error') }}

with facts as (
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(provider, '(unknown)') as provider,
        {{ llm_spend.whole_cents_to_usd(llm_spend.round_to_cents('sum(cost_usd)')) }} as total_usd,
        sum(case when coalesce(is_gateway_cache_hit, false) then 0 else coalesce(total_tokens, 0) end) as quantity_tokens,
        sum(case when cost_usd is null then coalesce(total_tokens, 0) else 0 end) as unpriced_tokens
    from {{ ref('fct_llm_requests') }}
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
        coalesce(facts.billing_period, lines.billing_period) as billing_period,
        coalesce(facts.provider, lines.provider) as provider,
        facts.total_usd as fact_usd,
        lines.total_usd as lines_usd
    from facts
    full outer join lines
        on facts.billing_period = lines.billing_period
        and facts.provider = lines.provider
    where facts.billing_period is null
        or lines.billing_period is null
        or coalesce(facts.total_usd, 0) <> coalesce(lines.total_usd, 0)
        or (facts.total_usd is null) <> (lines.total_usd is null)
        or facts.quantity_tokens <> lines.quantity_tokens
        or facts.unpriced_tokens <> lines.unpriced_tokens
)

select * from final
