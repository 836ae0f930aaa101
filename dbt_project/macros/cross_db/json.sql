{#
    Text of one key of a flat JSON object; NULL when the key is missing. `key` is SQL, so a key can come from a column.
#}
{% macro json_value(json, key) %}{{ return(adapter.dispatch('json_value', 'llm_spend')(json, key)) }}{% endmacro %}
{% macro default__json_value(json, key) %}json_extract_string({{ json }}, '$."' || {{ key }} || '"'){% endmacro %}
{% macro snowflake__json_value(json, key) %}get({{ json }}, {{ key }})::varchar{% endmacro %}
{% macro bigquery__json_value(json, key) %}json_value({{ json }}[{{ key }}]){% endmacro %}
