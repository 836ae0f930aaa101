{#
    SQL condition: the date has a version of the last day before the newest one. Tests that look at single requests look
    at those dates only, so that they cost what is new and not what is there; a full refresh looks at everything.
    Where the dates of this build are known as constants, these are they.

    `llm-spend build` says when the last build passed its tests (LLM_SPEND_REST_IS_TESTED): then the dates of the newest
    version are enough for a test that fails. One that warns repeats for a day what it found.

    usage_date: the column that holds the date; started_at: that of the time, for a query that looks through to raw tables.
#}
{% macro recently_built(usage_date='usage_date', started_at=none) -%}
    {%- set dates = ref('int_usage_dates') -%}
    {%- if flags.FULL_REFRESH -%}
        true
    {%- elif llm_spend.constant_dates('quota_version') -%}
        {{ llm_spend.on_constant_dates(['date_version', 'quota_version'], usage_date, started_at) }}
    {%- else -%}
        {{ usage_date }} in (
            select recent.usage_date
            from {{ dates }} as recent
            {% if execute and env_var('LLM_SPEND_REST_IS_TESTED', '') and model.config.severity | lower == 'error' -%}
            where recent.versioned_at = (select max(versioned_at) from {{ dates }})
            {%- else -%}
            where recent.versioned_at >= (select {{ minutes_before('max(versioned_at)', 1440) }} from {{ dates }})
            {%- endif %}
        )
    {%- endif -%}
{%- endmacro %}
