{# Financial months; llm_spend has a macro of the same name, and neither may take the other's place. #}
{% macro month_start(date) -%}
    date '2000-01-01'
{%- endmacro %}
