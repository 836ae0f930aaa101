{# SQL condition: a service tier is the standard one, or what a request says when it leaves the choice to the provider. #}
{% macro is_standard_tier(service_tier) -%}
coalesce(lower({{ service_tier }}), 'standard') in ('standard', 'default', 'auto')
{%- endmacro %}
