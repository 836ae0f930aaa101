{# A SELECT of the whole numbers from 0 to 999, as `number`; each warehouse has a way of its own to write a series. #}
{% macro numbers() -%}
    select ones.digit + 10 * tens.digit + 100 * hundreds.digit as number
    from
    {%- for place in ['ones', 'tens', 'hundreds'] %}
        {{ 'cross join ' if not loop.first }}(
            {%- for digit in range(10) %}
            select {{ digit }} as digit{{ ' union all' if not loop.last }}
            {%- endfor %}
        ) as {{ place }}
    {%- endfor %}
{%- endmacro %}
