{% set today = 'cast(' ~ llm_spend.build_started_at() ~ ' as date)' %}

with lines as (
    select * from {{ ref('llm_chargeback_lines') }}
),

teams as (
    select * from {{ ref('stg_mapping__org_teams') }}
),

-- What nobody owned may have an owner now.
own_cost_centers as (
    select
        team_id,
        coalesce(cost_center_id, {{ unallocated() }}) as cost_center_id
    from teams
    union distinct
    select
        team_id,
        {{ unallocated() }} as cost_center_id
    from teams
),

current_teams as (
    select
        team_id,
        team_name,
        cost_center_id
    from teams
    where valid_from <= {{ today }} and valid_to > {{ today }}
),

-- Of a team that the organisation never knew, of what only a cost centre pays, and of one that a seed names to pay in
-- place of the team's own, there is nothing newer to say.
organised as (
    select
        lines.*,
        current_teams.team_name as current_team_name,
        case
            when own_cost_centers.team_id is null then lines.cost_center_id
            else coalesce(current_teams.cost_center_id, {{ unallocated() }})
        end as current_cost_center_id
    from lines
    left join own_cost_centers
        on lines.team_id = own_cost_centers.team_id and lines.cost_center_id = own_cost_centers.cost_center_id
    left join current_teams on lines.team_id = current_teams.team_id
),

final as (
    select
        billing_period,
        line_id,
        line_type,
        allocation_method,
        original_period,
        provider,
        model_id,
        team_id,
        current_team_name,
        cost_center_id as reported_cost_center_id,
        current_cost_center_id,
        current_cost_center_id <> cost_center_id as is_moved,
        quantity_tokens,
        amount_usd,
        currency,
        unpriced_tokens,
        unpriced_requests,
        has_unpriced_usage,
        has_unknown_share,
        is_closed,
        {{ today }} as organisation_date
    from organised
)

select * from final
