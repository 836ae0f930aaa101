{# Money: 12 decimals hold one token at $0.0028 per million; see docs/decisions.md. #}
{% macro type_money() %}{{ return(adapter.dispatch('type_money', 'llm_spend')()) }}{% endmacro %}
{% macro default__type_money() %}decimal(38, 12){% endmacro %}
{% macro bigquery__type_money() %}bignumeric{% endmacro %}

{# Price of one unit (token, request). 6 integer digits leave room for price * bigint inside 38 digits. #}
{% macro type_price() %}{{ return(adapter.dispatch('type_price', 'llm_spend')()) }}{% endmacro %}
{% macro default__type_price() %}decimal(18, 12){% endmacro %}
{% macro bigquery__type_price() %}bignumeric{% endmacro %}

{# Ratios, latencies in ms, scores: exact, so that warehouses agree row for row. #}
{% macro type_decimal(precision, scale) %}{{ return(adapter.dispatch('type_decimal', 'llm_spend')(precision, scale)) }}{% endmacro %}
{% macro default__type_decimal(precision, scale) %}decimal({{ precision }}, {{ scale }}){% endmacro %}
{% macro bigquery__type_decimal(precision, scale) %}bignumeric{% endmacro %}

{# NULL instead of an error when the text is not of the type. dbt.safe_cast is a plain cast on DuckDB. #}
{% macro try_cast(expression, type) %}{{ return(adapter.dispatch('try_cast', 'llm_spend')(expression, type)) }}{% endmacro %}
{% macro default__try_cast(expression, type) %}try_cast({{ expression }} as {{ type }}){% endmacro %}
{% macro bigquery__try_cast(expression, type) %}safe_cast({{ expression }} as {{ type }}){% endmacro %}

{# A time of the UTC clock: without a zone, except on BigQuery, whose TIMESTAMP is an instant and shows as UTC. #}
{% macro type_timestamp() %}{{ return(adapter.dispatch('type_timestamp', 'llm_spend')()) }}{% endmacro %}
{% macro default__type_timestamp() %}timestamp{% endmacro %}
{# Plain TIMESTAMP is what an account parameter says it is. #}
{% macro snowflake__type_timestamp() %}timestamp_ntz{% endmacro %}

{# Price of one unit after discounts, which need more digits than a list price. #}
{% macro type_contract_price() %}{{ return(adapter.dispatch('type_contract_price', 'llm_spend')()) }}{% endmacro %}
{% macro default__type_contract_price() %}decimal(24, 18){% endmacro %}
{% macro bigquery__type_contract_price() %}bignumeric{% endmacro %}
