-- A team's days add up to its month: what the dashboards show is what the statement charges for the usage of the
-- month, before it is rounded. Lines that correct other months are no usage of this one.
{{ config(severity='error') }}

with days as (
    select
        {{ month_start('usage_date') }} as billing_period,
        cost_center_id,
        team_id,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(total_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_usage_by_team_daily') }}
    group by 1, 2, 3
),

months as (
    select
        billing_period,
        cost_center_id,
        team_id,
        coalesce(sum(exact_cost_usd), 0) as cost_usd,
        sum(quantity_tokens) as quantity_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_chargeback_lines') }}
    where line_type in ('direct', 'unallocated') and original_period = billing_period
    group by billing_period, cost_center_id, team_id
),

final as (
    select
        coalesce(days.billing_period, months.billing_period) as billing_period,
        coalesce(days.cost_center_id, months.cost_center_id) as cost_center_id,
        coalesce(days.team_id, months.team_id) as team_id,
        months.cost_usd - days.cost_usd as cost_usd_off,
        months.quantity_tokens - days.quantity_tokens as quantity_tokens_off,
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
    coalesce(cost_usd_off <> 0, true)
    or coalesce(quantity_tokens_off <> 0, true)
    or coalesce(unpriced_tokens_off <> 0, true)
