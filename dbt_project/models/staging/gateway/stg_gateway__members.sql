with members as (
    select * from {{ source('gateway', 'gateway__members') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        lower(member_type) as member_type,
        member_id,
        name as member_name,
        lower(email) as email,
        lower(status) as status,
        coalesce(is_deleted, false) or deleted_at is not null as is_deleted,
        lower(owner_type) as owner_type,
        owner_id,
        {{ stored_json('team_ids') }} as team_ids,
        workspace_id,
        organization_id,
        created_at,
        updated_at,
        expires_at,
        deleted_at,
        {{ stored_json('metadata') }} as metadata,
        observed_at,
        _file as list_path,
        _dlt_load_id as load_id
    from members
    where _problem is null
)

select * from final
