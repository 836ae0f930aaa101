{# A number as text with two decimals, `-1.30`. #}
{% macro decimal_text(number) -%}
{{ dbt.concat([
    "case when " ~ number ~ " < 0 then '-' else '' end",
    "replace(" ~ llm_spend.usd_text(number) ~ ", ' USD', '')"
]) }}
{%- endmacro %}
