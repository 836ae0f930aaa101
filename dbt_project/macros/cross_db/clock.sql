{# Minutes since midnight of the UTC day, 0 to 1439, as a whole number. #}
{% macro minute_of_day(timestamp) -%}
(extract(hour from {{ timestamp }}) * 60 + extract(minute from {{ timestamp }}))
{%- endmacro %}

{# The day of the week, 1 = Monday to 7 = Sunday, as a whole number. #}
{% macro iso_weekday(timestamp) %}{{ return(adapter.dispatch('iso_weekday', 'llm_spend')(timestamp)) }}{% endmacro %}
{% macro default__iso_weekday(timestamp) %}isodow({{ timestamp }}){% endmacro %}
{% macro snowflake__iso_weekday(timestamp) %}dayofweekiso({{ timestamp }}){% endmacro %}
{% macro bigquery__iso_weekday(timestamp) %}(mod(extract(dayofweek from {{ timestamp }}) + 5, 7) + 1){% endmacro %}
