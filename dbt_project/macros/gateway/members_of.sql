{#
    The versions of members of some types, one listing a name: several gateways may list the same user, of which the one
    that lists him still, and then the first by name, tells about him. Adds is_newest.
#}
{% macro members_of(member_types) %}
    with versions as (
        select * from {{ ref('int_member_versions') }}
        where member_type in ('{{ member_types | join("', '") }}')
    ),

    listings as (
        select
            known_as,
            source_system,
            source_instance,
            member_type,
            member_id,
            row_number() over (
                partition by known_as
                order by
                    max(case when is_deleted then valid_from else valid_to end) desc,
                    source_system, source_instance, member_type, member_id
            ) as choice
        from versions
        group by known_as, source_system, source_instance, member_type, member_id
    ),

    final as (
        select
            versions.*,
            row_number() over (partition by versions.known_as order by versions.valid_from desc) = 1 as is_newest
        from versions
        inner join listings
            on
                versions.known_as = listings.known_as
                and versions.source_system = listings.source_system
                and versions.source_instance = listings.source_instance
                and versions.member_type = listings.member_type
                and versions.member_id = listings.member_id
        where listings.choice = 1
    )

    select * from final
{% endmacro %}
