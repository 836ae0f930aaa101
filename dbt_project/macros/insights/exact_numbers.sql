{# USD in whole millionths, as an integer: what ratios of money are made of. #}
{% macro millionths(amount) %}cast(round(({{ amount }}) * 1000000, 0) as {{ dbt.type_bigint() }}){% endmacro %}

{# A ratio that is multiplied with a number of ours, with 6 digits again. `number` is text, since 0.5 is a float on BigQuery. #}
{% macro times(ratio, number) -%}
cast(round(({{ ratio }}) * {{ llm_spend.exact(number) }}, 6) as {{ llm_spend.type_decimal(18, 6) }})
{%- endmacro %}

{# A number of ours as an exact decimal. #}
{% macro exact(number) %}cast('{{ number }}' as {{ llm_spend.type_decimal(18, 6) }}){% endmacro %}

{#
    The median of `value` by `keys` of a relation: the middle value, or the mean of the middle two; exact, since nothing
    is interpolated. Rows of the same value may stand in any order.
#}
{% macro medians(relation, keys, value, name) -%}
    select
        {{ keys | join(',\n        ') }},
        cast(
            sum(case when 2 * place between places and places + 2 then {{ value }} else 0 end)
            * max(case when mod(places, 2) = 1 then {{ llm_spend.exact('1') }} else {{ llm_spend.exact('0.5') }} end)
            as {{ llm_spend.type_money() }}
        ) as {{ name }},
        max(places) as places
    from (
        select
            {{ keys | join(',\n            ') }},
            {{ value }},
            row_number() over (partition by {{ keys | join(', ') }} order by {{ value }}) as place,
            count(*) over (partition by {{ keys | join(', ') }}) as places
        from {{ relation }}
    ) as placed
    group by {{ keys | join(', ') }}
{%- endmacro %}
