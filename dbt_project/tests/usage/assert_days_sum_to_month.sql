-- A team's days add up to its month: what the dashboards show is what the statements charge for the usage of the
-- month, before it is rounded: that of a closed month with what came late or was moved, booked later. Its days keep the
-- prices of the closing. What a bill adds is no usage of a day. The hours of a UTC day that are of another month in the
-- billing time zone are taken from the one and given to the other.
{{ config(severity='error') }}

{% set measures = ['cost_usd', 'total_tokens', 'unpriced_tokens'] %}

with other_months as (
    select
        *,
        {{ month_start('usage_date') }} as month_of_date
    from {{ ref('int_requests_daily') }}
    where is_of_record and billing_period <> {{ month_start('usage_date') }}
),

usage as (
    select
        {{ month_start('usage_date') }} as billing_period,
        cost_center_id,
        team_id,
        {{ measures | join(',\n        ') }}
    from {{ ref('llm_usage_by_team_daily') }}
    union all
    select
        billing_period,
        cost_center_id,
        team_id,
        {{ measures | join(',\n        ') }}
    from other_months
    union all
    select
        month_of_date as billing_period,
        cost_center_id,
        team_id,
        -{{ measures | join(',\n        -') }}
    from other_months
),

days as (
    select
        billing_period,
        cost_center_id,
        team_id,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(total_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from usage
    group by billing_period, cost_center_id, team_id
),

lines as (
    select
        *,
        not is_closed and original_period = billing_period as is_own_and_open
    from {{ ref('llm_chargeback_lines') }}
),

months as (
    select
        original_period as billing_period,
        cost_center_id,
        team_id,
        coalesce(sum(exact_cost_usd), 0) as cost_usd,
        sum(quantity_tokens) as quantity_tokens,
        case when max(case when is_own_and_open then 1 else 0 end) = 1 then sum(unpriced_tokens) end as unpriced_tokens
    from lines
    where coalesce(restatement_reason, '') <> 'price_correction' and allocation_method = 'own_usage'
    group by original_period, cost_center_id, team_id
),

final as (
    select
        coalesce(days.billing_period, months.billing_period) as billing_period,
        coalesce(days.cost_center_id, months.cost_center_id) as cost_center_id,
        coalesce(days.team_id, months.team_id) as team_id,
        coalesce(months.cost_usd, 0) - coalesce(days.cost_usd, 0) as cost_usd_off,
        coalesce(months.quantity_tokens, 0) - coalesce(days.quantity_tokens, 0) as quantity_tokens_off,
        months.unpriced_tokens - days.unpriced_tokens as unpriced_tokens_off
    from days
    full outer join months
        on
            days.billing_period = months.billing_period
            and days.cost_center_id = months.cost_center_id
            and days.team_id = months.team_id
)

select *
from final
where
    coalesce(cost_usd_off, 0) <> 0
    or coalesce(quantity_tokens_off, 0) <> 0
    or coalesce(unpriced_tokens_off, 0) <> 0
