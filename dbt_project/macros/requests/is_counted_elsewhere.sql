{# SQL condition of a join: requests of the relation are in counted_elsewhere, rows of int_counted_elsewhere. #}
{% macro is_counted_elsewhere(requests) -%}
{{ requests }}.usage_date = counted_elsewhere.usage_date
and {{ requests }}.source_system = counted_elsewhere.source_system
and {{ requests }}.source_instance = counted_elsewhere.source_instance
and coalesce({{ requests }}.raw_provider, '') = counted_elsewhere.provider_name
and coalesce({{ requests }}.raw_model, '') = counted_elsewhere.model_name
{%- endmacro %}
