{# Key of an attempt over all sources, from the columns that name its record. #}
{% macro request_key() -%}
    {{ dbt.concat(['source_system', "'|'", 'source_instance', "'|'", 'source_record_id']) }}
{%- endmacro %}
