{# A percentile in ms, interpolated and rounded to 3 decimals; approximate on BigQuery. NULL when there are no values. #}
{% macro percentile(expression, percent) %}{{ return(adapter.dispatch('percentile', 'llm_spend')(expression, percent)) }}{% endmacro %}
{% macro default__percentile(expression, percent) -%}
    cast(percentile_cont({{ percent / 100 }}) within group (order by cast({{ expression }} as double)) as {{ type_decimal(18, 3) }})
{%- endmacro %}
{% macro bigquery__percentile(expression, percent) -%}
    cast(round(cast(approx_quantiles({{ expression }}, 1000)[offset({{ percent * 10 }})] as bignumeric), 3) as bignumeric)
{%- endmacro %}
