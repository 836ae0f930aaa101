{# SQL condition: what a request was logged under is this row of int_model_resolution. Both are names of relations. #}
{% macro names_model(requests, resolution) -%}
{{ requests }}.source_system = {{ resolution }}.source_system
and coalesce({{ requests }}.raw_provider, '') = coalesce({{ resolution }}.raw_provider, '')
and coalesce({{ requests }}.raw_model, '') = coalesce({{ resolution }}.raw_model, '')
and {{ requests }}.started_at >= {{ resolution }}.valid_from
and {{ requests }}.started_at < {{ resolution }}.valid_to
{%- endmacro %}
