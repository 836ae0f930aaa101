with seeded as (
    select * from {{ ref('stg_mapping__api_keys') }}
),

listed as (
    {{ members_of(['api_key', 'virtual_account']) }}
),

newest as (
    select * from listed
    where is_newest
),

held as (
    select
        seeded.api_key_id,
        coalesce(newest.member_type, 'api_key') as key_type,
        coalesce(seeded.key_name, newest.member_name) as key_name,
        lower(seeded.owner_user_id) as owner_user_id,
        seeded.team_id,
        'seed' as origin,
        newest.source_system,
        newest.source_instance,
        newest.status,
        newest.created_at,
        newest.expires_at,
        false as is_deleted,
        seeded.valid_from,
        seeded.valid_to
    from seeded
    left join newest on seeded.api_key_id = newest.known_as
    union all
    select
        known_as as api_key_id,
        member_type as key_type,
        member_name as key_name,
        owner_user_id,
        team_id,
        'gateway' as origin,
        source_system,
        source_instance,
        status,
        created_at,
        expires_at,
        is_deleted,
        valid_from,
        valid_to
    from listed
    where known_as not in (select api_key_id from seeded where api_key_id is not null)
),

final as (
    {{ with_cost_center('held', 'api_key_id', [
        'key_type', 'key_name', 'owner_user_id', 'origin', 'source_system', 'source_instance', 'status', 'created_at',
        'expires_at', 'is_deleted'
    ]) }}
)

select * from final
