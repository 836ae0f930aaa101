{# The owners that a request can have. #}
{% macro owner_dimensions() %}{{ return(['user', 'team', 'feature', 'customer', 'environment']) }}{% endmacro %}

{# How many metadata keys may stand for one dimension in one source; a test guards it. #}
{% macro attribution_slots() %}{{ return(6) }}{% endmacro %}

{# The member that stands for "nobody we know of": sums over members with it equal the total. #}
{% macro unallocated() %}'(unallocated)'{% endmacro %}

{# The value of one tag, NULL for an empty one or for one that is a nested document. #}
{% macro tag_value(map, key) -%}
    nullif(trim(case when substr({{ map_value(map, key) }}, 1, 1) not in ('{', '[') then {{ map_value(map, key) }} end), '')
{%- endmacro %}

{#
    Whether keys of the same priority as the winning one say something else. `dimension` names the columns
    <dimension>_tag_<n> and <dimension>_priority_<n>.
#}
{% macro tags_conflict(dimension) -%}
    case
        {%- for winner in range(1, attribution_slots()) %}
        when {{ dimension }}_tag_{{ winner }} is not null
            then {% for other in range(winner + 1, attribution_slots() + 1) -%}
                coalesce(
                    {{ dimension }}_priority_{{ other }} = {{ dimension }}_priority_{{ winner }}
                    and {{ dimension }}_tag_{{ other }} <> {{ dimension }}_tag_{{ winner }}, false
                ){{ ' or ' if not loop.last }}
            {%- endfor %}
        {%- endfor %}
        else false
    end
{%- endmacro %}
