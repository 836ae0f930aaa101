-- Per month: the statements add up to the lines, in USD and in tokens, and each to its own subtotals. What a restatement
-- takes away of unpriced tokens is another month's.
{{ config(severity='error') }}

with lines as (
    select
        billing_period,
        coalesce(sum(amount_usd), 0) as total_usd,
        sum(quantity_tokens) as quantity_tokens,
        sum(greatest(unpriced_tokens, 0)) as unpriced_tokens
    from {{ ref('llm_chargeback_lines') }}
    group by billing_period
),

statements as (
    select
        billing_period,
        coalesce(sum(total_usd), 0) as total_usd,
        coalesce(sum(direct_usd), 0) + coalesce(sum(unallocated_usd), 0) + coalesce(sum(restatement_usd), 0)
        + coalesce(sum(true_up_usd), 0) + coalesce(sum(commitment_usd), 0) + coalesce(sum(credit_usd), 0)
        + coalesce(sum(shared_usd), 0)
            as subtotals_usd,
        sum(quantity_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_chargeback_statements') }}
    group by billing_period
),

final as (
    select
        coalesce(lines.billing_period, statements.billing_period) as billing_period,
        lines.total_usd as lines_usd,
        statements.total_usd as statements_usd
    from lines
    full outer join statements
        on lines.billing_period = statements.billing_period
    where lines.billing_period is null
        or statements.billing_period is null
        or lines.total_usd <> statements.total_usd
        or lines.total_usd <> statements.subtotals_usd
        or lines.quantity_tokens <> statements.quantity_tokens
        or lines.unpriced_tokens <> statements.unpriced_tokens
)

select * from final
