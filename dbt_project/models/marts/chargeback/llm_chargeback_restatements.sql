with lines as (
    select * from {{ ref('llm_chargeback_lines') }}
),

closed_periods as (
    select * from {{ ref('int_closed_periods') }}
),

{% set reasons = ['price_correction', 'bill_correction', 'late_data', 'reattribution', 'shared_correction'] -%}
costs as (
    select
        lines.original_period,
        lines.cost_center_id,
        lines.team_id,
        lines.provider,
        lines.model_id,
        -- Nothing was charged where there was no line; a line whose cost is not known is NULL.
        case
            when sum(case when lines.line_type <> 'restatement' then 1 else 0 end) = 0 then 0
            else sum(case when lines.line_type <> 'restatement' then lines.amount_usd end)
        end as cost_as_reported_usd,
        sum(lines.amount_usd) as cost_as_restated_usd,
        {% for reason in reasons -%}
        coalesce(sum(case when lines.restatement_reason = '{{ reason }}' then lines.amount_usd end), 0)
            as {{ reason }}_usd,
        {% endfor -%}
        sum(case when lines.line_type <> 'restatement' then lines.quantity_tokens else 0 end) as tokens_as_reported,
        sum(lines.quantity_tokens) as tokens_as_restated,
        sum(case when lines.line_type <> 'restatement' then lines.unpriced_tokens else 0 end)
            as unpriced_tokens_as_reported,
        sum(lines.unpriced_tokens) as unpriced_tokens_as_restated,
        sum(lines.unpriced_requests) as unpriced_requests_as_restated,
        min(case when lines.line_type = 'restatement' then lines.billing_period end) as first_restated_in,
        max(case when lines.line_type = 'restatement' then lines.billing_period end) as last_restated_in
    from lines
    inner join closed_periods on lines.original_period = closed_periods.billing_period
    group by lines.original_period, lines.cost_center_id, lines.team_id, lines.provider, lines.model_id
),

final as (
    select
        original_period,
        cost_center_id,
        team_id,
        provider,
        model_id,
        cast(cost_as_reported_usd as {{ llm_spend.type_decimal(38, 2) }}) as cost_as_reported_usd,
        cast(cost_as_restated_usd as {{ llm_spend.type_decimal(38, 2) }}) as cost_as_restated_usd,
        {% for reason in reasons -%}
        cast({{ reason }}_usd as {{ llm_spend.type_decimal(38, 2) }}) as {{ reason }}_usd,
        {% endfor -%}
        'USD' as currency,
        {% for column in [
            'tokens_as_reported', 'tokens_as_restated', 'unpriced_tokens_as_reported', 'unpriced_tokens_as_restated'
        ] -%}
        cast({{ column }} as {{ dbt.type_bigint() }}) as {{ column }},
        {% endfor -%}
        unpriced_requests_as_restated > 0 as has_unpriced_usage,
        first_restated_in,
        last_restated_in
    from costs
)

select * from final
