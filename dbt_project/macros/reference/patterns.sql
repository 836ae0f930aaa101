{#
    Whether a value is what a pattern of a seed says: exactly it, `prefix*`, `*suffix`, or `*` for anything. Both are
    SQL; patterns are in lower case (see pattern_column).
#}
{% macro matches_pattern(value, pattern) -%}
case
    when {{ pattern }} = '*' then true
    when right({{ pattern }}, 1) = '*'
        then left({{ value }}, length({{ pattern }}) - 1) = left({{ pattern }}, length({{ pattern }}) - 1)
    when left({{ pattern }}, 1) = '*'
        then right({{ value }}, length({{ pattern }}) - 1) = right({{ pattern }}, length({{ pattern }}) - 1)
    else {{ value }} = {{ pattern }}
end
{%- endmacro %}

{# A pattern column of a seed, in lower case; empty stands for anything. #}
{% macro pattern_column(column) -%}
coalesce(nullif(lower(trim({{ column }})), ''), '*')
{%- endmacro %}
