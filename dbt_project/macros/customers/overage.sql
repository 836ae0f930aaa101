{#
    What tokens above a plan cost, for a relation that has a tier of it in each row.

    overage: tokens above the included ones, more than tier_from_tokens; tiers: a relation with tier_from_tokens,
    tier_to_tokens (NULL for the last tier), price_per_million (decimal(18,6)), currency and usd_rate.
#}
{% macro overage_in_tier(overage, tiers) -%}
case
    when {{ overage }} > {{ tiers }}.tier_to_tokens then {{ tiers }}.tier_to_tokens - {{ tiers }}.tier_from_tokens
    else {{ overage }} - {{ tiers }}.tier_from_tokens
end
{%- endmacro %}

{# USD, exact but for the digits after the 12th of another currency; NULL without price or rate. #}
{% macro overage_in_usd(overage, tiers) -%}
{%- set price -%}
cast(
    {{ tiers }}.price_per_million * cast('0.000001' as {{ llm_spend.type_decimal(6, 6) }}) as {{ llm_spend.type_price() }}
)
{%- endset -%}
{%- set amount -%}
cast({{ llm_spend.overage_in_tier(overage, tiers) }} as {{ dbt.type_bigint() }}) * {{ price }}
{%- endset -%}
{{ llm_spend.in_usd('cast(' ~ amount ~ ' as ' ~ llm_spend.type_money() ~ ')', tiers ~ '.currency', tiers ~ '.usd_rate') }}
{%- endmacro %}
