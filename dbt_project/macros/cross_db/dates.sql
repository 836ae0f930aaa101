{# All timestamps of this project are naive and mean UTC, so a cast to date is the UTC date whatever the session's zone. #}
{% macro month_start(expression) %}cast({{ dbt.date_trunc('month', expression) }} as date){% endmacro %}
