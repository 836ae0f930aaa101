{# SQL condition: a grouping (dimensions, with commas between) has this dimension. #}
{% macro names_dimension(grouping, dimension) -%}
{{ dbt.position("'," ~ dimension ~ ",'", dbt.concat(["','", grouping, "','"])) }} > 0
{%- endmacro %}
