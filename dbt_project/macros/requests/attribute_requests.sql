{#
    Gives every request its owners: user, team, feature, customer, environment and cost centre.

    relation: canonical requests (int_requests_unioned). Adds, per owner, the member ('(unallocated)' when there is
    none) and how it was found: tag, gateway, api_key, org_member; or why not: missing, conflict, unknown.
    The organisation is taken as of the usage date, so a later move of a person never moves old cost.
#}
{% macro attribute_requests(relation) %}
    {%- set slots = range(1, attribution_slots() + 1) %}
    with attribution_keys as (
        select * from {{ ref('int_attribution_keys') }}
    ),

    api_keys as (
        select * from {{ ref('stg_mapping__api_keys') }}
    ),

    org_members as (
        select * from {{ ref('stg_mapping__org_members') }}
    ),

    org_teams as (
        select * from {{ ref('stg_mapping__org_teams') }}
    ),

    registry as (
        select count(*) > 0 as has_teams
        from org_teams
    ),

    mapped as (
        select
            *,
            {{ metadata_map('metadata') }} as metadata_map
        from {{ relation }}
    ),

    looked_up as (
        select
            mapped.*
            {%- for dimension in owner_dimensions() %},
            attribution_keys.has_{{ dimension }}_ties
            {%- for slot in slots %}
            {%- set key = 'attribution_keys.' ~ dimension ~ '_key_' ~ slot %},
            attribution_keys.{{ dimension }}_priority_{{ slot }},
            case when {{ key }} is not null then {{ map_value('mapped.metadata_map', key) }} end
                as {{ dimension }}_value_{{ slot }}
            {%- endfor %}{% endfor %}
        from mapped
        left join attribution_keys on mapped.source_system = attribution_keys.source_system
    ),

    -- Tags are compared with each other only where keys may contradict each other.
    compared as (
        select
            *
            {%- for dimension in owner_dimensions() %}{% for slot in slots %},
            case when has_{{ dimension }}_ties then {{ dimension }}_value_{{ slot }} end
                as {{ dimension }}_tied_value_{{ slot }}
            {%- endfor %}{% endfor %}
        from looked_up
    ),

    -- The first key that says something wins; no expression stands here twice, since planners compute those for all rows,
    -- used or not. A user is one person however the e-mail was typed: lower case before anything is compared.
    tagged as (
        select
            *
            {%- for dimension in owner_dimensions() %}
            {%- set tags = [] %}
            {%- for slot in slots %}{% do tags.append(named_tag(dimension ~ '_value_' ~ slot)) %}{% endfor %}
            {%- set first_tag = 'coalesce(\n                ' ~ tags | join(',\n                ') ~ '\n            )' %},
            {{ same_name(dimension, first_tag) }} as {{ dimension }}_tag
            {%- for slot in slots %},
            case
                when has_{{ dimension }}_ties
                    then {{ same_name(dimension, named_tag(dimension ~ '_tied_value_' ~ slot)) }}
            end as {{ dimension }}_tied_tag_{{ slot }}
            {%- endfor %}{% endfor %}
        from compared
    ),

    tags_chosen as (
        select
            *
            {%- for dimension in owner_dimensions() %},
            case when has_{{ dimension }}_ties then {{ tags_conflict(dimension) }} else false end
                as has_{{ dimension }}_conflict
            {%- endfor %}
        from tagged
    ),

    users_found as (
        select
            tags_chosen.*,
            api_keys.team_id as key_team_id,
            case
                when tags_chosen.has_user_conflict then null
                else coalesce(
                    tags_chosen.user_tag, lower(nullif(trim(tags_chosen.gateway_user_id), '')), lower(api_keys.owner_user_id)
                )
            end as found_user_id,
            case
                when tags_chosen.has_user_conflict then 'conflict'
                when tags_chosen.user_tag is not null then 'tag'
                when nullif(trim(tags_chosen.gateway_user_id), '') is not null then 'gateway'
                when api_keys.owner_user_id is not null then 'api_key'
                else 'missing'
            end as user_attribution
        from tags_chosen
        left join api_keys
            on
                tags_chosen.api_key_id = api_keys.api_key_id
                and tags_chosen.usage_date >= api_keys.valid_from
                and tags_chosen.usage_date < api_keys.valid_to
    ),

    teams_found as (
        select
            users_found.*,
            case
                when users_found.has_team_conflict then null
                else coalesce(
                    users_found.team_tag,
                    nullif(trim(users_found.gateway_team_id), ''),
                    users_found.key_team_id,
                    org_members.team_id
                )
            end as found_team_id,
            case
                when users_found.has_team_conflict then 'conflict'
                when users_found.team_tag is not null then 'tag'
                when nullif(trim(users_found.gateway_team_id), '') is not null then 'gateway'
                when users_found.key_team_id is not null then 'api_key'
                when org_members.team_id is not null then 'org_member'
                else 'missing'
            end as found_team_attribution
        from users_found
        left join org_members
            on
                users_found.found_user_id = org_members.user_id
                and users_found.usage_date >= org_members.valid_from
                and users_found.usage_date < org_members.valid_to
    ),

    final as (
        select
            teams_found.*,
            coalesce(teams_found.found_user_id, {{ unallocated() }}) as user_id,
            -- A name that the organisation does not know would open a cost centre of its own: it is unallocated instead.
            case
                when registry.has_teams and org_teams.team_id is null then {{ unallocated() }}
                else coalesce(teams_found.found_team_id, {{ unallocated() }})
            end as team_id,
            case
                when registry.has_teams and org_teams.team_id is null and teams_found.found_team_id is not null then 'unknown'
                else teams_found.found_team_attribution
            end as team_attribution,
            coalesce(org_teams.cost_center_id, {{ unallocated() }}) as cost_center_id
            {%- for dimension in ['feature', 'customer', 'environment'] %},
            case
                when teams_found.has_{{ dimension }}_conflict or teams_found.{{ dimension }}_tag is null then {{ unallocated() }}
                else teams_found.{{ dimension }}_tag
            end as {{ 'environment' if dimension == 'environment' else dimension ~ '_id' }},
            case
                when teams_found.has_{{ dimension }}_conflict then 'conflict'
                when teams_found.{{ dimension }}_tag is null then 'missing'
                else 'tag'
            end as {{ dimension }}_attribution
            {%- endfor %}
        from teams_found
        cross join registry
        left join org_teams
            on
                teams_found.found_team_id = org_teams.team_id
                and teams_found.usage_date >= org_teams.valid_from
                and teams_found.usage_date < org_teams.valid_to
    )

    select * from final
{% endmacro %}
