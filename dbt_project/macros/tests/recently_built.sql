{#
    SQL condition: the date has a version of the last day before the newest one. Tests that look at single requests look
    at those dates only, so that they cost what is new and not what is there; a full refresh looks at everything.

    usage_date: the column that holds the date.
#}
{% macro recently_built(usage_date='usage_date') -%}
    {%- set dates = ref('int_usage_dates') -%}
    {%- if flags.FULL_REFRESH -%}
        true
    {%- else -%}
        {{ usage_date }} in (
            select recent.usage_date
            from {{ dates }} as recent
            where recent.versioned_at >= (select {{ minutes_before('max(versioned_at)', 1440) }} from {{ dates }})
        )
    {%- endif -%}
{%- endmacro %}
