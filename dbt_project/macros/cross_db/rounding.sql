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
case when ({{ denominator }}) > 0 then cast(
    sign({{ numerator }}) * cast(
        (abs(cast({{ numerator }} as hugeint)) * 2000000 + ({{ denominator }})) // (cast({{ denominator }} as hugeint) * 2) as decimal(38, 0)
    ) * cast('0.000001' as decimal(6, 6)) as decimal(18, 6)
) end
{%- endmacro %}
