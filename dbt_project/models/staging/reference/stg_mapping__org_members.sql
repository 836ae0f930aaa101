with members as (
    select
        lower(user_id) as user_id,
        team_id,
        valid_from,
        valid_to
    from {{ ref('org_members') }}
),

final as (
    {{ validity_ranges('members', ['user_id'], ['team_id']) }}
)

select * from final
