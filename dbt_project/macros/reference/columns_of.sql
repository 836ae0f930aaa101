{# Some columns of one relation of a join, each with its name. #}
{% macro columns_of(relation, columns) -%}
{{ relation }}.{{ columns | join(',\n        ' ~ relation ~ '.') }}
{%- endmacro %}
