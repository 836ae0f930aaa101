{#
    The time zone (IANA name) of chargeback months that are still open: the var llm_spend_billing_timezone. Closed ones
    keep the zone that period_close has for them.
#}
{% macro billing_time_zone() %}
    {%- set zone = var('llm_spend_billing_timezone') -%}
    {%- set known = modules.pytz.all_timezones -%}
    {%- if known and zone not in known -%}
        {%- do exceptions.raise_compiler_error(
            "llm_spend_billing_timezone is '" ~ zone ~ "', which is no time zone: write an IANA name, such as Europe/Berlin."
        ) -%}
    {%- endif -%}
    {{ return(zone) }}
{% endmacro %}

{# The first day of the month before, and of the one after, that of a month. #}
{% macro month_before(billing_period) %}cast({{ dbt.dateadd('month', -1, billing_period) }} as date){% endmacro %}
{% macro month_after(billing_period) %}cast({{ dbt.dateadd('month', 1, billing_period) }} as date){% endmacro %}
