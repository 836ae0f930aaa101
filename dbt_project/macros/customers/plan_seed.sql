{# What a row of a seed of plans says of price and tier, as values: of customer_plans and of plan_designs alike. #}
{% macro plan_columns() -%}
trim(plan_id) as plan_id,
        coalesce(nullif(trim(plan_name), ''), trim(plan_id)) as plan_name,
        {{ llm_spend.seed_number('monthly_fee', llm_spend.type_money()) }} as monthly_fee,
        upper(nullif(trim(currency), '')) as currency,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as usd_per_unit,
        -- Some warehouses would round what is no whole number.
        case
            when {{ llm_spend.regex_found("trim(included_tokens)", "'^[0-9]+$'") }}
                then {{ llm_spend.seed_number('included_tokens', dbt.type_bigint()) }}
        end as included_tokens,
        case
            when coalesce(trim(tier_from_tokens), '') = '' then 0
            when {{ llm_spend.regex_found("trim(tier_from_tokens)", "'^[0-9]+$'") }}
                then {{ llm_spend.seed_number('tier_from_tokens', dbt.type_bigint()) }}
        end as tier_from_tokens,
        {{ llm_spend.seed_number('price_per_million_tokens', llm_spend.type_decimal(18, 6)) }} as price_per_million
{%- endmacro %}

{# Branches of a CASE: what is wrong with those columns of a row of such a seed. #}
{% macro plan_problems() -%}
{%- set whole = "'^[0-9]{1,18}$'" -%}
{%- set rate = llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) -%}
when coalesce(trim(plan_id), '') = '' then 'plan_id is empty'
            when coalesce({{ llm_spend.seed_number('monthly_fee', llm_spend.type_money()) }}, -1) < 0
                then 'monthly_fee is not a number from 0 on'
            when not {{ llm_spend.regex_found("coalesce(trim(currency), '')", "'^[A-Za-z]{3}$'") }}
                then 'currency is no code of three letters: it is never assumed'
            when coalesce(trim(usd_per_unit), '') <> '' and coalesce({{ rate }}, 0) <= 0
                then 'usd_per_unit is not a positive number'
            when upper(trim(currency)) = 'USD' and {{ rate }} <> 1 then 'usd_per_unit is not 1 for USD'
            when
                coalesce(trim(included_tokens), '') <> ''
                and not {{ llm_spend.regex_found('trim(included_tokens)', whole) }}
                then 'included_tokens is not a whole number from 0 on'
            when
                coalesce(trim(tier_from_tokens), '') <> ''
                and not {{ llm_spend.regex_found('trim(tier_from_tokens)', whole) }}
                then 'tier_from_tokens is not a whole number from 0 on'
            when
                coalesce(trim(price_per_million_tokens), '') <> ''
                and not {{ llm_spend.regex_found(
                    'trim(price_per_million_tokens)', "'^[0-9]{1,12}([.][0-9]{1,6})?$'"
                ) }}
                then 'price_per_million_tokens is not a number from 0 on with at most 6 decimals'
{%- endmacro %}

{# SQL condition on a group of rows of such a seed, as values: they differ in more than tier and price. #}
{% macro plan_rows_differ(columns=[]) -%}
count(distinct plan_name) > 1 or count(distinct monthly_fee) > 1 or count(distinct currency) > 1
{% for column in columns -%}
or count(distinct {{ column }}) > 1
{% endfor -%}
or count(distinct coalesce(included_tokens, -1)) > 1 or count(distinct coalesce(usd_per_unit, -1)) > 1
{%- endmacro %}
