{#
    A whole number that stands for a text: grouping by it takes a fraction of the memory of grouping by long ids.
    Different texts may share one, so it only narrows down. It differs between warehouses and may between their versions,
    so what keeps one must notice when it has changed, as int_seen_requests does.
#}
{% macro short_hash(expression) %}{{ return(adapter.dispatch('short_hash', 'llm_spend')(expression)) }}{% endmacro %}
{% macro default__short_hash(expression) %}hash({{ expression }}){% endmacro %}
{% macro bigquery__short_hash(expression) %}farm_fingerprint({{ expression }}){% endmacro %}
