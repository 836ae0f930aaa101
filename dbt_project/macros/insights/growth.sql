{#
    How much the recent part of a history costs above the earlier one of the same length, both in whole millionths of a
    dollar: a ratio between -0.5 and 0.5, and 0 without an earlier part.
#}
{% macro growth_ratio(recent, earlier) -%}
case
    when {{ recent }} * 2 >= {{ earlier }} * 3 and {{ earlier }} > 0 then {{ llm_spend.exact('0.5') }}
    when {{ recent }} * 2 <= {{ earlier }} and {{ earlier }} > 0 then {{ llm_spend.exact('-0.5') }}
    else coalesce({{ llm_spend.whole_ratio(recent ~ ' - ' ~ earlier, earlier) }}, {{ llm_spend.exact('0') }})
end
{%- endmacro %}

{# How many times as much as a recent part a part of 28 days ahead costs: 0 for the first. Of columns step_0, step_1 … #}
{% macro product_of_steps(last) -%}
{%- set product = namespace(sql='step_0') -%}
{%- for step in range(1, last + 1) -%}
    {%- set product.sql = 'round(' ~ product.sql ~ ' * step_' ~ step ~ ', 6)' -%}
{%- endfor -%}
cast({{ product.sql }} as {{ llm_spend.type_decimal(18, 6) }})
{%- endmacro %}

{# The cost of some weeks in a row, of columns week_1_usd (the last), week_2_usd … #}
{% macro sum_of_weeks(first, count) -%}
{%- for week in range(first, first + count) -%}
week_{{ week }}_usd{{ ' + ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}
