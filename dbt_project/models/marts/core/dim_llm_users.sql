with seeded as (
    select * from {{ ref('stg_mapping__org_members') }}
),

listed as (
    {{ members_of(['user']) }}
),

newest as (
    select * from listed
    where is_newest
),

held as (
    select
        seeded.user_id,
        newest.member_name as user_name,
        newest.email,
        seeded.team_id,
        'seed' as origin,
        newest.source_system,
        newest.source_instance,
        newest.member_id,
        false as is_deleted,
        seeded.valid_from,
        seeded.valid_to
    from seeded
    left join newest on seeded.user_id = newest.known_as
    union all
    select
        known_as as user_id,
        member_name as user_name,
        email,
        team_id,
        'gateway' as origin,
        source_system,
        source_instance,
        member_id,
        is_deleted,
        valid_from,
        valid_to
    from listed
    where known_as not in (select user_id from seeded where user_id is not null)
),

final as (
    {{ with_cost_center('held', 'user_id', [
        'user_name', 'email', 'origin', 'source_system', 'source_instance', 'member_id', 'is_deleted'
    ]) }}
)

select * from final
