{# A name of a column that a warehouse reserves: quoted there, and plain elsewhere, where quotes would keep its case. #}
{% macro reserved_name(name) %}{{ return(adapter.dispatch('reserved_name', 'llm_spend')(name)) }}{% endmacro %}
{% macro default__reserved_name(name) %}{{ name }}{% endmacro %}
{% macro bigquery__reserved_name(name) %}{{ adapter.quote(name) }}{% endmacro %}

{#
    A table as a public view names it. A DuckDB file is a database that is called like the file: where the view is in the
    same one its name is left out, so that it works in a copy of the file under another name.
#}
{% macro in_view(relation) %}{{ return(adapter.dispatch('in_view', 'llm_spend')(relation)) }}{% endmacro %}
{% macro default__in_view(relation) %}{{ return(relation) }}{% endmacro %}
{% macro duckdb__in_view(relation) %}{{ return(relation.include(database=relation.database != this.database)) }}{% endmacro %}
