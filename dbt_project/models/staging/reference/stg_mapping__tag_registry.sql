{% set listed = ['allowed_values', 'required_in'] %}
{% set bare_pattern = "coalesce(nullif(trim(pattern), ''), '')" %}
{# A pattern that no warehouse can read would stop the build; what is left of it after its sets counts the brackets. #}
{% set lengths = {} %}
{% for bracket in ['(', ')', '[', ']', '{', '}'] %}
{% do lengths.update({bracket: "length(replace(" ~ bare_pattern ~ ", '" ~ bracket ~ "', ''))"}) %}
{% endfor %}

with registry as (
    select * from {{ ref('tag_registry') }}
),

final as (
    select
        trim(tag_key) as tag_key,
        nullif(trim(meaning), '') as meaning,
        nullif(trim(owner), '') as owner,
        {% for column in listed -%}
        nullif(replace(replace(trim({{ column }}), ' |', '|'), '| ', '|'), '') as {{ column }},
        {% endfor -%}
        case
            when {{ bare_pattern }} = '' then null
            when {{ lengths['('] }} <> {{ lengths[')'] }} then null
            when {{ lengths['['] }} <> {{ lengths[']'] }} then null
            when {{ lengths['{'] }} <> {{ lengths['}'] }} then null
            when replace({{ bare_pattern }}, chr(92), '') <> {{ bare_pattern }} then null
            when {{ regex_found(bare_pattern, "'^[*+?]|[(][*+?]|[*+?{][*+]|[|][*+?]'") }} then null
            else {{ bare_pattern }}
        end as pattern,
        {{ seed_number('since', 'date', when_empty='1900-01-01') }} as since,
        {{ seed_number('retired', 'date', when_empty='9999-12-31') }} as retired,
        nullif(trim(replaced_by), '') as replaced_by
    from registry
)

select * from final
