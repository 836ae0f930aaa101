{# A service tier in one word for all that are standard; both sides of a reconciliation name them alike. #}
{% macro tier_name(service_tier) -%}
case when {{ llm_spend.is_standard_tier(service_tier) }} then 'standard' else lower({{ service_tier }}) end
{%- endmacro %}
