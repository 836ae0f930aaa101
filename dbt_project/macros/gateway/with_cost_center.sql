{#
    Rows with a team and a validity, with the cost centre that the team has: where that changes within the validity, the
    row is cut in two. relation: has team_id, valid_from, valid_to; key: its key beside valid_from; columns: the others.
#}
{% macro with_cost_center(relation, key, columns) %}
    with teams as (
        select * from {{ ref('stg_mapping__org_teams') }}
    ),

    cuts as (
        select
            {{ key }},
            valid_from as row_valid_from,
            valid_from as cut_at
        from {{ relation }}
        {%- for bound in ['valid_from', 'valid_to'] %}
        {{ llm_spend.union_distinct() }}
        select
            held.{{ key }},
            held.valid_from as row_valid_from,
            teams.{{ bound }} as cut_at
        from {{ relation }} as held
        inner join teams
            on
                held.team_id = teams.team_id
                and teams.{{ bound }} > held.valid_from
                and teams.{{ bound }} < held.valid_to
        {%- endfor %}
    ),

    pieces as (
        select
            *,
            lead(cut_at) over (partition by {{ key }}, row_valid_from order by cut_at) as next_cut_at
        from cuts
    ),

    final as (
        select
            held.{{ key }},
            {%- for column in columns %}
            held.{{ column }},
            {%- endfor %}
            coalesce(held.team_id, {{ unallocated() }}) as team_id,
            coalesce(teams.cost_center_id, {{ unallocated() }}) as cost_center_id,
            pieces.cut_at as valid_from,
            coalesce(pieces.next_cut_at, held.valid_to) as valid_to
        from {{ relation }} as held
        inner join pieces
            on held.{{ key }} = pieces.{{ key }} and held.valid_from = pieces.row_valid_from
        left join teams
            on
                held.team_id = teams.team_id
                and pieces.cut_at >= teams.valid_from
                and pieces.cut_at < teams.valid_to
    )

    select * from final
{% endmacro %}
