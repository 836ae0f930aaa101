{% set key = ['provider', 'provider_instance', 'project_id', 'api_key_id', 'user_id'] %}

with owners as (
    select * from {{ ref('provider_owners') }}
),

ranges as (
    {{ validity_ranges('owners', key, ['team_id', 'cost_center_id']) }}
),

final as (
    select
        lower(provider) as provider,
        nullif(provider_instance, '') as provider_instance,
        nullif(project_id, '') as project_id,
        nullif(api_key_id, '') as api_key_id,
        lower(nullif(user_id, '')) as user_id,
        team_id,
        cost_center_id,
        valid_from,
        valid_to
    from ranges
)

select * from final
