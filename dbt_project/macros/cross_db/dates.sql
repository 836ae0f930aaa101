{#
    All timestamps of this project mean UTC (see type_timestamp), so a cast to date is the UTC date whatever the zone of
    the session.
#}
{% macro month_start(expression) %}cast({{ dbt.date_trunc('month', expression) }} as date){% endmacro %}

{# A timestamp of this project from one that carries a zone. #}
{% macro utc_timestamp(expression) %}{{ return(adapter.dispatch('utc_timestamp', 'llm_spend')(expression)) }}{% endmacro %}
{% macro default__utc_timestamp(expression) %}cast({{ expression }} at time zone 'UTC' as timestamp){% endmacro %}
{% macro snowflake__utc_timestamp(expression) %}convert_timezone('UTC', {{ expression }})::timestamp_ntz{% endmacro %}
{% macro bigquery__utc_timestamp(expression) %}{{ expression }}{% endmacro %}

{# A date as text, YYYY-MM-DD; on Snowflake a cast writes it as a parameter of the session says. #}
{% macro date_text(expression) %}{{ return(adapter.dispatch('date_text', 'llm_spend')(expression)) }}{% endmacro %}
{% macro default__date_text(expression) %}cast({{ expression }} as {{ dbt.type_string() }}){% endmacro %}
{% macro snowflake__date_text(expression) %}to_char({{ expression }}, 'YYYY-MM-DD'){% endmacro %}

{# Milliseconds between two timestamps, as a whole number. #}
{% macro milliseconds_between(first, second) %}{{ return(adapter.dispatch('milliseconds_between', 'llm_spend')(first, second)) }}{% endmacro %}
{% macro default__milliseconds_between(first, second) %}date_diff('millisecond', {{ first }}, {{ second }}){% endmacro %}
{% macro snowflake__milliseconds_between(first, second) %}datediff('millisecond', {{ first }}, {{ second }}){% endmacro %}
{% macro bigquery__milliseconds_between(first, second) %}timestamp_diff({{ second }}, {{ first }}, millisecond){% endmacro %}

{# A timestamp some minutes earlier. #}
{% macro minutes_before(expression, minutes) %}{{ return(adapter.dispatch('minutes_before', 'llm_spend')(expression, minutes)) }}{% endmacro %}
{% macro default__minutes_before(expression, minutes) %}{{ expression }} - interval '{{ minutes }} minutes'{% endmacro %}
{% macro bigquery__minutes_before(expression, minutes) %}timestamp_sub({{ expression }}, interval {{ minutes }} minute){% endmacro %}

{#
    The date on which a timestamp of this project is in a time zone (IANA name), and the timestamp at which a date begins
    there: the first of two midnights, and where clocks skip midnight, the moment at which they do. DuckDB takes the later of
    two times of one name; of midnight and the end of the microsecond before it one is right, and the other is later.
#}
{% macro local_date(timestamp, time_zone) %}{{ return(adapter.dispatch('local_date', 'llm_spend')(timestamp, time_zone)) }}{% endmacro %}
{% macro default__local_date(timestamp, time_zone) %}cast(timezone({{ time_zone }}, timezone('UTC', {{ timestamp }})) as date){% endmacro %}
{% macro snowflake__local_date(timestamp, time_zone) %}cast(convert_timezone('UTC', {{ time_zone }}, {{ timestamp }}) as date){% endmacro %}
{% macro bigquery__local_date(timestamp, time_zone) %}date({{ timestamp }}, {{ time_zone }}){% endmacro %}

{% macro local_midnight(date, time_zone) %}{{ return(adapter.dispatch('local_midnight', 'llm_spend')(date, time_zone)) }}{% endmacro %}
{% macro default__local_midnight(date, time_zone) -%}
least(
    timezone('UTC', timezone({{ time_zone }}, cast({{ date }} as timestamp))),
    timezone('UTC', timezone({{ time_zone }}, cast({{ date }} as timestamp) - interval 1 microsecond)) + interval 1 microsecond
)
{%- endmacro %}
{% macro snowflake__local_midnight(date, time_zone) %}convert_timezone({{ time_zone }}, 'UTC', cast({{ date }} as timestamp_ntz)){% endmacro %}
{% macro bigquery__local_midnight(date, time_zone) %}timestamp({{ date }}, {{ time_zone }}){% endmacro %}
