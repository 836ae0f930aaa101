with seeded as (
    select * from {{ ref('stg_mapping__org_teams') }}
),

listed as (
    {{ members_of(['team']) }}
),

newest as (
    select * from listed
    where is_newest
),

final as (
    select
        seeded.team_id,
        coalesce(seeded.team_name, newest.member_name) as team_name,
        coalesce(seeded.cost_center_id, {{ unallocated() }}) as cost_center_id,
        'seed' as origin,
        newest.source_system,
        newest.source_instance,
        newest.member_id,
        false as is_deleted,
        seeded.valid_from,
        seeded.valid_to
    from seeded
    left join newest on seeded.team_id = newest.known_as
    union all
    select
        known_as as team_id,
        member_name as team_name,
        {{ unallocated() }} as cost_center_id,
        'gateway' as origin,
        source_system,
        source_instance,
        member_id,
        is_deleted,
        valid_from,
        valid_to
    from listed
    where known_as not in (select team_id from seeded where team_id is not null)
)

select * from final
