{# A name of a column that a warehouse reserves: quoted there, and plain elsewhere, where quotes would keep its case. #}
{% macro reserved_name(name) %}{{ return(adapter.dispatch('reserved_name', 'llm_spend')(name)) }}{% endmacro %}
{% macro default__reserved_name(name) %}{{ name }}{% endmacro %}
{% macro bigquery__reserved_name(name) %}{{ adapter.quote(name) }}{% endmacro %}
