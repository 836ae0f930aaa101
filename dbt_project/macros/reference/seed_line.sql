{# The columns of a seed row as one text. #}
{% macro seed_line(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(" ~ column ~ ", '')") -%}
        {%- do parts.append("'|'") -%}
    {%- endfor -%}
    {{ dbt.concat(parts) }}
{%- endmacro %}
