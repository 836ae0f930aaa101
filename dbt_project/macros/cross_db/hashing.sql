{#
    A whole number that stands for a text: grouping by it takes a fraction of the memory of grouping by long ids.
    Different texts may share one, so it only narrows down; it also differs between warehouses, so it is never kept.
#}
{% macro short_hash(expression) %}{{ return(adapter.dispatch('short_hash', 'llm_spend')(expression)) }}{% endmacro %}
{% macro default__short_hash(expression) %}hash({{ expression }}){% endmacro %}
{% macro bigquery__short_hash(expression) %}farm_fingerprint({{ expression }}){% endmacro %}
