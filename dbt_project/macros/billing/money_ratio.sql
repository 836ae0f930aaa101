{# |amount| / whole, both USD, rounded half-up to 6 places; 0 for nothing of nothing. Below 10^12 USD. #}
{% macro money_ratio(amount, whole) -%}
coalesce(
    {{ llm_spend.whole_ratio(
        'cast(abs(' ~ amount ~ ') * 1000000 as ' ~ dbt.type_bigint() ~ ')',
        'cast(' ~ whole ~ ' * 1000000 as ' ~ dbt.type_bigint() ~ ')'
    ) }},
    0
)
{%- endmacro %}
