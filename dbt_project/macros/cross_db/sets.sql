{# The set operator that removes duplicates: BigQuery wants it said, the others may not know the word. #}
{% macro union_distinct() %}{{ return(adapter.dispatch('union_distinct', 'llm_spend')()) }}{% endmacro %}
{% macro default__union_distinct() %}union{% endmacro %}
{% macro bigquery__union_distinct() %}union distinct{% endmacro %}
