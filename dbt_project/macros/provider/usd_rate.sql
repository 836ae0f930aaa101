{# USD for one unit of a currency, from a row of stg_prices__fx_rates that may be missing: NULL then, and 1 for USD. #}
{% macro usd_rate(currency, rates) -%}
case when {{ currency }} = 'USD' then cast(1 as {{ llm_spend.type_decimal(18, 12) }}) else {{ rates }}.usd_per_unit end
{%- endmacro %}

{# An amount in USD, rounded half-up to 12 digits. NULL without a rate. Most amounts are USD already. #}
{% macro in_usd(amount, currency, rate) -%}
case
    when {{ currency }} = 'USD' then {{ amount }}
    else cast(round({{ amount }} * {{ rate }}, 12) as {{ llm_spend.type_money() }})
end
{%- endmacro %}

{# SQL condition of a join: the rate of a currency on a date. #}
{% macro rate_holds(rates, currency, date) -%}
{{ currency }} = {{ rates }}.currency
and cast({{ date }} as {{ llm_spend.type_timestamp() }}) >= {{ rates }}.valid_from
and cast({{ date }} as {{ llm_spend.type_timestamp() }}) < {{ rates }}.valid_to
{%- endmacro %}
