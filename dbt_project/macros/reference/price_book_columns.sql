{# The columns of the price book beside its key and its dates. #}
{% macro price_book_columns() %}
    {% set columns = [
        'channel', 'model_id', 'service_tier', 'region', 'input_tokens_gt', 'input_tokens_lte', 'is_all_week',
        'minute_from', 'minute_to', 'weekdays', 'provider', 'price_channel'
    ] %}
    {% set units = llm_spend.usage_units() %}
    {% do columns.extend(units | map(attribute='price')) %}
    {% do columns.extend(units | selectattr('parents') | map(attribute='inherited')) %}
    {% do columns.append('has_audio_prices') %}
    {% for unit in units %}{% do columns.append('contract_' ~ unit.price) %}{% endfor %}
    {% do columns.extend(['has_contract_prices', 'has_override', 'pricing_basis']) %}
    {{ return(columns) }}
{% endmacro %}

{#
    A price after discounts, each applied to what the one before left.

    price: SQL for the list price, NULL when there is none; steps: how many; factor, fixed: beginnings of the names of
    the columns of a step. A fixed price replaces what was before it.
#}
{% macro discounted_price(price, steps, factor, fixed) -%}
{%- set type = llm_spend.type_contract_price() -%}
{%- set reached = namespace(sql='cast(' ~ price ~ ' as ' ~ type ~ ')') -%}
{%- for step in range(1, steps + 1) -%}
{%- set reached.sql -%}
cast(coalesce({{ fixed }}{{ step }}, round({{ reached.sql }} * coalesce({{ factor }}{{ step }}, 1), 18)) as {{ type }})
{%- endset -%}
{%- endfor -%}
{{ reached.sql }}
{%- endmacro %}
