{#
    SQL condition of a model that adds what new loads brought: the load is one of them, in constants; `true` when they are
    not known before. What a build was not told waits for the next one. BigQuery skips blocks of raw tables by it.
#}
{% macro is_new_load(load_id='load_id') -%}
    {%- set new_loads = llm_spend.constants('new_loads') if is_incremental() else none -%}
    {%- if new_loads is none -%}
        true
    {%- else -%}
        {{ load_id }} in ('{{ (new_loads or ['']) | join("', '") }}')
    {%- endif -%}
{%- endmacro %}

{# A whole number for a date of a load, of columns load_id and usage_date. #}
{% macro place_hash() -%}
    {{ llm_spend.short_hash(dbt.concat(['load_id', "'|'", llm_spend.date_text('usage_date')])) }}
{%- endmacro %}
