{#
    What lists said about something over time, a row a change: when it appears in a list of its entity, when what the list
    says of it is another (its column state_text), and when it is no longer listed, which is a version that is_deleted.

    relation: rows of lists, with source_system, source_instance, load_id, list_path, is_deleted and state_text; key: what names it
    in its source; columns: the others to keep; moment: what of the time of a list (SQL, from seen_at) says when a version
    begins. Of versions that begin at the same moment the last one counts. Adds valid_from, next_valid_from and
    version_number.
#}
{% macro listed_versions(relation, key, columns, moment='seen_at') %}
    {%- set keys = (['source_system', 'source_instance'] + key) | join(', ') %}
    {%- set kept = (['source_system', 'source_instance'] + key + columns + ['state_text']) %}
    with listings as (
        select * from {{ ref('int_listings') }}
    ),

    listed as (
        select
            rows_of_lists.*,
            listings.entity,
            listings.listing_number,
            listings.observed_at as listed_at,
            row_number() over (
                partition by
                    listings.source_system, listings.source_instance, listings.entity, listings.listing_number,
                    rows_of_lists.{{ key | join(', rows_of_lists.') }}
                order by rows_of_lists.state_text
            ) as copy_number
        from {{ relation }} as rows_of_lists
        inner join listings
            on
                rows_of_lists.load_id = listings.load_id
                and rows_of_lists.list_path = listings.list_path
                and rows_of_lists.source_system = listings.source_system
                and rows_of_lists.source_instance = listings.source_instance
    ),

    numbered as (
        select
            *,
            lead(listing_number) over (partition by entity, {{ keys }} order by listing_number) as next_listing_number
        from listed
        where copy_number = 1
    ),

    events as (
        select
            {{ kept | join(',\n            ') }},
            is_deleted,
            listed_at as seen_at,
            listing_number,
            0 as is_vanished
        from numbered
        union all
        select
            {% for column in kept -%}
            numbered.{{ column }},
            {% endfor -%}
            true as is_deleted,
            listings.observed_at as seen_at,
            listings.listing_number,
            1 as is_vanished
        from numbered
        inner join listings
            on
                numbered.source_system = listings.source_system
                and numbered.source_instance = listings.source_instance
                and numbered.entity = listings.entity
                and listings.listing_number = numbered.listing_number + 1
        where coalesce(numbered.next_listing_number, 0) <> numbered.listing_number + 1
    ),

    timed as (
        select
            *,
            {{ moment }} as valid_from
        from events
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by {{ keys }}, valid_from
                order by seen_at desc, is_vanished, listing_number desc, state_text
            ) as choice
        from timed
    ),

    compared as (
        select
            *,
            lag(state_text) over (partition by {{ keys }} order by valid_from) as previous_state_text,
            lag(is_deleted) over (partition by {{ keys }} order by valid_from) as was_deleted
        from ranked
        where choice = 1
    ),

    final as (
        select
            {{ kept | join(',\n            ') }},
            is_deleted,
            valid_from,
            lead(valid_from) over (partition by {{ keys }} order by valid_from) as next_valid_from,
            row_number() over (partition by {{ keys }} order by valid_from) as version_number
        from compared
        where
            previous_state_text is null
            or previous_state_text <> state_text
            or was_deleted <> is_deleted
    )

    select * from final
{% endmacro %}

{# Columns as one text, to compare; each is SQL that yields text or NULL. #}
{% macro state_text(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(" ~ column ~ ", '')") -%}
        {%- do parts.append("'|'") -%}
    {%- endfor -%}
    {{ dbt.hash(dbt.concat(parts)) }}
{%- endmacro %}
