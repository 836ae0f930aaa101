with api_keys as (
    select * from {{ ref('api_keys') }}
),

final as (
    {{ validity_ranges('api_keys', ['api_key_id'], ['key_name', 'owner_user_id', 'team_id']) }}
)

select * from final
