{#
    Hash of the columns that name a row of usage or of a bill, without its occurrence. Documents and times have a text
    that is the same on every warehouse.

    others: columns beside those that usage and bills share.
#}
{% macro provider_row_key(others) -%}
{%- set day = "cast(cast(bucket_start as date) as " ~ type_timestamp() ~ ")" -%}
{{ dbt.hash(llm_spend.seed_line([
    'source_system', 'source_instance', 'provider', 'profile', 'grouped_by',
    llm_spend.date_text('cast(bucket_start as date)'),
    'cast(' ~ llm_spend.milliseconds_between(day, 'bucket_start') ~ ' as ' ~ dbt.type_string() ~ ')',
    'cast(' ~ llm_spend.milliseconds_between('bucket_start', 'bucket_end') ~ ' as ' ~ dbt.type_string() ~ ')',
    'project_id', 'api_key_id', 'user_id', 'customer_id', 'raw_model', 'service_tier', 'region', 'context_window',
    llm_spend.document_text('dimensions')
] + others)) }}
{%- endmacro %}
