{#
    How much the recent part of a history costs above the earlier one of the same length, both in whole millionths of a
    dollar: a ratio between -0.5 and 0.5, and 0 without an earlier part. `is_known`: a condition without which it is 0 too,
    since what has no price in one part and a price in the other would look like growth.
#}
{% macro growth_ratio(recent, earlier, is_known) -%}
case
    when not ({{ is_known }}) then {{ llm_spend.exact('0') }}
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

{# A measure of some weeks in a row, of columns like week_1_usd (the last), week_2_usd … #}
{% macro sum_of_weeks(first, count, measure='usd') -%}
{%- for week in range(first, first + count) -%}
week_{{ week }}_{{ measure }}{{ ' + ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}
