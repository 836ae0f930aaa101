{# What a KPI can divide besides business events: measures of usage, and those that are made with the revenue. #}
{% macro kpi_usage_measures() %}
    {{ return(['cost_usd', 'total_tokens', 'input_tokens', 'output_tokens', 'requests']) }}
{% endmacro %}

{% macro kpi_revenue_measures() %}{{ return(['revenue_usd', 'margin_usd']) }}{% endmacro %}

{# The type of business event that a side of a KPI needs, by its name (SQL); NULL when it is of usage alone. #}
{% macro kpi_event(side) -%}
case
            when {{ side }} in ('{{ llm_spend.kpi_usage_measures() | join("', '") }}') then null
            when {{ side }} in ('{{ llm_spend.kpi_revenue_measures() | join("', '") }}') then 'revenue'
            else {{ side }}
        end
{%- endmacro %}

{# The value of a side of a KPI. members: a relation with the measures as columns; events: the quantity of its event. #}
{% macro kpi_side(side, members, events) -%}
case {{ side }}
            {%- for measure in llm_spend.kpi_usage_measures() + llm_spend.kpi_revenue_measures() %}
            when '{{ measure }}' then cast({{ members }}.{{ measure }} as {{ llm_spend.type_money() }})
            {%- endfor %}
            else {{ events }}.quantity
        end
{%- endmacro %}
