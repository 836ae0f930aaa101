-- The package's own usage tables and our finance table tell the same cost, to the last digit.
with finance as (
    select sum(cost_usd) as cost_usd from {{ ref('llm_cost_by_cost_center') }}
),

usage as (
    select sum(cost_usd) as cost_usd from {{ ref('llm_spend', 'llm_usage_by_team_daily') }}
)

select
    finance.cost_usd,
    usage.cost_usd as usage_cost_usd
from finance
cross join usage
where coalesce(finance.cost_usd <> usage.cost_usd, true)
