-- Per closed month: reported is its closed bill, restated is that with all restatements of it, and the reasons explain it.
{{ config(severity='error') }}

with lines as (
    select
        lines.original_period,
        coalesce(sum(case when lines.line_type <> 'restatement' then lines.amount_usd end), 0) as reported_usd,
        coalesce(sum(lines.amount_usd), 0) as restated_usd,
        sum(lines.quantity_tokens) as quantity_tokens
    from {{ ref('llm_chargeback_lines') }} as lines
    inner join {{ ref('int_closed_periods') }} as periods on lines.original_period = periods.billing_period
    group by lines.original_period
),

restatements as (
    select
        original_period,
        coalesce(sum(cost_as_reported_usd), 0) as reported_usd,
        coalesce(sum(cost_as_restated_usd), 0) as restated_usd,
        sum(
            price_correction_usd + bill_correction_usd + late_data_usd + reattribution_usd + shared_correction_usd
        ) as difference_usd,
        sum(tokens_as_restated) as quantity_tokens
    from {{ ref('llm_chargeback_restatements') }}
    group by original_period
)

select
    coalesce(lines.original_period, restatements.original_period) as original_period,
    lines.reported_usd as lines_usd,
    restatements.reported_usd as reported_usd,
    restatements.restated_usd as restated_usd
from lines
full outer join restatements
    on lines.original_period = restatements.original_period
where
    coalesce(lines.reported_usd <> restatements.reported_usd, true)
    or coalesce(lines.restated_usd <> restatements.restated_usd, true)
    or coalesce(lines.quantity_tokens <> restatements.quantity_tokens, true)
    or restatements.restated_usd - restatements.reported_usd <> restatements.difference_usd
