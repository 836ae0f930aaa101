{% set columns = [
    'member_name', 'email', 'status', 'owner_type', 'owner_id', 'only_team_id', 'created_at', 'expires_at'
] %}
{% set expiry = date_text('cast(expires_at as date)') %}

with members as (
    select
        *,
        {{ json_only_element('team_ids') }} as only_team_id,
        {{ state_text([
            'member_name', 'email', 'status', 'owner_type', 'owner_id', document_text('team_ids'), 'workspace_id',
            'organization_id', expiry
        ]) }} as state_text
    from {{ ref('stg_gateway__members') }}
),

versions as (
    {{ listed_versions('members', ['member_type', 'member_id'], columns, 'cast(seen_at as date)') }}
),

-- The name under which usage knows a member: logs call users by their e-mail, and LiteLLM's calls teams by their alias.
named as (
    select
        *,
        case
            when member_type = 'user' then lower(coalesce(email, member_id))
            when member_type = 'team' and source_system = 'litellm'
                then coalesce(nullif(trim(member_name), ''), member_id)
            else member_id
        end as known_as
    from versions
),

newest as (
    select
        source_system,
        source_instance,
        member_type,
        member_id,
        known_as
    from named
    where next_valid_from is null
),

final as (
    select
        named.source_system,
        named.source_instance,
        named.member_type,
        named.member_id,
        named.known_as,
        named.member_name,
        named.email,
        named.status,
        case when named.owner_type = 'user' then coalesce(owners.known_as, lower(named.owner_id)) end as owner_user_id,
        case
            when named.owner_type = 'team' then coalesce(owners.known_as, named.owner_id)
            else coalesce(teams.known_as, named.only_team_id)
        end as team_id,
        named.created_at,
        named.expires_at,
        named.is_deleted,
        -- Nothing is known of the time before the first list: what it says holds from the beginning.
        case
            when named.version_number > 1 then named.valid_from
            when named.created_at is null then cast('1900-01-01' as date)
            else least(cast(named.created_at as date), named.valid_from)
        end as valid_from,
        coalesce(named.next_valid_from, cast('9999-12-31' as date)) as valid_to
    from named
    left join newest as owners
        on
            named.source_system = owners.source_system
            and named.source_instance = owners.source_instance
            and named.owner_type = owners.member_type
            and named.owner_id = owners.member_id
    left join newest as teams
        on
            named.source_system = teams.source_system
            and named.source_instance = teams.source_instance
            and teams.member_type = 'team'
            and named.only_team_id = teams.member_id
)

select * from final
