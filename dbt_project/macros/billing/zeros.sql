{# Columns of a select: measures that a side of a comparison does not have. #}
{% macro zeros(measures) -%}
{% for measure in measures -%}
0 as {{ measure }}{{ ',
        ' if not loop.last }}
{%- endfor %}
{%- endmacro %}
