with teams as (
    select * from {{ ref('org_teams') }}
),

final as (
    {{ validity_ranges('teams', ['team_id'], ['team_name', 'cost_center_id']) }}
)

select * from final
