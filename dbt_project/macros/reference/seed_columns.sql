{#
    The text columns of a seed as values. What can't be read becomes NULL, and tests of the staging models say which
    row it is: a cast that fails would stop the build without naming it.
#}
{% macro seed_instant(column, when_empty) -%}
{{ llm_spend.try_cast("coalesce(nullif(trim(" ~ column ~ "), ''), '" ~ when_empty ~ "')", llm_spend.type_timestamp()) }}
{%- endmacro %}

{% macro seed_number(column, type, when_empty=none) -%}
{%- if when_empty is none -%}
{{ llm_spend.try_cast("nullif(trim(" ~ column ~ "), '')", type) }}
{%- else -%}
{{ llm_spend.try_cast("coalesce(nullif(trim(" ~ column ~ "), ''), '" ~ when_empty ~ "')", type) }}
{%- endif -%}
{%- endmacro %}

{# "HH:MM" as minutes since midnight, 0 to 1440. #}
{% macro seed_minute(column, when_empty) -%}
{%- set text = "trim(" ~ column ~ ")" -%}
case
    when coalesce({{ text }}, '') = '' then {{ when_empty }}
    when {{ llm_spend.regex_found(text, "'^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$'") }}
        then
            {{ llm_spend.try_cast("left(" ~ text ~ ", 2)", dbt.type_int()) }} * 60
            + {{ llm_spend.try_cast("right(" ~ text ~ ", 2)", dbt.type_int()) }}
end
{%- endmacro %}

{#
    The price of what one column of int_price_book counts, from a price for `unit_size` units: one token, request,
    search or page; of audio an hour, because the price of a second has no end. Decimal times decimal: a division would
    go through a float on some warehouses. NULL for other sizes.
#}
{% macro price_of_one(unit_price, unit_size, usage_unit, type) -%}
cast(
    {{ unit_price }} * cast(
        case
            when {{ usage_unit }} = 'audio_seconds'
                then case {{ unit_size }} when 3600 then '1' when 60 then '60' when 1 then '3600' end
            else case {{ unit_size }} when 1 then '1' when 1000 then '0.001' when 1000000 then '0.000001' end
        end
        as {{ llm_spend.type_decimal(12, 6) }}
    )
    as {{ type }}
)
{%- endmacro %}
