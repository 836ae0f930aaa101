{# A service tier in one word for all that are standard; both sides of a reconciliation name them alike. #}
{% macro tier_name(service_tier) -%}
case when coalesce(lower({{ service_tier }}), 'standard') in ('standard', 'default', 'auto') then 'standard' else lower({{ service_tier }}) end
{%- endmacro %}
