-- Per month of usage and provider: the lines, restatements included, add up to what the month costs now, rounded once,
-- and carry all its tokens. A closed month costs what its days cost, and what int_restated_daily adds to that where no
-- bill covers the day; and what bills and shared amounts add.
{{ config(severity='error') }}

with costs as (
    select
        billing_period as original_period,
        coalesce(provider, '(unknown)') as provider,
        cost_usd,
        total_tokens as quantity_tokens,
        unpriced_tokens
    from {{ ref('int_requests_daily') }}
    where is_of_record
    union all
    select
        restated_daily.billing_period as original_period,
        coalesce(restated_daily.provider, '(unknown)') as provider,
        case
            when cost_usd is not null or restated_cost_usd is not null
                then coalesce(restated_cost_usd, 0) - coalesce(cost_usd, 0)
        end as cost_usd,
        0 as quantity_tokens,
        restated_unpriced_tokens - unpriced_tokens as unpriced_tokens
    from {{ ref('int_restated_daily') }} as restated_daily
    left join {{ ref('int_billed_days') }} as billed_days
        on {{ llm_spend.is_billed_day('restated_daily', 'billed_days') }}
    where restated_daily.attempts is not null and billed_days.usage_date is null
    union all
    select
        billing_period as original_period,
        provider,
        exact_cost_usd as cost_usd,
        0 as quantity_tokens,
        0 as unpriced_tokens
    from {{ ref('int_true_up_lines') }}
    union all
    select
        billing_period as original_period,
        provider,
        exact_cost_usd as cost_usd,
        0 as quantity_tokens,
        0 as unpriced_tokens
    from {{ ref('int_shared_costs') }}
),

months as (
    select
        original_period,
        provider,
        {{ llm_spend.whole_cents_to_usd(llm_spend.round_to_cents('coalesce(sum(cost_usd), 0)')) }} as total_usd,
        sum(quantity_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from costs
    group by original_period, provider
),

lines as (
    select
        original_period,
        provider,
        coalesce(sum(amount_usd), 0) as total_usd,
        sum(quantity_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_chargeback_lines') }}
    group by original_period, provider
),

-- What vanished from a closed month leaves lines that add up to nothing.
final as (
    select
        coalesce(months.original_period, lines.original_period) as original_period,
        coalesce(months.provider, lines.provider) as provider,
        months.total_usd as months_usd,
        lines.total_usd as lines_usd
    from months
    full outer join lines
        on
            months.original_period = lines.original_period
            and months.provider = lines.provider
    where
        coalesce(months.total_usd, 0) <> coalesce(lines.total_usd, 0)
        or coalesce(months.quantity_tokens, 0) <> coalesce(lines.quantity_tokens, 0)
        or coalesce(months.unpriced_tokens, 0) <> coalesce(lines.unpriced_tokens, 0)
)

select * from final
