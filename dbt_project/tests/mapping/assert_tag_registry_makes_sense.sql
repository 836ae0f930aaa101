-- Which row of seeds/mapping/tag_registry.csv can't be read, or can't be meant, and why. One row per key and problem.
{{ config(severity='error') }}

{% set scope = "([*]|[A-Za-z0-9_.-]+|(team|environment):[^|]+)" %}
{% set scopes = "'^ *" ~ scope ~ "( *[|] *" ~ scope ~ ")* *$'" %}

with seed_rows as (
    select
        trim(tag_key) as tag_key,
        coalesce(trim(allowed_values), '') as allowed_text,
        coalesce(trim(pattern), '') as pattern_text,
        coalesce(trim(required_in), '') as required_text
    from {{ ref('tag_registry') }}
),

registry as (
    select * from {{ ref('stg_mapping__tag_registry') }}
),

problems as (
    select
        tag_key,
        case
            when coalesce(tag_key, '') = '' then 'tag_key is empty'
            when substr(tag_key, 1, 1) = '(' then 'tag_key begins with a bracket, as names do that stand for requests'
            when {{ regex_found('allowed_text', "'^ *[|]|[|] *[|]|[|] *$'") }}
                then 'allowed_values has an empty value: write them as a|b|c'
            when required_text <> '' and not {{ regex_found('required_text', scopes) }}
                then 'required_in is not *, a source system, team:NAME or environment:NAME, with | between'
        end as problem
    from seed_rows
    union all
    select
        tag_key,
        case
            when since is null then 'since is no day, written as YYYY-MM-DD'
            when retired is null then 'retired is no day, written as YYYY-MM-DD'
            when retired <= since then 'retired is not after since: the row never holds'
            when replaced_by = tag_key then 'replaced_by is the key itself'
        end as problem
    from registry
    union all
    select
        seed_rows.tag_key,
        'pattern has a backslash, a bracket that is not closed, or nothing before * + ?' as problem
    from seed_rows
    inner join registry on seed_rows.tag_key = registry.tag_key
    where seed_rows.pattern_text <> '' and registry.pattern is null
    union all
    select
        tag_key,
        'it is there more than once' as problem
    from registry
    group by tag_key
    having count(*) > 1
    union all
    select
        registry.tag_key,
        case
            when others.tag_key is null then 'replaced_by is not in the registry'
            when others.replaced_by is not null then 'the key that replaces it is replaced itself'
        end as problem
    from registry
    left join registry as others on registry.replaced_by = others.tag_key
    where registry.replaced_by is not null
)

select *
from problems
where problem is not null
