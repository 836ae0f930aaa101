{#
    Money is split in whole cents (bigint), so that no warehouse divides or rounds it on the way.
    `amount`: decimal(38,12), USD. floor and round of a decimal are exact on all three warehouses; round is half-up.
#}
{% macro floor_to_cents(amount) %}cast(floor({{ amount }} * 100) as bigint){% endmacro %}
{% macro round_to_cents(amount) %}cast(round({{ amount }} * 100, 0) as bigint){% endmacro %}

{# Fraction of a cent that floor_to_cents leaves, 0 <= x < 1, in cents. #}
{% macro cents_left(amount) %}({{ amount }} * 100 - floor({{ amount }} * 100)){% endmacro %}

{# bigint cents -> decimal(38,2) USD. The factor is text because 0.01 is a float literal on BigQuery. #}
{% macro whole_cents_to_usd(cents) %}cast({{ cents }} * cast('0.01' as {{ llm_spend.type_decimal(3, 2) }}) as {{ llm_spend.type_decimal(38, 2) }}){% endmacro %}

{#
    numerator / denominator of two whole numbers as decimal(18,6), rounded half-up. NULL when the denominator is not positive.
    DuckDB divides decimals as DOUBLE, so there the division is one of integers.
#}
{% macro whole_ratio(numerator, denominator) %}{{ return(adapter.dispatch('whole_ratio', 'llm_spend')(numerator, denominator)) }}{% endmacro %}
{% macro default__whole_ratio(numerator, denominator) -%}
case when ({{ denominator }}) > 0 then cast(round(({{ numerator }}) / ({{ denominator }}), 6) as {{ llm_spend.type_decimal(18, 6) }}) end
{%- endmacro %}
{% macro bigquery__whole_ratio(numerator, denominator) -%}
case when ({{ denominator }}) > 0 then cast(round(cast({{ numerator }} as bignumeric) / cast({{ denominator }} as bignumeric), 6) as bignumeric) end
{%- endmacro %}
{% macro duckdb__whole_ratio(numerator, denominator) -%}
case
    when ({{ denominator }}) > 0 and abs({{ numerator }}) < 4000000000000 and ({{ denominator }}) < 4000000000000000000
        then {{ llm_spend.duckdb__millionths(numerator, denominator, 'bigint') }}
    when ({{ denominator }}) > 0
        then {{ llm_spend.duckdb__millionths(numerator, denominator, 'hugeint') }}
end
{%- endmacro %}
{# In 64 bits where they hold the numbers: DuckDB divides 128 bits nine times slower. #}
{% macro duckdb__millionths(numerator, denominator, type) -%}
cast(
    sign({{ numerator }}) * cast(
        (abs(cast({{ numerator }} as {{ type }})) * 2000000 + ({{ denominator }})) // (cast({{ denominator }} as {{ type }}) * 2)
        as decimal({{ 18 if type == 'bigint' else 38 }}, 0)
    ) * cast('0.000001' as decimal(6, 6)) as decimal(18, 6)
)
{%- endmacro %}

{#
    US cents to US dollars; 24 digits hold any cost of a request, and leave room for the product. DuckDB divides
    decimals of more than 18 digits some thirty times slower than those of 18: it gets a way for costs below $100.
#}
{% macro cents_to_usd(cents) %}{{ return(adapter.dispatch('cents_to_usd', 'llm_spend')(cents)) }}{% endmacro %}
{% macro default__cents_to_usd(cents) -%}
cast(cast({{ cents }} as {{ llm_spend.type_decimal(24, 12) }}) * cast('0.01' as {{ llm_spend.type_decimal(3, 2) }}) as {{ llm_spend.type_money() }})
{%- endmacro %}
{% macro duckdb__cents_to_usd(cents) -%}
case
    when {{ cents }} between -9999 and 9999
        then cast(cast({{ cents }} as decimal(16, 12)) * cast('0.01' as decimal(2, 2)) as {{ llm_spend.type_money() }})
    else {{ llm_spend.default__cents_to_usd(cents) }}
end
{%- endmacro %}

{#
    What `seconds` (decimal(18,3)) cost at a price of an hour (decimal with at most 18 digits behind the point), USD, rounded
    half-up to 12 digits. A price of a second would be no exact decimal, so whole numbers are divided: thousandths of a
    second times the price in units of its last digit, by 3600 * 10^9, which leaves 12 digits.
#}
{% macro cost_by_hour(seconds, hour_price) %}{{ return(adapter.dispatch('cost_by_hour', 'llm_spend')(seconds, hour_price)) }}{% endmacro %}
{% macro default__cost_by_hour(seconds, hour_price) -%}
{%- set product -%}
(
    cast({{ seconds }} * 1000 as {{ llm_spend.type_decimal(38, 0) }})
    * cast({{ hour_price }} * 1000000000000000000 as {{ llm_spend.type_decimal(38, 0) }})
    + 1800000000000
)
{%- endset -%}
cast(
    cast(({{ product }} - mod({{ product }}, 3600000000000)) / 3600000000000 as {{ llm_spend.type_decimal(38, 0) }})
    * cast('0.000000000001' as {{ llm_spend.type_decimal(12, 12) }}) as {{ llm_spend.type_money() }}
)
{%- endmacro %}
{# Decimals are divided as DOUBLE, and have no room for a price times 10^18: its digits are read as they are written. #}
{% macro duckdb__cost_by_hour(seconds, hour_price) -%}
cast(
    cast(
        (
            cast({{ seconds }} * 1000 as hugeint)
            * cast(replace(cast(cast({{ hour_price }} as decimal(24, 18)) as varchar), '.', '') as hugeint)
            + 1800000000000
        ) // 3600000000000 as decimal(38, 0)
    ) * cast('0.000000000001' as decimal(12, 12)) as {{ llm_spend.type_money() }}
)
{%- endmacro %}

{#
    amount * weight / total, USD of 12 digits. `weight` and `total` are bigints, 0 <= weight <= total < 9 * 10^14. The ratio
    is cut off at its 12th digit, found four digits at a time by division of whole numbers: so no warehouse rounds it,
    and nothing outgrows 64 bits. Shares may fall short of the amount by its trillionth each.
#}
{% macro share_of(amount, weight, total) -%}
{%- set digits = [] %}
{#- A plain variable that a loop sets is what it was again in its next round. #}
{%- set left = namespace(over=weight) %}
{%- for place in range(3) %}
{%- set product = left.over ~ ' * 10000' %}
{%- set rest = 'mod(' ~ product ~ ', ' ~ total ~ ')' %}
{%- do digits.append('cast((' ~ product ~ ' - ' ~ rest ~ ') / ' ~ total ~ ' as ' ~ dbt.type_bigint() ~ ')') %}
{%- set left.over = rest %}
{%- endfor -%}
cast(round(
    {{ amount }} * cast(
        cast({{ digits[0] }} * 100000000 + {{ digits[1] }} * 10000 + {{ digits[2] }} as {{ llm_spend.type_decimal(13, 0) }})
        * cast('0.000000000001' as {{ llm_spend.type_decimal(12, 12) }}) as {{ llm_spend.type_decimal(14, 12) }}
    ),
    12
) as {{ llm_spend.type_money() }})
{%- endmacro %}

{#
    numerator / denominator of two decimals(38,12) as a decimal(38,12), rounded half-up: whole numbers are divided, four
    digits at a time, so that no warehouse rounds on the way. Exact for a quotient below 10^15. Both are names of columns;
    the denominator is above 0 or NULL: a CASE around would have DuckDB compute every remainder again.
#}
{% macro exact_ratio(numerator, denominator) -%}
{%- set digits = [] %}
{%- set left = namespace(over='abs(' ~ numerator ~ ')') %}
{%- for factor in [10000, 10000, 10000, 2, 1] %}
{%- set rest = 'mod(' ~ left.over ~ ', ' ~ denominator ~ ')' %}
{%- do digits.append('cast((' ~ left.over ~ ' - ' ~ rest ~ ') / ' ~ denominator ~ ' as ' ~ dbt.type_bigint() ~ ')') %}
{%- set left.over = rest ~ ' * ' ~ factor %}
{%- endfor -%}
cast(
            sign({{ numerator }}) * (
                cast({{ digits[0] }} as {{ llm_spend.type_money() }})
                + cast(
                    {{ digits[1] }} * 100000000
                    + {{ digits[2] }} * 10000
                    + {{ digits[3] }}
                    + {{ digits[4] }}
                    as {{ llm_spend.type_decimal(13, 0) }}
                ) * cast('0.000000000001' as {{ llm_spend.type_decimal(12, 12) }})
            ) as {{ llm_spend.type_money() }}
        )
{%- endmacro %}
