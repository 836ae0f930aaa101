-- Rows of the organisation seeds that can't both hold. The build goes on: of overlapping rows the one that begins last
-- wins from its first day, and a team that is not in org_teams is (unallocated).
{{ config(severity='warn') }}

{% set keys = {'org_members': 'user_id', 'org_teams': 'team_id', 'api_keys': 'api_key_id'} %}

with stated as (
    {% for seed, key in keys.items() -%}
    select
        '{{ seed }}' as seed,
        {% if seed == 'org_members' %}lower(trim({{ key }})){% else %}trim({{ key }}){% endif %} as seed_key,
        {{ 'cast(null as ' ~ dbt.type_string() ~ ')' if seed == 'org_teams' else "nullif(trim(team_id), '')" }} as team_id,
        coalesce(cast(nullif(trim(valid_from), '') as date), cast('1900-01-01' as date)) as valid_from,
        coalesce(cast(nullif(trim(valid_to), '') as date), cast('9999-12-31' as date)) as valid_to
    from {{ ref(seed) }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

ordered as (
    select
        *,
        lead(valid_from) over (partition by seed, seed_key order by valid_from, valid_to) as next_valid_from
    from stated
),

teams as (
    select distinct team_id from {{ ref('stg_mapping__org_teams') }}
),

final as (
    select
        seed,
        seed_key,
        valid_from,
        'overlaps the next row of the same key' as problem
    from ordered
    where valid_to > next_valid_from

    union all

    select
        seed,
        seed_key,
        valid_from,
        'valid_to is not after valid_from: the row never holds' as problem
    from ordered
    where valid_to <= valid_from

    union all

    select
        ordered.seed,
        ordered.seed_key,
        ordered.valid_from,
        'its team is not in org_teams' as problem
    from ordered
    left join teams on ordered.team_id = teams.team_id
    where
        ordered.team_id is not null
        and teams.team_id is null
        and exists (select 1 from teams)
)

select * from final
