{#
    SQL condition of a join: a bill covers what a gateway did on a date. usage: has usage_date, channel, provider,
    source_system and source_instance; billed_days: int_billed_days, which has one row of them at most.
#}
{% macro is_billed_day(usage, billed_days) -%}
{{ usage }}.usage_date = {{ billed_days }}.usage_date
and coalesce({{ usage }}.channel, {{ usage }}.provider) = {{ billed_days }}.provider
and {{ usage }}.source_system = {{ billed_days }}.source_system
and {{ usage }}.source_instance = {{ billed_days }}.source_instance
{%- endmacro %}
