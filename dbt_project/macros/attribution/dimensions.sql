{# The owners that a request can have. #}
{% macro owner_dimensions() %}{{ return(['user', 'team', 'feature', 'customer', 'environment']) }}{% endmacro %}

{# How many metadata keys may stand for one dimension in one source; a test guards it. #}
{% macro attribution_slots() %}{{ return(6) }}{% endmacro %}

{# The member that stands for "nobody we know of": sums over members with it equal the total. #}
{% macro unallocated() %}'(unallocated)'{% endmacro %}

{# A tag that names something, as it was typed: NULL for an empty one and for a nested document, which is no name. #}
{% macro named_tag(tag) -%}
    case when trim({{ tag }}) <> '' and {{ dbt.position("substr(" ~ tag ~ ", 1, 1)", "'{['") }} = 0 then {{ tag }} end
{%- endmacro %}

{# A tag in the form in which tags of a dimension are compared. #}
{% macro same_name(dimension, tag) -%}
    {{ 'lower(trim(' ~ tag ~ '))' if dimension == 'user' else 'trim(' ~ tag ~ ')' }}
{%- endmacro %}

{#
    Whether keys of the same priority as the winning one say something else. `dimension` names the columns
    <dimension>_tied_tag_<n> and <dimension>_priority_<n>.
#}
{% macro tags_conflict(dimension) -%}
    case
        {%- for winner in range(1, attribution_slots()) %}
        when {{ dimension }}_tied_tag_{{ winner }} is not null
            then {% for other in range(winner + 1, attribution_slots() + 1) -%}
                coalesce(
                    {{ dimension }}_priority_{{ other }} = {{ dimension }}_priority_{{ winner }}
                    and {{ dimension }}_tied_tag_{{ other }} <> {{ dimension }}_tied_tag_{{ winner }}, false
                ){{ ' or ' if not loop.last }}
            {%- endfor %}
        {%- endfor %}
        else false
    end
{%- endmacro %}
