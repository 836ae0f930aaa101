{% set columns = llm_spend.chargeback_line_columns() | reject('equalto', 'attempts') | list %}

with known_lines as (
    select * from {{ ref('int_chargeback_lines') }}
),

closed_periods as (
    select * from {{ ref('int_closed_periods') }}
),

published as (
    select kept.*
    from {{ ref('int_closed_chargeback_lines') }} as kept
    inner join closed_periods
        on kept.billing_period = closed_periods.billing_period and kept.closed_at = closed_periods.closed_at
),

-- Months are closed one after the other: the first open one follows the last closed one.
first_open as (
    select {{ llm_spend.month_after('max(billing_period)') }} as billing_period
    from closed_periods
),

restatements as (
    {{ llm_spend.restatement_lines('published', 'known_lines', 'first_open') }}
),

own_lines as (
    {{ llm_spend.own_lines('known_lines') }}
),

lines as (
    select
        {{ columns | join(',\n        ') }},
        true as is_closed
    from published
    where line_id is not null
    union all
    select
        {{ columns | join(',\n        ') }},
        false as is_closed
    from own_lines
    where billing_period not in (select billing_period from closed_periods)
    union all
    select
        {{ columns | join(',\n        ') }},
        false as is_closed
    from restatements
),

final as (
    select
        billing_period,
        line_id,
        line_type,
        {{ llm_spend.allocation_method('line_id', 'line_type') | indent(8) }} as allocation_method,
        cost_center_id,
        team_id,
        provider,
        model_id,
        quantity_tokens,
        exact_cost_usd,
        amount_usd,
        cost_basis,
        'USD' as currency,
        original_period,
        restatement_reason,
        is_closed,
        unpriced_tokens,
        unpriced_requests,
        unpriced_requests > 0 as has_unpriced_usage,
        -- Lines that were kept before there was this column don't say.
        coalesce(has_unknown_share, false) as has_unknown_share
    from lines
)

select * from final
