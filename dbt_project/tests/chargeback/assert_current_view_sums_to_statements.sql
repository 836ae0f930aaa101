-- Per month, cost centre that was charged and team: the current view has the statements, to the cent.
{{ config(severity='error') }}

with current_view as (
    select
        billing_period,
        reported_cost_center_id as cost_center_id,
        team_id,
        sum(amount_usd) as total_usd,
        sum(quantity_tokens) as quantity_tokens
    from {{ ref('llm_chargeback_current_view') }}
    group by billing_period, reported_cost_center_id, team_id
),

statements as (
    select * from {{ ref('llm_chargeback_statements') }}
)

select
    coalesce(current_view.billing_period, statements.billing_period) as billing_period,
    coalesce(current_view.cost_center_id, statements.cost_center_id) as cost_center_id,
    coalesce(current_view.team_id, statements.team_id) as team_id,
    current_view.total_usd as view_usd,
    statements.total_usd as statement_usd
from current_view
full outer join statements
    on
        current_view.billing_period = statements.billing_period
        and current_view.cost_center_id = statements.cost_center_id
        and current_view.team_id = statements.team_id
where
    current_view.billing_period is null
    or statements.billing_period is null
    or coalesce(current_view.total_usd <> statements.total_usd, false)
    or (current_view.total_usd is null) <> (statements.total_usd is null)
    or current_view.quantity_tokens <> statements.quantity_tokens
