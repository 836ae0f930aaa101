{#
    True when `pattern` is found anywhere in `expression`. Patterns must keep to what all warehouses read alike:
    no backslashes, look-arounds or non-capturing groups ([0-9] and [.] instead).
#}
{% macro regex_found(expression, pattern) %}{{ return(adapter.dispatch('regex_found', 'llm_spend')(expression, pattern)) }}{% endmacro %}
{% macro default__regex_found(expression, pattern) %}regexp_matches({{ expression }}, {{ pattern }}){% endmacro %}
{% macro snowflake__regex_found(expression, pattern) %}regexp_instr({{ expression }}, {{ pattern }}) > 0{% endmacro %}
{% macro bigquery__regex_found(expression, pattern) %}regexp_contains({{ expression }}, {{ pattern }}){% endmacro %}
